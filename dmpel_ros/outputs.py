"""Actions as the commands that robots' controllers take, and what they are sent when the arm is to hold.

`twist` is for MoveIt Servo and the simulated arm, `positions` for forward_command_controller, `trajectory` for
joint_trajectory_controller. Nothing here decides whether to act.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import TwistStamped
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from dmpel_core.errors import DmpelError
from dmpel_ros import messages
from dmpel_ros.kinematics import Chain
from dmpel_ros.outcome import Acted

Publish = Callable[[object], None]


@dataclass(frozen=True)
class Scales:
    """What a full deflection is in the output's unit.

    Attributes:
        linear: [m] per tick for joint outputs, the controller's own unit for a twist.
        angular: [rad] per tick for joint outputs, the controller's own unit for a twist.
    """

    linear: float
    angular: float

    def step(self, action: np.ndarray) -> np.ndarray:
        """Return the tool's motion, (6,), for an action, (7,)."""
        return np.concatenate([self.linear * action[:3], self.angular * action[3:6]])


class Output(Protocol):
    """One way to command an arm."""

    def act(self, acted: Acted) -> None:
        """Send the arm command for one action."""

    def hold(self, joints: np.ndarray | None, now: int) -> None:
        """Keep the arm where it is, on every tick without an action that follows one with.

        Args:
            joints: Measured joint positions, (joints,) [rad], where they are known.
            now: Time on the node's clock [ns].
        """


class Twist:
    """Tool velocities. Holds by one zero, then silence, on which the controller's own time-out follows."""

    def __init__(self, publish: Publish, frame: str, scales: Scales) -> None:
        """Send twists in a frame; a full deflection is what the scales say."""
        self._publish, self._frame, self._scales = publish, frame, scales
        self._moving = False

    def act(self, acted: Acted) -> None:
        """Send the twist with the observation's stamp."""
        self._send(self._scales.step(acted.tick.action), acted.stamp)
        self._moving = True

    def hold(self, joints: np.ndarray | None, now: int) -> None:  # noqa: ARG002 - a velocity needs no position to hold
        """Send zero once."""
        if self._moving:
            self._send(np.zeros(6), now)
        self._moving = False

    def _send(self, step: np.ndarray, stamp: int) -> None:
        self._publish(messages.to_twist(step, stamp, self._frame))


@dataclass(frozen=True)
class Ranges:
    """Where joints may be sent, (joints,) [rad] each.

    Attributes:
        low: Lower ends.
        high: Upper ends.
        lead: How far a target may run ahead of the measured position, a single number.
    """

    low: np.ndarray
    high: np.ndarray
    lead: float


class Joints:
    """Joint targets that move by the tool's step. Holds at the position measured when the hold began.

    Targets build on the last target, not on the measured position: an arm that sags under its weight would otherwise sink
    by its own error on every tick.
    """

    def __init__(self, send: Callable[[np.ndarray], None], chain: Chain, scales: Scales, ranges: Ranges) -> None:
        """Give targets, (joints,) [rad], to `send`."""
        self._send, self._chain, self._scales, self._ranges = send, chain, scales, ranges
        self._target: np.ndarray | None = None
        self._held: np.ndarray | None = None

    def act(self, acted: Acted) -> None:
        """Move the target by one step, within the ranges and not far ahead of the arm."""
        measured, ranges = acted.observation.joints, self._ranges
        start = measured if self._target is None else np.clip(self._target, measured - ranges.lead, measured + ranges.lead)
        target = start + self._chain.joint_step(measured, self._scales.step(acted.tick.action))
        target = np.clip(target, measured - ranges.lead, measured + ranges.lead)
        self._target, self._held = np.clip(target, ranges.low, ranges.high), None
        self._send(self._target)

    def hold(self, joints: np.ndarray | None, now: int) -> None:  # noqa: ARG002 - a position needs no time to hold
        """Send the position that was measured first; nothing before the first action, nor while nothing is measured."""
        if self._held is None and self._target is not None and joints is not None:
            self._held = joints
        if self._held is not None:
            self._target = None
            self._send(self._held)


def to_trajectory(names: list[str], target: np.ndarray, seconds: float) -> JointTrajectory:
    """Return one point to reach in the given time [s], starting at once: its stamp is zero, as joint_trajectory_controller wants it."""
    nanoseconds = round(seconds * messages.SECOND)
    point = JointTrajectoryPoint(positions=[float(x) for x in target])
    point.time_from_start = Duration(sec=nanoseconds // messages.SECOND, nanosec=nanoseconds % messages.SECOND)
    return JointTrajectory(joint_names=names, points=[point])


class Gripper:
    """Finger commands: the policy's -1 opens and +1 closes; between them lies a straight line."""

    def __init__(self, opened: np.ndarray, closed: np.ndarray) -> None:
        """Give numbers between two commands, (fingers,) each, in the gripper controller's unit.

        Raises:
            DmpelError: They are not of one length.
        """
        if opened.shape != closed.shape or not opened.size:
            raise DmpelError(f"'gripper_open' has {opened.size} numbers and 'gripper_closed' {closed.size}: give one per actuated finger")
        self._opened, self._closed = opened, closed

    def command(self, action: float) -> Float64MultiArray:
        """Return the command for the gripper's part of an action, in [-1, 1]."""
        share = 0.5 * (action + 1.0)
        return Float64MultiArray(data=[float(x) for x in self._opened + share * (self._closed - self._opened)])


COMMANDS: dict[str, type] = {"twist": TwistStamped, "positions": Float64MultiArray, "trajectory": JointTrajectory}
"""The outputs by name, with the type of their messages."""


@dataclass(frozen=True)
class OutputSettings:
    """What an output is built from; most fields are the node's parameters of the same names."""

    output: str
    command_frame: str
    time_from_start: float
    arm_joints: list[str]
    scales: Scales
    ranges: Ranges
    chain: Chain


def command_type(output: str) -> type:
    """Return the type of an output's messages.

    Raises:
        DmpelError: There is no such output.
    """
    if output not in COMMANDS:
        raise DmpelError(f"no output '{output}'; valid outputs: {', '.join(COMMANDS)}")
    return COMMANDS[output]


def make_output(settings: OutputSettings, publish: Publish) -> Output:
    """Return the output that the settings name; its messages go to `publish`."""
    if settings.output == "twist":
        return Twist(publish, settings.command_frame, settings.scales)

    def send(target: np.ndarray) -> None:
        if settings.output == "positions":
            publish(Float64MultiArray(data=[float(x) for x in target]))
        else:
            publish(to_trajectory(settings.arm_joints, target, settings.time_from_start))

    return Joints(send, settings.chain, settings.scales, settings.ranges)
