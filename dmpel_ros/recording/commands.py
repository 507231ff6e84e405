"""The commands of a recording as the policy's actions, one for each tick.

Twists carry the stamp of the observation that they answer. Joint targets carry none: they belong to the tick in which they
were received, and what they mean for the tool comes from the arm's kinematics.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

import numpy as np
from geometry_msgs.msg import TwistStamped
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from dmpel_core.errors import DmpelError
from dmpel_ros import messages, robot
from dmpel_ros.messages import MessageError
from dmpel_ros.outputs import command_type
from dmpel_ros.recording.bag import Bag
from dmpel_ros.recording.observations import Sight, Stamps, read
from dmpel_ros.recording.topics import Robot

OPEN = -1.0
"""Where a gripper is that nobody has commanded."""


class EpisodeError(DmpelError):
    """A recording does not hold what a demonstration needs."""


class Commands(Protocol):
    """What was commanded, as actions, (7,) in [-1, 1] each."""

    def answers(self, ticks: Sequence[Stamps]) -> list[np.ndarray]:
        """Return what the policy commanded at each of its own ticks."""

    def during(self, ticks: Sequence[Stamps]) -> list[np.ndarray]:
        """Return what somebody commanded from each tick on and before the next one."""


def commands(bag: Bag) -> Commands:
    """Read the commands of a recording.

    Raises:
        EpisodeError: They cannot be read as actions.
    """
    if (_scales(bag.parameters) == 0.0).any():
        raise EpisodeError("'linear_scale' and 'angular_scale' must not be 0 to read actions from commands")
    return Twists(bag) if bag.parameters["output"] == "twist" else Targets(bag)


def _scales(parameters: Mapping[str, Any]) -> np.ndarray:
    return np.repeat([parameters["linear_scale"], parameters["angular_scale"]], 3)


class Hand:
    """A recording's gripper commands as the gripper's part of actions."""

    def __init__(self, bag: Bag) -> None:
        """Read the range of the gripper's commands."""
        self._opened, closed = robot.gripper_commands(Robot(bag.parameters))
        self._span = closed - self._opened

    def action(self, message: Float64MultiArray) -> float:
        """Return the action, in [-1, 1], that a command carries out.

        Raises:
            EpisodeError: The command is for another gripper.
        """
        span = self._span
        if len(message.data) != len(span):
            raise EpisodeError(f"a gripper command has {len(message.data)} numbers, 'gripper_open' {len(span)}: record with this gripper's")
        return float(np.clip(2.0 * (np.asarray(message.data) - self._opened) @ span / (span @ span) - 1.0, -1.0, 1.0))


class Twists:
    """Commands by their stamps."""

    def __init__(self, bag: Bag) -> None:
        """Read all commands; they are small."""
        self._period = round(1e9 / bag.parameters["rate"])
        self._stamps, self._actions = self._read(bag)

    @staticmethod
    def _read(bag: Bag) -> tuple[list[int], list[np.ndarray]]:
        """Return stamps [ns] in rising order and actions, (7,) each: the gripper does what it was told last before the twist."""
        hand, gripper, scales = Hand(bag), OPEN, _scales(bag.parameters)
        found: dict[int, np.ndarray] = {}
        for recorded in bag.messages({bag.parameters["command_topic"], bag.parameters["gripper_topic"]}):
            if recorded.topic == bag.parameters["gripper_topic"]:
                gripper = hand.action(read(recorded, Float64MultiArray))
            else:
                twist = read(recorded, TwistStamped)
                # The first one of a stamp: in simulated time the zero of a hold may follow under the same stamp.
                found.setdefault(messages.to_nanoseconds(twist.header.stamp), np.append(messages.from_twist(twist) / scales, gripper))
        stamps = sorted(found)
        return stamps, [found[stamp] for stamp in stamps]

    def answers(self, ticks: Sequence[Stamps]) -> list[np.ndarray]:
        """Return the twists that carry the ticks' stamps: what carries another one, such as the zero of a hold, is none of them."""
        return [self._between(min(tick.values()), min(tick.values()) + 1) for tick in ticks]

    def during(self, ticks: Sequence[Stamps]) -> list[np.ndarray]:
        """Return the first twist stamped from each tick on and before the next."""
        times = [min(tick.values()) for tick in ticks]
        return [self._between(time, after) for time, after in zip(times, [*times[1:], times[-1] + self._period], strict=True)]

    def _between(self, begin: int, end: int) -> np.ndarray:
        """Return the action, (7,), commanded first from one stamp on and before another [ns]; none means that the arm was to stay."""
        first = bisect_left(self._stamps, begin)
        if first < len(self._stamps) and self._stamps[first] < end:
            return np.clip(self._actions[first], -1.0, 1.0)
        return np.append(np.zeros(6), self._actions[first - 1][6] if first else OPEN)


class Targets:
    """Joint targets by when they were received: a tick's action is the way that the target went in it, as the tool's motion.

    Before anything was commanded the arm's target is where the arm is.
    """

    def __init__(self, bag: Bag) -> None:
        """Read all commands and joint states; they are small."""
        self._names, self._scales = list(bag.parameters["arm_joints"]), _scales(bag.parameters)
        self._chain = robot.chain(Robot(bag.parameters))
        self._period = round(1e9 / bag.parameters["rate"])
        self._received, self._measured = self._read_inputs(Sight(bag))
        self._times, self._targets, self._grips = self._read_commands(bag)

    @staticmethod
    def _read_inputs(sight: Sight) -> tuple[dict[tuple[str, int], int], dict[int, np.ndarray]]:
        """Return when each input was received [ns], by topic and stamp, and the joint positions, (joints,) [rad], by that time."""
        received, measured = {}, {}
        for recorded, message, stamp in sight.stamped():
            received[recorded.topic, stamp] = recorded.time
            if recorded.topic == sight.topics["joints"]:
                with suppress(MessageError):  # an observation that needs this one is refused later
                    measured[recorded.time] = sight.senses.arm(message)
        return received, measured

    def _read_commands(self, bag: Bag) -> tuple[list[int], list[np.ndarray], list[tuple[int, float]]]:
        """Return when targets were received, the targets, (joints,) [rad], and when the gripper was told what."""
        arm, gripper = bag.parameters["command_topic"], bag.parameters["gripper_topic"]
        hand, kind = Hand(bag), command_type(bag.parameters["output"])
        times, targets, grips = [], [], list[tuple[int, float]]()
        for recorded in bag.messages({arm, gripper}):
            if recorded.topic == gripper:
                grips.append((recorded.time, hand.action(read(recorded, Float64MultiArray))))
            else:
                times.append(recorded.time)
                targets.append(self._target(read(recorded, kind)))
        return times, targets, grips

    def _target(self, message: Float64MultiArray | JointTrajectory) -> np.ndarray:
        """Return the target, (joints,) [rad], in the order of `arm_joints`."""
        if isinstance(message, JointTrajectory):
            given = dict(zip(message.joint_names, message.points[-1].positions if message.points else (), strict=False))
        else:
            given = dict(zip(self._names, message.data, strict=False))
        if not given.keys() >= set(self._names):
            raise EpisodeError(f"a command is for the joints {', '.join(given) or 'of nobody'}, 'arm_joints' has {', '.join(self._names)}")
        return np.array([given[name] for name in self._names])

    def answers(self, ticks: Sequence[Stamps]) -> list[np.ndarray]:
        """Return what was commanded from each tick on and before the next."""
        return self.during(ticks)

    def during(self, ticks: Sequence[Stamps]) -> list[np.ndarray]:
        """Return what was commanded from each tick on and before the next."""
        if not self._measured:
            raise EpisodeError("nothing that can be read came on 'joints_topic': see that the driver runs, and record it again")
        # An observation that is not in the recording has no time; whoever wants it is told so.
        times = [max((self._received[item] for item in tick.items() if item in self._received), default=0) for tick in ticks]
        return [self._between(time, after) for time, after in zip(times, [*times[1:], times[-1] + self._period], strict=True)]

    def _between(self, begin: int, end: int) -> np.ndarray:
        """Return the action, (7,), of what was received from one time on and before another [ns]."""
        motion = self._chain.motion(self._target_at(begin), self._target_at(end))
        grip = bisect_left(self._grips, (end, -np.inf))
        return np.clip(np.append(motion / self._scales, self._grips[grip - 1][1] if grip else OPEN), -1.0, 1.0)

    def _target_at(self, time: int) -> np.ndarray:
        """Return the last target before a time [ns]; without one, where the arm was seen last."""
        place = bisect_left(self._times, time)
        if place:
            return self._targets[place - 1]
        return self._measured[max((seen for seen in self._measured if seen <= time), default=min(self._measured))]
