"""The robot's messages as the policy's observation, each checked against what the robot's parameters say of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sensor_msgs.msg import CompressedImage, Image, JointState

from dmpel_core.observation import Observation
from dmpel_ros import messages
from dmpel_ros.messages import MessageError

RANGE_MARGIN = 0.1
"""How far a measured joint may lie outside of its range [rad]: encoders are offset a little, degrees are off by far more."""


@dataclass(frozen=True)
class Body:
    """What a robot's joints are.

    Attributes:
        arm: Names of the arm joints, base first.
        fingers: Names of the finger joints.
        finger_signs: Sign of each finger's position in the training data, (fingers,).
        low: Lower ends of the arm joints' ranges, (joints,) [rad].
        high: Upper ends, (joints,) [rad].
    """

    arm: list[str]
    fingers: list[str]
    finger_signs: np.ndarray
    low: np.ndarray
    high: np.ndarray


class Senses:
    """Reads one robot's messages."""

    def __init__(self, body: Body, size: int, topics: Mapping[str, str], *, compressed: bool) -> None:
        """Read pictures of `size` [pixels] and joint states.

        Args:
            body: The robot's joints.
            size: Width and height of both pictures [pixels].
            topics: Topic of `agentview`, `eye_in_hand` and `joints`.
            compressed: Whether pictures arrive as JPEG or PNG.
        """
        self._body, self._size, self._compressed = body, size, compressed
        self.topics = dict(topics)

    def kind(self, source: str) -> type:
        """Return the type of a source's messages."""
        if source == "joints":
            return JointState
        return CompressedImage if self._compressed else Image

    def read(self, source: str, message: Any) -> np.ndarray:
        """Return a picture, (size, size, 3), uint8, or the joint positions, arm then fingers.

        Raises:
            MessageError: The message does not hold what the robot's parameters say; the topic is named.
        """
        try:
            return self._joints(message) if source == "joints" else self._picture(message)
        except MessageError as error:
            raise MessageError(f"{self.topics[source]}: {error}") from error

    def observation(self, received: Mapping[str, Any]) -> Observation:
        """Return the observation that messages, by topic, make together.

        Raises:
            MessageError: One of them does not hold what it should.
        """
        read = {source: self.read(source, received[topic]) for source, topic in self.topics.items()}
        arm, joints = len(self._body.arm), read["joints"]
        return Observation(read["agentview"], read["eye_in_hand"], joints[:arm], joints[arm:] * self._body.finger_signs)

    def arm(self, message: JointState) -> np.ndarray:
        """Return the arm's joint positions alone, (joints,) [rad]."""
        return self.read("joints", message)[: len(self._body.arm)]

    def _picture(self, message: Any) -> np.ndarray:
        return (messages.from_compressed if self._compressed else messages.from_image)(message, self._size)

    def _joints(self, message: JointState) -> np.ndarray:
        body = self._body
        positions = messages.from_joint_state(message, body.arm + body.fingers)
        outside = (positions[: len(body.arm)] < body.low - RANGE_MARGIN) | (positions[: len(body.arm)] > body.high + RANGE_MARGIN)
        if outside.any():
            first = int(np.flatnonzero(outside)[0])
            raise MessageError(
                f"{body.arm[first]} is at {positions[first]:.3g} rad, its range is {body.low[first]:.3g} to {body.high[first]:.3g}: "
                "see that the driver sends radians, or set 'joint_low' and 'joint_high'"
            )
        return positions
