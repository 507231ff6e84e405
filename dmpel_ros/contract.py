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
        action: What an action means.
        rate_hz: Ticks per second [Hz].
    """

    cameras: Mapping[str, tuple[int, int, int]]
    image_orientation: str
    joints: int
    gripper: int
    action: str
    rate_hz: float


REMEDIES = {
    "image_orientation": "turn the pictures at the camera's driver, then set 'image_orientation'",
    "joints": "name the arm's joints in 'arm_joints'",
    "gripper": "name the fingers' joints in 'finger_joints'",
    "action": "have the arm's controller understand it, then set 'action'",
    "rate_hz": "set 'rate'",
}


def mismatches(expected: Mapping[str, Any], promise: Promise) -> Iterator[str]:
    """Yield a sentence, naming both sides and the remedy, for everything that a library's `observation` wants otherwise."""
    yield from _camera_mismatches(expected.get("cameras", {}), promise.cameras)
    for field, remedy in REMEDIES.items():
        given = getattr(promise, field)
        if field in expected and expected[field] != given:
            yield f"{field}: the library expects {expected[field]!r}, the robot gives {given!r}: {remedy}"


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
