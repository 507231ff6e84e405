"""A policy node with the smallest engine, in this process: how it is made, what it is given and what it has told."""

from collections.abc import Callable
from typing import Any

import numpy as np
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState

from dmpel_ros import messages
from dmpel_ros.policy_node import PolicyNode
from tests.ros.fakes import POSE, SIZE
from tests.ros.recording import RecordingPolicy, status_values

GRIPPER, TWIST = "/gripper_controller/commands", "/servo_node/delta_twist_cmds"
NAMES = ["panda_finger_joint2", *(f"panda_joint{i}" for i in range(7, 0, -1)), "wheel", "panda_finger_joint1"]
POSITIONS = np.array([0.04, *POSE[::-1], 99.0, 0.03])
CONFIGURE, ACTIVATE, DEACTIVATE = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_DEACTIVATE

Make = Callable[..., RecordingPolicy]


def give(node: PolicyNode, age: int = 0, size: int = SIZE, names: list[str] = NAMES, positions: np.ndarray = POSITIONS) -> int:
    """Hand the node one observation of the given age [ns] and return its stamp [ns]."""
    stamp = node.get_clock().now().nanoseconds - age
    for camera, brightness in (("agentview", 10), ("eye_in_hand", 20)):
        picture = messages.to_image(np.full((size, size, 3), brightness, np.uint8), stamp, "camera")
        node._inbox.put(node._topics[camera], picture, stamp)
    node._inbox.put(node._topics["joints"], messages.to_joint_state(names, positions[: len(names)], stamp), stamp)
    return stamp


def change(node: PolicyNode, transition: int) -> bool:
    """Ask for a transition as the service does."""
    request = ChangeState.Request(transition=Transition(id=transition))
    return node._LifecycleNodeMixin__on_change_state(request, ChangeState.Response()).success


def status(node: RecordingPolicy) -> dict[str, str]:
    return status_values(node.on("~/status")[-1])


def parts_of(twist: Any) -> tuple[float, ...]:
    linear, angular = twist.twist.linear, twist.twist.angular
    return (linear.x, linear.y, linear.z, angular.x, angular.y, angular.z)
