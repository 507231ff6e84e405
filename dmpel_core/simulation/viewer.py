"""A window on a simulation: MuJoCo's own viewer, which follows whatever is simulated."""

import os
from typing import Any

import mujoco
import mujoco.viewer
import numpy as np

from dmpel_core.errors import DmpelError

DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")
COLLISION = 0
"""robosuite's group of geometries that bodies collide with; what they look like is another."""
_DISTANCE = 1.2
"""How far before the camera the point lies about which a person turns the picture [m]."""


class ViewerError(DmpelError):
    """There is no screen to show a simulation on."""


class Viewer:
    """One window for one simulation after another. Who closes it has seen enough: it opens again for the next simulation only."""

    def __init__(self) -> None:
        """Get ready; the window opens with the first simulation.

        Raises:
            ViewerError: There is no display.
        """
        if not any(os.environ.get(name) for name in DISPLAYS):
            raise ViewerError(
                f"a viewer needs a display, and neither of {', '.join(DISPLAYS)} is set: leave the viewer off, or log in to a desktop"
            )
        self._model: mujoco.MjModel | None = None
        self._window: Any = None

    def show(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Show the state of a simulation, in a new window if another one was shown before."""
        if model is not self._model:
            self.close()
            self._model = model
            self._window = mujoco.viewer.launch_passive(model, data, show_left_ui=False, show_right_ui=False)
            self._window.opt.geomgroup[COLLISION] = 0
            look_as(self._window.cam, data, "agentview")
        if self._window.is_running():
            self._window.sync()

    def close(self) -> None:
        """Close the window, if one is open."""
        if self._window is not None:
            self._window.close()
        self._model = self._window = None


def look_as(view: mujoco.MjvCamera, data: mujoco.MjData, name: str) -> None:
    """Let a free camera begin where a scene's own camera is."""
    place = data.camera(name)
    ahead = -place.xmat.reshape(3, 3)[:, 2]
    view.lookat[:] = place.xpos + _DISTANCE * ahead
    view.distance = _DISTANCE
    view.azimuth, view.elevation = np.rad2deg([np.arctan2(ahead[1], ahead[0]), np.arcsin(ahead[2])])
