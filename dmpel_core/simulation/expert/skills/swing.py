"""Swing a door without a bolt shut: push it round its hinge with closed fingers."""

from dataclasses import dataclass

import mujoco
import numpy as np

from dmpel_core.simulation.expert.motion import CLOSE, OPEN, Actions, Arm
from dmpel_core.simulation.expert.rotations import about, down, half_turn
from dmpel_core.simulation.expert.scene import Scene
from dmpel_core.simulation.expert.stuck import StuckError

_SHUT = 0.004
"""A door counts as shut this near to where its hinge reads 0; LIBERO asks for 0.005 [rad]."""
_ALONG = 0.7
"""Where the fingers push: share of the way from the hinge to the far edge, short of the handle."""
_BELOW = (0.010, 0.015, 0.005)
"""How far the grip point is below the upper edge, over which the palm stays [m]; attempts go through them."""
_LEAD, _STEPS, _TICKS = 0.30, 60, 3
"""How far ahead of the door the hand is sent [rad], how often at most, and for how many ticks each time."""
_FINGER = 0.012
"""Half the thickness of the fingers [m]."""
_UPRIGHT = 0.9
"""A hinge whose axis is within 26 deg of the vertical carries a door: the cosine of that."""


@dataclass(frozen=True)
class Hinge:
    """What a door swings on.

    Attributes:
        joint: The joint.
        anchor: A point of its axis, (3,) [m].
        axis: Direction about which its position grows, unit (3,).
        geoms: The solid geoms of the door.
    """

    joint: int
    anchor: np.ndarray
    axis: np.ndarray
    geoms: list[int]


def has_hinge(scene: Scene, name: str) -> bool:
    """Say whether there is an object of that name with a part that swings on an upright hinge."""
    return name in scene.objects and bool(_hinges(scene, name))


def find_hinge(scene: Scene, name: str) -> Hinge:
    """Find the hinge of an object's door.

    Raises:
        StuckError: It has no door.
    """
    joints = _hinges(scene, name)
    if not joints:
        raise StuckError(f"{name} has no door on an upright hinge")
    geoms = scene.geoms_of_body(int(scene.model.jnt_bodyid[joints[0]]))
    return Hinge(joints[0], scene.data.xanchor[joints[0]].copy(), scene.data.xaxis[joints[0]].copy(), geoms)


def close_door(arm: Arm, scene: Scene, name: str, *, attempt: int = 0) -> Actions:
    """Go round the outside of an open door, push it shut and draw back.

    Args:
        arm: The hand.
        scene: The scene.
        name: The object that has the door.
        attempt: Which of several ways to try: pushing higher or lower.

    Raises:
        StuckError: The door did not shut.
    """
    hinge = find_hinge(scene, name)
    way = -np.sign(scene.joint_position(hinge.joint)) * hinge.axis
    cloud = scene.geom_cloud(hinge.geoms) - hinge.anchor
    along, push = _directions(scene, hinge, way)
    radius = _ALONG * float((cloud @ along).max())
    behind = _FINGER - float((cloud[np.abs(cloud @ along - radius) < _FINGER] @ push).min())
    height = float(cloud[:, 2].max()) - _BELOW[attempt % len(_BELOW)]

    def beside(clear: float, ahead: float = 0.0) -> np.ndarray:
        along, push = _directions(scene, hinge, way, ahead)
        return hinge.anchor + along * radius - push * (behind + clear) + [0, 0, height]

    def flat() -> np.ndarray:  # the thin side of the fingers stays towards the door
        along, _ = _directions(scene, hinge, way)
        return down(half_turn(np.arctan2(along[1], along[0]) - np.pi / 2))

    def shut() -> bool:
        return abs(scene.joint_position(hinge.joint)) < _SHUT

    arm.phase, arm.gripper = "reach", OPEN
    yield from arm.raise_to(max(arm.position[2], beside(0.0)[2] + 0.12))
    arm.gripper = CLOSE
    yield from arm.move(beside(0.05) + [0, 0, 0.12], flat(), within=0.02, within_angle=0.2, ticks=100)
    yield from arm.move(beside(0.04), flat(), within=0.01, within_angle=0.1, ticks=40)
    arm.phase = "close"
    for _ in range(_STEPS):
        yield from arm.move(beside(0.0, _LEAD), flat(), within=0.003, within_angle=9.0, ticks=_TICKS, speed=0.5, until=shut)
        if shut():
            break
    if not shut():
        raise StuckError(f"the door of {name} stands at {scene.joint_position(hinge.joint):.3f} rad, not within {_SHUT} rad of 0")
    arm.phase = "retreat"
    yield from arm.move(arm.position - _directions(scene, hinge, way)[1] * 0.05, within=0.02, within_angle=9.0, ticks=20)
    yield from arm.raise_to(arm.position[2] + 0.1)


def _hinges(scene: Scene, name: str) -> list[int]:
    model, kind, root = scene.model, mujoco.mjtJoint.mjJNT_HINGE, scene.objects[name]
    turning = (joint for joint in range(model.njnt) if model.jnt_type[joint] == kind and abs(scene.data.xaxis[joint][2]) > _UPRIGHT)
    return [joint for joint in turning if model.body_rootid[model.jnt_bodyid[joint]] == root]


def _directions(scene: Scene, hinge: Hinge, way: np.ndarray, ahead: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return where a door will point to, from its hinge, and will move to, unit (3,), when it has swung on about `way` by `ahead` [rad]."""
    middle = (scene.geom_cloud(hinge.geoms).mean(axis=0) - hinge.anchor) * [1, 1, 0]
    along = about(way, ahead) @ middle / np.linalg.norm(middle)
    return along, np.cross(way, along)
