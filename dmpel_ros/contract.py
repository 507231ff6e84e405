"""What a library expects of a robot, what the robot's parameters promise, and where the two differ.

Pure data: nothing here reads files or topics.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dmpel_core.errors import DmpelError


class ContractError(DmpelError):
    """Library and robot do not fit each other."""


@dataclass(frozen=True)
class Promise:
    """What a robot gives to a policy and takes from it; the fields are those of a library's `observation`.

    Attributes:
        cameras: (height, width, channels) [pixels] by camera.
        image_orientation: Which way up the pictures arrive.
        joints: Number of arm joints.
        gripper: Number of finger joints.
        action: What an action means: `kind`, `frame`, `linear_m` and `angular_rad` of a full step.
        rate_hz: Ticks per second [Hz].
    """

    cameras: Mapping[str, tuple[int, int, int]]
    image_orientation: str
    joints: int
    gripper: int
    action: Mapping[str, Any]
    rate_hz: float


ACTION_PARAMETERS = {"kind": "action_kind", "frame": "action_frame", "linear_m": "action_linear", "angular_rad": "action_angular"}
"""The robot's parameters by what a library says of its actions."""

OLD_ACTIONS = {
    "OSC_POSE delta in [-1, 1] (0.05 m, 0.5 rad), then gripper (-1 open, +1 close)": {
        "kind": "pose_delta", "frame": "base", "linear_m": 0.05, "angular_rad": 0.5,
    },
}  # fmt: skip
"""What libraries of the first release say in a sentence."""

REMEDIES = {
    "image_orientation": "turn the pictures at the camera's driver, then set 'image_orientation'",
    "joints": "name the arm's joints in 'arm_joints'",
    "gripper": "name the fingers' joints in 'finger_joints'",
    "rate_hz": "set 'rate'",
}


def mismatches(expected: Mapping[str, Any], promise: Promise) -> Iterator[str]:
    """Yield a sentence, naming both sides and the remedy, for everything that a library's `observation` wants otherwise."""
    yield from _camera_mismatches(expected.get("cameras", {}), promise.cameras)
    for field, remedy in REMEDIES.items():
        given = getattr(promise, field)
        if field in expected and expected[field] != given:
            yield f"{field}: the library expects {expected[field]!r}, the robot gives {given!r}: {remedy}"
    yield from _action_mismatches(expected.get("action", {}), promise.action)


def _action_mismatches(expected: Mapping[str, Any] | str, given: Mapping[str, Any]) -> Iterator[str]:
    fields = OLD_ACTIONS.get(expected, {"kind": expected}) if isinstance(expected, str) else expected
    for field, value in fields.items():
        if value != given.get(field):
            remedy = f"have the arm's controller understand it, then set '{ACTION_PARAMETERS.get(field, 'action_kind')}'"
            yield f"action's {field}: the library expects {value!r}, the robot gives {given.get(field)!r}: {remedy}"


def _camera_mismatches(expected: Mapping[str, Any], given: Mapping[str, tuple[int, int, int]]) -> Iterator[str]:
    for name, shape in expected.items():
        if name not in given:
            yield f"cameras: the library expects '{name}', the robot gives {', '.join(given)}"
        elif tuple(shape) != given[name]:
            yield f"camera {name}: the library expects {list(shape)} pixels, the robot gives {list(given[name])}: set 'image_size'"


def check(expected: Mapping[str, Any], promise: Promise) -> None:
    """Make sure that a library's `observation` is what the robot gives.

    Raises:
        ContractError: Something differs; the message lists all of it.
    """
    found = list(mismatches(expected, promise))
    if found:
        raise ContractError("the library does not fit the robot: " + "; ".join(found))
