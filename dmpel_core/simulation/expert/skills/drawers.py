"""Open and close drawers by their handles."""

from dataclasses import dataclass

import numpy as np

from dmpel_core.simulation.expert.motion import CLOSE, OPEN, Actions, Arm
from dmpel_core.simulation.expert.rotations import down, facing, half_turn
from dmpel_core.simulation.expert.scene import Scene
from dmpel_core.simulation.expert.stuck import StuckError

WIDE_OPEN = 0.10
"""A drawer pulled out this far takes an object [m]."""
_GRASP_TILTS = (75, 90)
_PUSH_TILTS = (45, 55, 35, 65)
"""How far the hand is tipped from looking down towards the cabinet [deg]; attempts go through them."""


@dataclass(frozen=True)
class Drawer:
    """A drawer of the scene.

    Attributes:
        joint: The slide that it moves on.
        out: Direction in which it opens, unit (3,).
        handle: The geom of the handle.
    """

    joint: int
    out: np.ndarray
    handle: int


def find_drawer(scene: Scene, region: str) -> Drawer:
    """Find the drawer around a region; its handle is the solid geom furthest out."""
    joint = scene.site_joint(region)
    body = int(scene.model.jnt_bodyid[joint])
    axis = scene.data.xmat[body].reshape(3, 3) @ scene.model.jnt_axis[joint]
    low, high = scene.model.jnt_range[joint]
    out = -axis if abs(low) > abs(high) else axis
    handle = max(scene.geoms_of_body(body), key=lambda geom: float(scene.data.geom_xpos[geom] @ out))
    return Drawer(joint, out, handle)


def open_drawer(arm: Arm, scene: Scene, region: str, *, attempt: int = 0, distance: float = 0.155) -> Actions:
    """Grip the handle, pull the drawer out by `distance` [m] and leave it.

    Raises:
        StuckError: The handle slipped out of the fingers.
    """
    drawer = find_drawer(scene, region)
    rotation = facing(drawer.out, _GRASP_TILTS[(attempt // 4) % 2], across=False)
    handle = scene.data.geom_xpos[drawer.handle].copy()
    yield from _grip_handle(arm, scene, drawer, handle, rotation)
    arm.phase = "open"
    pulled = lambda: abs(scene.joint_position(drawer.joint)) > distance  # noqa: E731
    yield from arm.move(arm.position + drawer.out * 0.20, rotation, within=0.01, within_angle=9.0, ticks=90, speed=0.7, until=pulled)
    moved = abs(scene.joint_position(drawer.joint))
    if moved < WIDE_OPEN:
        raise StuckError(f"the drawer of {region} moved {moved:.3f} m, less than {WIDE_OPEN} m: the handle slipped")
    arm.phase = "release"
    yield from arm.hold(4, OPEN)
    arm.phase = "retreat"
    yield from arm.move(arm.position - rotation[:, 2] * 0.08 + drawer.out * 0.02, rotation, within=0.02, within_angle=9.0, ticks=40)
    above = np.array([*arm.position[:2], scene.table_height + 0.30])
    yield from arm.move(above, down(), within=0.03, within_angle=0.3)


def _grip_handle(arm: Arm, scene: Scene, drawer: Drawer, handle: np.ndarray, rotation: np.ndarray) -> Actions:
    before = handle - rotation[:, 2] * 0.10
    arm.phase, arm.gripper = "reach", OPEN
    yield from arm.raise_to(max(arm.position[2], scene.table_height + 0.25))
    yield from arm.move(before + drawer.out * 0.05 + [0, 0, 0.06], rotation, within=0.02, within_angle=0.12, ticks=120)
    yield from arm.move(before, rotation, within=0.008, within_angle=0.08, ticks=60, speed=0.6)
    arm.phase = "grasp"
    yield from arm.move(handle + drawer.out * 0.002, rotation, within_angle=0.08, ticks=50, speed=0.35)
    yield from arm.hold(8, CLOSE)


def close_drawer(arm: Arm, scene: Scene, region: str, *, attempt: int = 0) -> Actions:
    """Push the drawer's front in with closed fingers."""
    drawer = find_drawer(scene, region)
    rotation = facing(drawer.out, _PUSH_TILTS[attempt % 4], across=True)
    before = scene.data.geom_xpos[drawer.handle] + drawer.out * 0.09 + [0, 0, 0.004]
    upright = down(half_turn(np.arctan2(drawer.out[1], drawer.out[0])))
    arm.phase, arm.gripper, arm.rotation_goal = "reach", OPEN, down()
    yield from arm.raise_to(scene.table_height + 0.30)
    arm.gripper = CLOSE
    yield from arm.move(before + drawer.out * 0.05 + [0, 0, 0.20], upright, within=0.03, within_angle=0.3, ticks=90)
    yield from arm.move(before + [0, 0, 0.03], rotation, within=0.02, within_angle=0.15)
    yield from arm.move(before, rotation, within=0.01, within_angle=0.12, ticks=40)
    arm.phase = "close"
    shut = lambda: scene.joint_position(drawer.joint) > 0.004  # noqa: E731
    yield from arm.move(before - drawer.out * 0.40, rotation, within=0.005, within_angle=9.0, ticks=120, speed=0.7, until=shut)
