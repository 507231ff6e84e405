"""Open a door with a bolt: grip the lever of its handle, turn it until the bolt is free, pull the door along its arc."""

from dataclasses import dataclass

import numpy as np

from dmpel_core.simulation.expert.motion import CLOSE, OPEN, Actions, Arm
from dmpel_core.simulation.expert.rotations import about, facing
from dmpel_core.simulation.expert.scene import Scene
from dmpel_core.simulation.expert.stuck import StuckError

_FREE, _LEAST_TURN = 1.35, 1.15
"""The handle is turned so far; with less than the second the bolt still holds [rad]."""
_WIDE, _LEAST_SWING = 0.36, 0.30
"""The door is pulled so far, and counts as opened from the second on; its stop is at 0.4 [rad]."""
_LEAD, _STEPS, _TICKS = 0.35, 30, 3
"""How far ahead of the handle or the door the hand is sent [rad], how often at most, and for how many ticks each time."""
_DEPTH = 0.006
"""The grip point goes this far beyond the middle of the lever, which then lies in the middle of the pads [m]."""
_TRIES = 3
"""How often the fingers close before it counts that they have missed the lever."""
_WAYS = ((60, 1), (75, 1), (75, -1))
"""How far the hand is tipped towards the door [deg], and whether the lever is turned upwards or downwards; attempts go through them.

The bolt does not care. Upwards is the way for which a Panda's wrist has room.
"""


@dataclass(frozen=True)
class Door:
    """A door as it stands.

    Attributes:
        hinge: The joint on which it swings.
        latch: The joint of its handle.
        lever: The point of the lever to grip, (3,) [m].
        out: Where the lever is, seen from the door: away from it along the handle's axis, unit (3,).
    """

    hinge: int
    latch: int
    lever: np.ndarray
    out: np.ndarray


def find_door(scene: Scene, name: str) -> Door:
    """Find a door's joints and its lever."""
    hinge, latch = (int(scene.model.joint(f"{name}_{joint}").id) for joint in ("hinge", "latch_joint"))
    lever, axis = scene.site_position(f"{name}_handle"), scene.data.xaxis[latch].copy()
    return Door(hinge, latch, lever, axis * np.sign((lever - scene.data.xanchor[latch]) @ axis))


def open_door(arm: Arm, scene: Scene, name: str, *, attempt: int = 0) -> Actions:
    """Grip the lever, turn it, pull the door open and leave it.

    Raises:
        StuckError: The lever slipped out of the fingers.
    """
    door = find_door(scene, name)
    tilt, upwards = _WAYS[attempt % len(_WAYS)]
    rotation = facing(door.out, tilt, across=False)
    if upwards < 0:
        rotation = rotation @ about(np.array([0.0, 0.0, 1.0]), np.pi)  # leaves the wrist room to turn the other way
    for _ in range(_TRIES):
        yield from _grip(arm, door, rotation)
        if arm.holding:
            break
    arm.phase = "turn"
    raised = np.sign(np.cross(scene.data.xaxis[door.latch], door.lever - scene.data.xanchor[door.latch])[2])
    yield from _follow(arm, scene, door.latch, raised * upwards, _FREE)
    _check(scene, door.latch, _LEAST_TURN, f"the handle of {name} turned")
    arm.phase = "open"
    yield from _follow(arm, scene, door.hinge, 1.0, _WIDE)
    _check(scene, door.hinge, _LEAST_SWING, f"{name} swung")
    arm.phase = "release"
    yield from arm.hold(4, OPEN)
    arm.phase = "retreat"
    yield from arm.move(arm.position - arm.rotation[:, 2] * 0.10, within=0.02, within_angle=9.0, ticks=40)


def _grip(arm: Arm, door: Door, rotation: np.ndarray) -> Actions:
    """Close the fingers on the lever, coming straight along the hand's axis."""
    inwards = rotation[:, 2]
    grip = door.lever + inwards * _DEPTH
    arm.phase, arm.gripper = "reach", OPEN
    yield from arm.move(grip - inwards * 0.12 + door.out * 0.03, rotation, within=0.02, within_angle=0.12, ticks=100)
    yield from arm.move(grip - inwards * 0.08, rotation, within=0.008, within_angle=0.06, ticks=40, speed=0.6)
    arm.phase = "grasp"
    yield from arm.move(grip, rotation, within_angle=0.06, ticks=50, speed=0.35)
    yield from arm.hold(8, CLOSE)


def _follow(arm: Arm, scene: Scene, joint: int, way: float, far: float) -> Actions:
    """Lead what the hand holds round a joint, `way` 1 or -1, until it stands at `far` [rad], always a little ahead of where it is."""
    anchor, axis, start = scene.data.xanchor[joint].copy(), scene.data.xaxis[joint] * way, scene.joint_position(joint)
    grip, rotation = arm.position - anchor, arm.rotation

    def arrived() -> bool:
        return scene.joint_position(joint) * way > far

    for _ in range(_STEPS):
        turn = about(axis, (scene.joint_position(joint) - start) * way + _LEAD)
        yield from arm.move(anchor + turn @ grip, turn @ rotation, within=0.003, within_angle=0.03, ticks=_TICKS, until=arrived)
        if arrived():
            return


def _check(scene: Scene, joint: int, least: float, what: str) -> None:
    position = abs(scene.joint_position(joint))
    if position < least:
        raise StuckError(f"{what} by {position:.2f} rad, less than {least} rad: the lever slipped")
