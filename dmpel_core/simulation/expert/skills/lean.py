"""Stand a book in the back compartment of a desk caddy so that it leans over the low wall in front."""

import numpy as np

from dmpel_core.simulation.expert.grasps import Preference
from dmpel_core.simulation.expert.motion import Actions, Arm
from dmpel_core.simulation.expert.rotations import about
from dmpel_core.simulation.expert.scene import Scene
from dmpel_core.simulation.expert.skills.pick_place import let_go
from dmpel_core.simulation.expert.skills.shelve import hold_over

_TILTS = (18.0, 19.0, 17.0)
"""How far the book is tipped away from the robot when it is let go [deg]; attempts go through them.

The region of the back compartment begins above the origin of a book that stands upright there; one that leans by 14 deg or more is in
it. Let go at more than 12 deg the book falls on, until the low wall stops it at 21 deg. Nor would there be room, were the book
upright, for a finger between it and the high wall.
"""
_BEHIND_MIDDLE, _ABOVE_FLOOR = 0.023, 0.003
"""Where the book's foot is let go: from the region's middle towards the high wall, which is 29 mm from it, and above the floor [m]."""
_CADDY_FLOOR = 0.016
_OFF_MIDDLE = 100.0
"""Cost of a grip off the middle of the book's width [1/m]: a palm that is tipped too hits the side walls of the compartment."""


def lean(arm: Arm, scene: Scene, name: str, region: str, *, attempt: int = 0) -> Actions:
    """Grasp the book by its middle, carry it over the region, tip it away from the robot, lower it and let go."""
    foot = scene.site_position(region) - [_BEHIND_MIDDLE, 0, 0]
    yield from hold_over(arm, scene, name, scene.site_position(region)[:2], attempt=attempt, prefer=_by_the_middle(scene, name))
    tipped = about(np.array([0.0, 1.0, 0.0]), np.deg2rad(_TILTS[attempt % len(_TILTS)])) @ arm.rotation_goal
    yield from arm.move(arm.position, tipped, within=0.02, ticks=60)
    yield from arm.move(_hand_with(arm, scene, name, np.append(foot[:2], scene.bottom(name))), ticks=40, speed=0.6)
    arm.phase = "place"
    foot[2] = scene.table_height + _CADDY_FLOOR + _ABOVE_FLOOR
    yield from arm.move(_hand_with(arm, scene, name, foot), within_angle=0.3, ticks=80, speed=0.4)
    yield from let_go(arm)


def _by_the_middle(scene: Scene, name: str) -> Preference:
    cloud, wide = scene.cloud(name)[:, :2], scene.rotation(name)[:2, 1]
    middle = float((cloud @ wide).min() + (cloud @ wide).max()) / 2
    return lambda centre, _yaw: _OFF_MIDDLE * abs(float(centre @ wide) - middle)


def _hand_with(arm: Arm, scene: Scene, name: str, foot: np.ndarray) -> np.ndarray:
    """Return where the hand must be for the tipped book to have its back, middle and lowest point at `foot` (3,) [m]."""
    low, high = scene.cloud(name).min(axis=0), scene.cloud(name).max(axis=0)
    return arm.position + foot - [low[0], (low[1] + high[1]) / 2, low[2]]
