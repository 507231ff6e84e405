"""Turn a stove on or off: grip the lever of its knob and twist, or, to turn it on, push the lever sideways."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dmpel_core.simulation.expert.motion import CLOSE, OPEN, Actions, Arm
from dmpel_core.simulation.expert.rotations import down, half_turn
from dmpel_core.simulation.expert.scene import Scene
from dmpel_core.simulation.expert.stuck import StuckError

_TWISTED, _PUSHED, _LEAST = 0.8, 0.9, 0.5
"""Knob positions at which a twist ends, a push ends, and below which it has failed [rad]."""
_OFF = 0.0
"""The knob is off below this [rad], just before its stop."""
_TWIST_STEP, _TWIST_TICKS = np.deg2rad(8.0), 15
"""How far a twist goes at a time, and how many ticks a hand that is held up may take for that."""
_TWIST_ON, _BEYOND = 12 * _TWIST_STEP, 3 * _TWIST_STEP
"""The longest twist that turns a knob on, and how much farther than the knob a hand may turn that turns it off [rad]."""
_TWIST_DEPTHS = (0.012, 0.018)


@dataclass(frozen=True)
class Knob:
    """The knob of a stove.

    Attributes:
        joint: The hinge that it turns on.
        anchor: A point of its axis, (3,) [m].
        lever: Direction of the lever, unit (3,), level.
        ends: How far the lever reaches along and against that direction, (2,) [m], the second negative.
        top: Height of the lever's upper edge [m].
    """

    joint: int
    anchor: np.ndarray
    lever: np.ndarray
    ends: tuple[float, float]
    top: float

    @property
    def yaw(self) -> float:
        """How far the hand is turned about the vertical to close its fingers across the lever [rad]."""
        return half_turn(np.arctan2(self.lever[1], self.lever[0]))

    def grip(self, depth: float = _TWIST_DEPTHS[0]) -> np.ndarray:
        """Return where the fingers close on the lever, (3,) [m], so far below its upper edge [m]."""
        middle = self.anchor + self.lever * sum(self.ends) / 4
        return np.array([middle[0], middle[1], self.top - depth])


def find_knob(scene: Scene, stove: str) -> Knob:
    """Find the knob of a stove and the way its lever points, from the shape of its upper part."""
    joint = int(scene.model.joint(f"{stove}_button").id)
    anchor = scene.data.xanchor[joint].copy()
    cloud = scene.geom_cloud(scene.geoms_of_body(int(scene.model.jnt_bodyid[joint])))
    top = float(cloud[:, 2].max())
    upper = (cloud[cloud[:, 2] > top - 0.02] - anchor)[:, :2]
    long_axis = np.linalg.eigh(np.cov(upper.T))[1][:, 1]
    reach = upper @ long_axis
    if abs(reach.min()) > reach.max():
        long_axis, reach = -long_axis, -reach
    return Knob(joint, anchor, np.append(long_axis, 0.0), (float(reach.max()), float(reach.min())), top)


def turn_on(arm: Arm, scene: Scene, stove: str, *, attempt: int = 0) -> Actions:
    """Turn the knob of a stove; every third attempt pushes instead of twisting.

    Raises:
        StuckError: The knob did not turn far enough.
    """
    knob = find_knob(scene, stove)
    if attempt % 3 == 2:
        yield from _push(arm, scene, knob, attempt // 3 % 4)
    else:
        depth = _TWIST_DEPTHS[attempt % 3]
        yield from _twist(arm, scene, knob, knob.yaw, _TWIST_ON, depth, lambda: scene.joint_position(knob.joint) > _TWISTED)
        _check_on(scene, knob)
        yield from _leave(arm)
    arm.rotation_goal = down()


def turn_off(arm: Arm, scene: Scene, stove: str, *, attempt: int = 0) -> Actions:
    """Twist the knob of a stove back to its stop.

    Raises:
        StuckError: The knob did not turn far enough.
    """
    knob = find_knob(scene, stove)
    way = scene.joint_position(knob.joint) + _BEYOND
    yaw = min(knob.yaw, knob.yaw + np.pi, key=lambda yaw: abs(yaw - way / 2))  # so the wrist turns about its middle
    depth = _TWIST_DEPTHS[attempt % len(_TWIST_DEPTHS)]
    yield from _twist(arm, scene, knob, yaw, -way, depth, lambda: scene.joint_position(knob.joint) < _OFF)
    if (position := scene.joint_position(knob.joint)) >= _OFF:
        raise StuckError(f"the knob turned back to {position:.2f} rad, not below {_OFF} rad: the lever slipped")
    yield from _leave(arm)
    arm.rotation_goal = down()


def _twist(arm: Arm, scene: Scene, knob: Knob, yaw: float, way: float, depth: float, until: Callable[[], bool]) -> Actions:
    """Grip the lever with the hand turned by `yaw` [rad] and twist by `way` [rad], less where `until` holds before."""
    grip = knob.grip(depth)
    arm.phase, arm.gripper, arm.rotation_goal = "reach", OPEN, down(yaw)
    yield from arm.raise_to(max(arm.position[2], scene.table_height + 0.22))
    yield from arm.move(np.array([*grip[:2], knob.top + 0.08]), within=0.015, within_angle=0.1, ticks=90)
    arm.phase = "align"
    yield from arm.move(grip, within=0.005, within_angle=0.08, ticks=60, speed=0.5)
    yield from arm.hold(6, CLOSE)
    arm.phase = "turn"
    for step in range(1, round(abs(way) / _TWIST_STEP) + 1):
        yield from arm.move(grip, down(yaw + step * np.copysign(_TWIST_STEP, way)), within=0.02, within_angle=0.03, ticks=_TWIST_TICKS)
        if until():
            break


def _leave(arm: Arm) -> Actions:
    arm.phase = "release"
    yield from arm.hold(3, OPEN)
    arm.phase = "retreat"
    yield from arm.move(arm.position + [0, 0, 0.12], arm.rotation, within=0.03, within_angle=9.0, ticks=40)


def _push(arm: Arm, scene: Scene, knob: Knob, variant: int) -> Actions:
    """Sweep one end of the lever round with closed fingers; the variant chooses the end and how close to it."""
    side = 1 if variant % 2 == 0 else -1
    radius = (knob.ends[0] if side > 0 else -knob.ends[1]) - (0.002 if variant < 2 else 0.010)
    outward = knob.lever * side
    ahead = np.cross([0.0, 0.0, 1.0], outward)
    height = np.array([0.0, 0.0, knob.top - 0.004 - knob.anchor[2]])
    start = knob.anchor + outward * radius - ahead * 0.045 + height
    end = knob.anchor + outward * radius * 0.55 + ahead * 0.035 + height
    arm.phase, arm.rotation_goal = "reach", down()
    yield from arm.raise_to(max(arm.position[2], scene.table_height + 0.22))
    arm.gripper = CLOSE
    yield from arm.move(start + [0, 0, 0.10], within=0.02, within_angle=0.2, ticks=90)
    arm.phase = "align"
    yield from arm.move(start, within=0.008, within_angle=0.1, ticks=60, speed=0.5)
    arm.phase = "turn"
    yield from arm.move(end, within_angle=9.0, ticks=60, speed=0.6, until=lambda: scene.joint_position(knob.joint) > _PUSHED)
    _check_on(scene, knob)
    arm.phase = "retreat"
    yield from arm.move(arm.position - ahead * 0.02, within=0.02, within_angle=9.0, ticks=10)
    yield from arm.raise_to(arm.position[2] + 0.15, ticks=40)


def _check_on(scene: Scene, knob: Knob) -> None:
    position = scene.joint_position(knob.joint)
    if position < _LEAST:
        raise StuckError(f"the knob turned to {position:.2f} rad, less than {_LEAST} rad: the lever slipped")
