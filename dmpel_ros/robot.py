"""The robot as the node's parameters describe it, in the form that each part of the node wants.

One function per part; nothing here keeps state.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from rclpy.node import Node

from dmpel_core.errors import DmpelError
from dmpel_core.experts.signature import read_public_key
from dmpel_ros.contract import ACTION_PARAMETERS, Promise
from dmpel_ros.control import Patience
from dmpel_ros.guard import Limits
from dmpel_ros.kinematics import Chain
from dmpel_ros.outputs import OutputSettings, Ranges, Scales
from dmpel_ros.parameters import read
from dmpel_ros.senses import Body, Senses
from dmpel_ros.skills import Permission


def promise(node: Node) -> Promise:
    """Return what the robot gives to a policy and takes from it."""
    size = read(node, "image_size")
    return Promise(
        cameras=dict.fromkeys(("agentview", "eye_in_hand"), (size, size, 3)),
        image_orientation=read(node, "image_orientation"),
        joints=len(read(node, "arm_joints")),
        gripper=len(read(node, "finger_joints")),
        action={field: read(node, parameter) for field, parameter in ACTION_PARAMETERS.items()},
        rate_hz=read(node, "rate"),
    )


def body(node: Node) -> Body:
    """Return the robot's joints."""
    arm, fingers = list(read(node, "arm_joints")), list(read(node, "finger_joints"))
    signs = _vector(node, "finger_signs", len(fingers))
    return Body(arm, fingers, signs, _vector(node, "joint_low", len(arm)), _vector(node, "joint_high", len(arm)))


def senses(node: Node, topics: Mapping[str, str]) -> Senses:
    """Return how the robot's messages are read."""
    return Senses(body(node), read(node, "image_size"), topics, compressed=read(node, "compressed_pictures"))


def chain(node: Node) -> Chain:
    """Return the arm's kinematics."""
    return Chain.from_parameters(read(node, "dh"), read(node, "tool"), len(read(node, "arm_joints")))


def max_ages(node: Node, topics: Mapping[str, str]) -> dict[str, float]:
    """Return the oldest message of each topic that may be acted on [s]."""
    pictures, joints = read(node, "max_picture_age"), read(node, "max_joints_age")
    return {topic: joints if source == "joints" else pictures for source, topic in topics.items()}


def limits(node: Node) -> Limits:
    """Return what the guard enforces."""
    action, change, jerk = (_vector(node, f"{name}_limit", 6) for name in ("action", "change", "jerk"))
    low, high = _vector(node, "box_low", 3), _vector(node, "box_high", 3)
    if (low >= high).any():
        raise DmpelError(f"the box is empty: 'box_low' is {low.tolist()}, 'box_high' {high.tolist()}")
    return Limits(action, change, jerk, round(read(node, "ramp") * read(node, "rate")), low, high, read(node, "action_linear"))


def patience(node: Node) -> Patience:
    """Return when the controller gives up."""
    return Patience(read(node, "max_compute"), read(node, "max_faults"))


def permission(node: Node, library: Path) -> Permission:
    """Return what may be loaded, when `library` is what the node starts with."""
    root = read(node, "library_root")
    return Permission(read(node, "allow_loading"), Path(root) if root else library, read(node, "gate"))


def signed_by(node: Node) -> bytes | None:
    """Return the public key that every generation must be signed by, or None where none need be.

    Raises:
        DmpelError: A signature is required, and there is no key to check it with.
    """
    if not read(node, "require_signed"):
        return None
    if not read(node, "public_key"):
        raise DmpelError("'require_signed' is set and 'public_key' is empty: name the file that holds the public key")
    return read_public_key(Path(read(node, "public_key")))


def output_settings(node: Node, kinematics: Chain) -> OutputSettings:
    """Return how the arm is commanded."""
    joints = body(node)
    return OutputSettings(
        output=read(node, "output"),
        command_frame=read(node, "command_frame"),
        time_from_start=read(node, "time_from_start"),
        arm_joints=joints.arm,
        scales=Scales(read(node, "linear_scale"), read(node, "angular_scale")),
        ranges=Ranges(joints.low, joints.high, read(node, "max_lead")),
        chain=kinematics,
    )


def gripper_commands(node: Node) -> tuple[np.ndarray, np.ndarray]:
    """Return the commands that open and that close the gripper."""
    return np.asarray(read(node, "gripper_open")), np.asarray(read(node, "gripper_closed"))


def _vector(node: Node, name: str, length: int) -> np.ndarray:
    """Return a parameter as an array.

    Raises:
        DmpelError: It has another length or a number that is not finite.
    """
    values = np.asarray(read(node, name), np.float64)
    if values.shape != (length,) or not np.isfinite(values).all():
        raise DmpelError(f"the parameter '{name}' must be {length} finite numbers, it is {values.tolist()}")
    return values
