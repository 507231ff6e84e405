"""Open and close drawers by their handles."""

from dataclasses import dataclass

import numpy as np

from dmpel_core.simulation.expert.motion import CLOSE, OPEN, Actions, Arm
from dmpel_core.simulation.expert.rotations import down, facing, half_turn
from dmpel_core.simulation.expert.scene import Scene
from dmpel_core.simulation.expert.stuck import StuckError

WIDE_OPEN = 0.10
"""A drawer pulled out this far takes an object [m]."""
PULLED = 0.155
"""How far a drawer is pulled where it is only to be open [m]."""
_TRIES, _APPROACHES = 3, 8
"""How often the fingers close before it counts that they have missed the handle, and how often they come near for that."""
_NEAR, _ARRIVED = 0.04, 0.012
"""A hand nearer to the handle than the first without getting there goes back; within the second the fingers close [m]."""
_ACROSS, _ALONG = 0.012, 0.03
"""Farther beside its way the hand would miss the handle: across it, where fingers meet the handles above and below, and along it [m]."""
_IN_FRONT = 0.14
"""A hand nearer to the handle than this goes straight back from it [m]."""
_GRASP_TILTS = (75, 90)
_PUSH_TILTS = (45, 55, 35, 65)
"""How far the hand is tipped from looking down towards the cabinet [deg]; attempts go through them."""


@dataclass(frozen=True)
class Drawer:
    """A drawer of the scene.

    Attributes:
        joint: The slide that it moves on.
        out: Direction in which it opens, unit (3,).
        towards: Sign of the slide's position when it is open.
        handle: The geom of the handle.
        thickness: Of the handle, from below to above [m].
    """

    joint: int
    out: np.ndarray
    towards: float
    handle: int
    thickness: float

    def pulled(self, scene: Scene) -> float:
        """Return how far the drawer is open [m]."""
        return abs(scene.joint_position(self.joint))

    def grip(self, scene: Scene) -> np.ndarray:
        """Return where the fingers close on the handle, (3,) [m]."""
        place: np.ndarray = scene.data.geom_xpos[self.handle] + self.out * 0.002
        return place

    def gripping(self, attempt: int = 0) -> np.ndarray:
        """Return how the hand is turned then, (3, 3)."""
        return facing(self.out, _GRASP_TILTS[(attempt // 4) % 2], across=False)


def find_drawer(scene: Scene, region: str) -> Drawer:
    """Find the drawer around a region; its handle is the solid geom furthest out."""
    joint = scene.site_joint(region)
    body = int(scene.model.jnt_bodyid[joint])
    axis = scene.data.xmat[body].reshape(3, 3) @ scene.model.jnt_axis[joint]
    low, high = scene.model.jnt_range[joint]
    towards = -1.0 if abs(low) > abs(high) else 1.0
    out = towards * axis
    handle = max(scene.geoms_of_body(body), key=lambda geom: float(scene.data.geom_xpos[geom] @ out))
    return Drawer(joint, out, towards, handle, thickness=float(np.ptp(scene.geom_cloud([handle])[:, 2])))


def open_drawer(arm: Arm, scene: Scene, region: str, *, attempt: int = 0, distance: float = PULLED) -> Actions:
    """Grip the handle, pull the drawer out by `distance` [m] and leave it.

    Fingers that closed on something else, or that the handle has slipped out of, let go and try again: so demonstrations show what to
    do with a drawer that does not come.

    Raises:
        StuckError: The drawer is not open after the last try.
    """
    drawer = find_drawer(scene, region)
    rotation = drawer.gripping(attempt)
    for _ in range(_TRIES):
        yield from _grip_handle(arm, scene, drawer, rotation)
        if _grips(arm, drawer):
            yield from _pull(arm, scene, drawer, rotation, distance)
        if drawer.pulled(scene) > WIDE_OPEN:
            break
    else:
        raise StuckError(f"the drawer of {region} moved {drawer.pulled(scene):.3f} m, less than {WIDE_OPEN} m: the handle slipped")
    arm.phase = "release"
    yield from arm.hold(4, OPEN)
    arm.phase = "retreat"
    yield from arm.move(arm.position - rotation[:, 2] * 0.08 + drawer.out * 0.02, rotation, within=0.02, within_angle=9.0, ticks=40)
    above = np.array([*arm.position[:2], scene.table_height + 0.30])
    yield from arm.move(above, down(), within=0.03, within_angle=0.3)


def _grips(arm: Arm, drawer: Drawer) -> bool:
    """Say whether the fingers are about as far apart as the handle is thick: else they hold nothing, or the front beside it."""
    return drawer.thickness / 2 < arm.opening < 2 * drawer.thickness


def _grip_handle(arm: Arm, scene: Scene, drawer: Drawer, rotation: np.ndarray) -> Actions:
    grip = drawer.grip(scene)
    before = grip - rotation[:, 2] * 0.10
    if arm.closed:
        arm.phase = "release"
        yield from arm.hold(4, OPEN)
    arm.phase, arm.gripper = "reach", OPEN
    if np.linalg.norm(arm.position - grip) > _IN_FRONT:
        yield from arm.raise_to(max(arm.position[2], scene.table_height + 0.25))
        yield from arm.move(before + drawer.out * 0.05 + [0, 0, 0.06], rotation, within=0.02, within_angle=0.12, ticks=120)
    yield from arm.move(before, rotation, within=0.008, within_angle=0.08, ticks=60, speed=0.6)
    arm.phase = "grasp"
    for _ in range(_APPROACHES):
        yield from arm.move(grip, rotation, within_angle=0.08, ticks=50, speed=0.35, until=lambda: _misses(arm, grip, rotation))
        if np.linalg.norm(arm.position - grip) < _ARRIVED:
            yield from arm.hold(8, CLOSE)
            return
        if _is_near(arm, grip, rotation):
            yield from arm.move(before, rotation, within=0.02, within_angle=0.2, ticks=40, speed=0.6)


def _is_near(arm: Arm, grip: np.ndarray, rotation: np.ndarray) -> bool:
    return bool((arm.position - grip) @ rotation[:, 2] > -_NEAR)


def _misses(arm: Arm, grip: np.ndarray, rotation: np.ndarray) -> bool:
    """Say whether a hand that is near is beside its straight way to the handle, or has closed its fingers too early."""
    across, along = np.abs((arm.position - grip) @ rotation[:, :2])
    return _is_near(arm, grip, rotation) and bool(across > _ACROSS or along > _ALONG or arm.closed)


def _pull(arm: Arm, scene: Scene, drawer: Drawer, rotation: np.ndarray, distance: float) -> Actions:
    def ended() -> bool:
        return drawer.pulled(scene) > distance or not _grips(arm, drawer)

    arm.phase = "open"
    yield from arm.move(arm.position + drawer.out * 0.20, rotation, within=0.01, within_angle=9.0, ticks=90, speed=0.7, until=ended)


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
