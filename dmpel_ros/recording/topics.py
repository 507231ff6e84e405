"""Which topics a recording holds: everything that the policy acts on, commands and tells, by the robot's own parameters."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import Float32MultiArray, Float64MultiArray, String

from dmpel_core.errors import DmpelError
from dmpel_ros import policy_parameters, qos
from dmpel_ros.outputs import command_type

SOURCES = ("agentview", "eye_in_hand", "joints")

DEPTH = 100
"""Messages that may wait for the recorder: five seconds, in which a disk may pause, of what comes once per tick."""

SENSOR = QoSProfile(depth=DEPTH, reliability=ReliabilityPolicy.BEST_EFFORT, durability=DurabilityPolicy.VOLATILE)
RELIABLE = QoSProfile(depth=DEPTH, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.VOLATILE)

ROBOT = tuple(row for group in ("Engine", "Contract", "Inputs", "Arm", "Output") for row in policy_parameters.GROUPS[group])
"""The policy's parameters that say what its engine and its robot are: the recorder takes them too, and keeps them in the file."""

MARK = "/recording/mark"
"""Topic under which a recording holds what a person said of an episode: begin, keep or discard."""


@dataclass(frozen=True)
class Topic:
    """One recorded topic: the type of its messages and how to subscribe to it."""

    kind: type
    profile: QoSProfile


class Robot:
    """Parameters from a recording in the place of a node that holds them."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        """Take what a recording says."""
        self._parameters = parameters

    def get_parameter(self, name: str) -> SimpleNamespace:
        """Return what a node would.

        Raises:
            DmpelError: The recording does not say.
        """
        if name not in self._parameters:
            raise DmpelError(f"the recording lacks the robot's parameter '{name}': it was made by another version of dmpel")
        return SimpleNamespace(value=self._parameters[name])


def inputs(robot: Mapping[str, Any]) -> dict[str, str]:
    """Return the topics of the three inputs by source."""
    return {source: robot[f"{source}_topic"] for source in SOURCES}


def commands(robot: Mapping[str, Any]) -> dict[str, type]:
    """Return the types of the two commands by topic: the gripper first, as the policy publishes them."""
    return {robot["gripper_topic"]: Float64MultiArray, robot["command_topic"]: command_type(robot["output"])}


def tick_topic(policy: str) -> str:
    """Return where a policy node tells its ticks."""
    return f"{policy}/tick"


def recorded(robot: Mapping[str, Any], policy: str) -> dict[str, Topic]:
    """Return what to record, by topic.

    Args:
        robot: Values of the parameters in `ROBOT`.
        policy: Full name of the policy node.
    """
    picture = CompressedImage if robot["compressed_pictures"] else Image
    kinds = {"agentview": picture, "eye_in_hand": picture, "joints": JointState}
    return {
        # In this order: of what is waiting at the same moment the executor takes the first, and an action follows its observation.
        **{topic: Topic(kinds[source], SENSOR) for source, topic in inputs(robot).items()},
        **{topic: Topic(kind, RELIABLE) for topic, kind in commands(robot).items()},
        tick_topic(policy): Topic(String, RELIABLE),
        f"{policy}/routing": Topic(Float32MultiArray, RELIABLE),
        f"{policy}/timing": Topic(Float64MultiArray, RELIABLE),
        f"{policy}/status": Topic(DiagnosticStatus, qos.LATCHED),
        f"{policy}/library": Topic(DiagnosticStatus, qos.LATCHED),
        f"{policy}/instruction": Topic(String, qos.LATCHED),
        "/simulation/episode": Topic(DiagnosticStatus, qos.LATCHED),
        "/diagnostics": Topic(DiagnosticArray, RELIABLE),
        "/clock": Topic(Clock, SENSOR),
    }
