"""Pictures of both cameras from a MuJoCo model, upright, fast enough on a processor.

Does not depend on robosuite: a model with the named cameras is enough. Anti-aliasing, shadows and reflections are off
(reflections alone double the cost), and geoms outside a camera's view are not drawn at all.
"""

from dataclasses import dataclass

import mujoco
import numpy as np

from dmpel_core.errors import DmpelError

CAMERAS = ("agentview", "robot0_eye_in_hand")
_COLLISION_GROUP, _HIDDEN_GROUP = 0, 5  # LIBERO: geoms of contacts in group 0; nothing in 5, which MuJoCo hides
_MOST_GEOMS = 2000


_OF_DATA = ("geom_xpos", "geom_xmat", "site_xpos", "site_xmat", "cam_xpos", "cam_xmat", "light_xpos", "light_xdir")
_OF_MODEL = ("site_rgba",)  # LIBERO lights a burner so


class RenderingError(DmpelError):
    """Pictures cannot be made on this machine or from this model."""


@dataclass(frozen=True)
class Moment:
    """All that pictures of one moment depend on, so that they can be drawn when it is known whether anybody wants them.

    Attributes:
        of_data: Poses of geoms, sites, cameras and lights by MuJoCo's names, as they are in the simulation's data.
        of_model: Colours by MuJoCo's names, as they are in its model.
    """

    of_data: dict[str, np.ndarray]
    of_model: dict[str, np.ndarray]

    @classmethod
    def now(cls, model: mujoco.MjModel, data: mujoco.MjData) -> "Moment":
        """Return the simulation's present moment."""
        return cls({name: getattr(data, name).copy() for name in _OF_DATA}, {name: getattr(model, name).copy() for name in _OF_MODEL})

    def put(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Have the simulation look as it did; positions and velocities are left as they are."""
        for place, kept in ((data, self.of_data), (model, self.of_model)):
            for name, value in kept.items():
                getattr(place, name)[:] = value


class Renderer:
    """Draws one model's cameras. Free it with `close`; the OpenGL context belongs to the thread that draws."""

    def __init__(self, model: mujoco.MjModel, size: int, cameras: tuple[str, ...] = CAMERAS) -> None:
        """Make an OpenGL context and upload the model's meshes and textures.

        Args:
            model: Compiled model; later changes of its meshes are not seen.
            size: Height and width of the pictures [pixels].
            cameras: Names of the cameras to draw.
        """
        self._model, self._size = model, size
        self._cameras = [_fixed_camera(model, name) for name in cameras]
        model.vis.quality.offsamples = 0
        model.vis.global_.offwidth = model.vis.global_.offheight = size
        self._gl = _open_gl(size)
        self._gl.make_current()
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._scene = mujoco.MjvScene(model, maxgeom=_MOST_GEOMS)
        for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
            self._scene.flags[flag] = 0
        self._options = mujoco.MjvOption()
        self._options.geomgroup[_COLLISION_GROUP] = 0

    def render(self, data: mujoco.MjData) -> list[np.ndarray]:
        """Return one upright RGB picture per camera, uint8, (size, size, 3), of the state in `data`."""
        self._gl.make_current()  # another renderer of this process may have drawn since
        return [self._picture(data, camera) for camera in self._cameras]

    def close(self) -> None:
        """Give the OpenGL context back."""
        self._gl.make_current()
        self._context.free()
        self._gl.free()

    def _picture(self, data: mujoco.MjData, camera: mujoco.MjvCamera) -> np.ndarray:
        """Return one camera's picture, row 0 at the top."""
        self._update_scene(data, camera)
        viewport = mujoco.MjrRect(0, 0, self._size, self._size)
        mujoco.mjr_render(viewport, self._scene, self._context)
        rows_upward = np.empty((self._size, self._size, 3), np.uint8)
        mujoco.mjr_readPixels(rows_upward, None, viewport, self._context)
        return rows_upward[::-1].copy()

    def _update_scene(self, data: mujoco.MjData, camera: mujoco.MjvCamera) -> None:
        """Fill the scene with the geoms that the camera may see."""
        groups = self._model.geom_group
        kept = groups.copy()
        groups[_out_of_view(self._model, data, camera.fixedcamid)] = _HIDDEN_GROUP
        mujoco.mjv_updateScene(self._model, data, self._options, None, camera, mujoco.mjtCatBit.mjCAT_ALL, self._scene)
        groups[:] = kept


def _out_of_view(model: mujoco.MjModel, data: mujoco.MjData, camera: int) -> np.ndarray:
    """Return which geoms' bounding spheres lie wholly outside a camera's square view, (ngeom,) bool.

    Unbounded geoms (planes have radius 0) always count as seen.
    """
    frame = data.cam_xmat[camera].reshape(3, 3)  # columns: right, up, backward
    right, up, backward = ((data.geom_xpos - data.cam_xpos[camera]) @ frame).T
    half = np.deg2rad(model.cam_fovy[camera]) / 2
    beyond = np.maximum(abs(right), abs(up)) * np.cos(half) + backward * np.sin(half)  # distance outside the nearest side plane [m]
    return (model.geom_rbound > 0) & ((beyond > model.geom_rbound) | (backward > model.geom_rbound))


def _fixed_camera(model: mujoco.MjModel, name: str) -> mujoco.MjvCamera:
    """Return a camera of the model by name."""
    camera = mujoco.MjvCamera()
    camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
    camera.fixedcamid = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA, name)
    if camera.fixedcamid < 0:
        known = ", ".join(model.camera(index).name for index in range(model.ncam))
        raise RenderingError(f"the model has no camera {name!r}; its cameras: {known}")
    return camera


def _open_gl(size: int) -> "mujoco.GLContext":
    """Return an OpenGL context without a window."""
    try:
        return mujoco.GLContext(size, size)
    except (AttributeError, ImportError, RuntimeError) as error:
        remedy = "install libegl1, libegl-mesa0 and libgl1-mesa-dri, and leave MUJOCO_GL unset or at egl"
        raise RenderingError(f"no OpenGL context could be made ({error}); {remedy}") from error
