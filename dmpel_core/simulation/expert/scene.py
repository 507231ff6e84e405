"""What the expert knows about the world: poses, clouds and contacts of named objects, read from the simulator's state.

Needs only a compiled MuJoCo model and its data; the benchmarks' own classes are not asked. LIBERO and robosuite name the root
body of the object `plate_1` `plate_1_main`, and that is how objects are found.
"""

import mujoco
import numpy as np

from dmpel_core.errors import DmpelError
from dmpel_core.simulation.expert.sampling import SAMPLED_TYPES, surface_points

_ROOT_SUFFIX = "_main"
BINS = ("bin1", "bin2")
"""robosuite's bins, whose walls stand in the way as objects do."""
_ROBOT_PREFIXES = ("robot0", "gripper0", "mount0")


class Scene:
    """Privileged view of one scene; always shows the current state of `data`."""

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Find the objects of the scene."""
        self.model = model
        self.data = data
        names = [model.body(body).name for body in range(model.nbody)]
        self.objects = {
            name.removesuffix(_ROOT_SUFFIX): body
            for body, name in enumerate(names)
            if model.body_parentid[body] == 0 and (name in BINS or (name.endswith(_ROOT_SUFFIX) and not name.startswith(_ROBOT_PREFIXES)))
        }
        self._owner = {body: name for name, root in self.objects.items() for body in self._bodies_below(root)}
        self._solid = [geom for geom in range(model.ngeom) if _is_solid(model, geom)]
        self._geoms = {
            name: [geom for geom in self._solid if self._owner.get(int(model.geom_bodyid[geom])) == name] for name in self.objects
        }
        self._local: dict[int, np.ndarray] = {}
        self.table_height = self._find_table_height()

    def position(self, name: str) -> np.ndarray:
        """Return the origin of an object, (3,) [m]."""
        return self.data.xpos[self._body(name)].copy()

    def rotation(self, name: str) -> np.ndarray:
        """Return the orientation of an object, (3, 3)."""
        return self.data.xmat[self._body(name)].reshape(3, 3).copy()

    def cloud(self, name: str) -> np.ndarray:
        """Return points on the collision surface of an object, (n, 3) [m]."""
        self._body(name)
        return self.geom_cloud(self._geoms[name])

    def cloud_without(self, *names: str) -> np.ndarray:
        """Return the cloud of all objects but the named ones, (n, 3) [m]; table and robot are in no cloud."""
        return self.geom_cloud([geom for name, geoms in self._geoms.items() if name not in names for geom in geoms])

    def geom_cloud(self, geoms: list[int]) -> np.ndarray:
        """Return the cloud of some geoms in the world frame, (n, 3) [m]."""
        for geom in geoms:
            if geom not in self._local:
                self._local[geom] = surface_points(self.model, geom)
        placed = [self._local[geom] @ self.data.geom_xmat[geom].reshape(3, 3).T + self.data.geom_xpos[geom] for geom in geoms]
        return np.concatenate(placed) if placed else np.zeros((0, 3))

    def geoms_of_body(self, body: int) -> list[int]:
        """Return the solid geoms fixed to one body."""
        return [geom for geom in self._solid if self.model.geom_bodyid[geom] == body]

    def bottom(self, name: str) -> float:
        """Return the height of an object's lowest point [m]."""
        return float(self.cloud(name)[:, 2].min())

    def height_along(self, start: np.ndarray, end: np.ndarray, radius: float, without: tuple[str, ...] = ()) -> float:
        """Return the highest point within `radius` [m] of a straight way seen from above, the table's height if there is none [m]."""
        cloud = self.cloud_without(*without)
        way = (end - start)[:2]
        along = np.clip((cloud[:, :2] - start[:2]) @ way / max(way @ way, 1e-12), 0, 1)
        near = np.linalg.norm(cloud[:, :2] - start[:2] - along[:, None] * way, axis=1) < radius
        return float(cloud[near, 2].max()) if near.any() else self.table_height

    def in_contact(self, first: str, second: str) -> bool:
        """Say whether two objects touch."""
        for index in range(self.data.ncon):
            contact = self.data.contact[index]
            owners = {self._owner.get(int(self.model.geom_bodyid[geom])) for geom in (contact.geom1, contact.geom2)}
            if owners == {first, second}:
                return True
        return False

    def has_site(self, name: str) -> bool:
        """Say whether the scene has a region of that name."""
        return mujoco.mj_name2id(self.model, mujoco.mjtObj.mjOBJ_SITE, name) >= 0

    def has_joint(self, name: str) -> bool:
        """Say whether the scene has a joint of that name."""
        return mujoco.mj_name2id(self.model, mujoco.mjtObj.mjOBJ_JOINT, name) >= 0

    def site_position(self, name: str) -> np.ndarray:
        """Return the centre of a region, (3,) [m]."""
        return self.data.site(name).xpos.copy()

    def site_size(self, name: str) -> np.ndarray:
        """Return the half sizes of a region, (3,) [m]."""
        size: np.ndarray = self.model.site(name).size.copy()
        return size

    def site_owner(self, name: str) -> str | None:
        """Return the object that a region belongs to; None for a region of the table or floor."""
        return self._owner.get(int(self.model.site(name).bodyid[0]))

    def site_joint(self, name: str) -> int:
        """Return the joint that moves a region, for example the slide of a drawer."""
        body = int(self.model.site(name).bodyid[0])
        if self.model.body_jntnum[body] != 1:
            raise DmpelError(
                f"region {name!r} moves on {self.model.body_jntnum[body]} joints; the expert opens regions that move on exactly one"
            )
        return int(self.model.body_jntadr[body])

    def joint_position(self, joint: int) -> float:
        """Return the position of a slide [m] or hinge [rad] joint."""
        return float(self.data.qpos[self.model.jnt_qposadr[joint]])

    def _body(self, name: str) -> int:
        if name not in self.objects:
            raise DmpelError(f"no object {name!r} in this scene; it has {', '.join(sorted(self.objects))}")
        return self.objects[name]

    def _bodies_below(self, root: int) -> set[int]:
        below = {root}
        for body in range(root + 1, self.model.nbody):  # parents come before their children
            if self.model.body_parentid[body] in below:
                below.add(body)
        return below

    def _find_table_height(self) -> float:
        """Return the top of the highest solid box or plane that is neither object nor robot [m]."""
        model = self.model
        heights = []
        for geom in range(model.ngeom):
            body, kind = int(model.geom_bodyid[geom]), mujoco.mjtGeom(model.geom_type[geom])
            known = body in self._owner or model.body(body).name.startswith(_ROBOT_PREFIXES)
            if not known and model.geom_contype[geom] and kind in (mujoco.mjtGeom.mjGEOM_PLANE, mujoco.mjtGeom.mjGEOM_BOX):
                upwards = np.abs(self.data.geom_xmat[geom][6:])
                reach = upwards @ model.geom_size[geom] if kind == mujoco.mjtGeom.mjGEOM_BOX else 0.0
                heights.append(float(self.data.geom_xpos[geom][2] + reach))
        return max(heights)


def _is_solid(model: mujoco.MjModel, geom: int) -> bool:
    return bool(model.geom_contype[geom] or model.geom_conaffinity[geom]) and int(model.geom_type[geom]) in SAMPLED_TYPES
