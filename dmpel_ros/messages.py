"""ROS 2 messages to numpy and back, without cv_bridge.

Nothing here knows a node, a topic or a policy.
"""

import array
import io
import json
import math
from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TwistStamped
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import Float32MultiArray, Float64MultiArray, Header, MultiArrayDimension, MultiArrayLayout

from dmpel_core.errors import DmpelError

SECOND = 1_000_000_000
"""Nanoseconds in a second; stamps are handled as whole nanoseconds so that equal stamps compare equal."""

CHANNELS = {"rgb8": (0, 1, 2), "bgr8": (2, 1, 0), "rgba8": (0, 1, 2, 3), "bgra8": (2, 1, 0, 3), "mono8": (0,)}
"""Where red, green, blue and what the policy does not use lie in a pixel, by encoding."""


class MessageError(DmpelError):
    """A message does not hold what its topic promises."""


def to_stamp(nanoseconds: int) -> Time:
    """Return the message form of a point in time [ns]."""
    return Time(sec=nanoseconds // SECOND, nanosec=nanoseconds % SECOND)


def to_nanoseconds(stamp: Time) -> int:
    """Return a stamp as [ns]."""
    return stamp.sec * SECOND + stamp.nanosec


def _filled(typecode: str, values: np.ndarray) -> array.array:
    """Return the values as an array.array, the one container that rclpy takes over without a Python loop per byte."""
    filled = array.array(typecode)
    filled.frombytes(np.ascontiguousarray(values).tobytes())
    return filled


def to_image(pixels: np.ndarray, nanoseconds: int, frame: str) -> Image:
    """Return an rgb8 message.

    Args:
        pixels: (height, width, 3), uint8, RGB, row 0 at the top.
        nanoseconds: Time of exposure [ns].
        frame: Name of the camera's optical frame.
    """
    height, width, _ = pixels.shape
    message = Image(header=Header(stamp=to_stamp(nanoseconds), frame_id=frame), height=height, width=width, encoding="rgb8", step=3 * width)
    message.data = _filled("B", pixels)
    return message


def from_image(message: Image, size: int) -> np.ndarray:
    """Return the picture as (size, size, 3), uint8, RGB; rows may be padded (`step`), grey becomes three equal channels.

    Raises:
        MessageError: The encoding or the size is another one, or the data are shorter than the header says.
    """
    order = CHANNELS.get(message.encoding)
    if order is None:
        raise MessageError(
            f"the picture's encoding is '{message.encoding}', expected one of {', '.join(CHANNELS)}: set it at the camera driver"
        )
    _check_size(message.width, message.height, size)
    width = len(order) * size
    if message.step < width or len(message.data) < size * message.step:
        raise MessageError(f"the picture has {len(message.data)} bytes in rows of {message.step}, expected {size} rows of at least {width}")
    rows = np.frombuffer(message.data, np.uint8, size * message.step).reshape(size, message.step)
    pixels = rows[:, :width].reshape(size, size, len(order))  # drops the padding at the end of each row
    if message.encoding == "rgb8":
        return pixels
    return np.ascontiguousarray(np.broadcast_to(pixels[..., order[:3]], (size, size, 3)))


def from_compressed(message: CompressedImage, size: int) -> np.ndarray:
    """Return a JPEG or PNG picture as (size, size, 3), uint8, RGB.

    Raises:
        MessageError: It cannot be decoded, or has another size.
    """
    from PIL import Image as Pillow  # imported here: raw pictures need no decoder

    try:
        with Pillow.open(io.BytesIO(message.data), formats=("JPEG", "PNG")) as picture:
            _check_size(*picture.size, size)  # before the pixels are decoded: a small file may unfold into gigabytes
            return np.asarray(picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Pillow.DecompressionBombError) as error:  # what Pillow raises on broken files
        raise MessageError(f"the picture of format '{message.format}' cannot be decoded as JPEG or PNG: {error}") from error


def _check_size(width: int, height: int, size: int) -> None:
    if (width, height) != (size, size):
        raise MessageError(f"the picture is {width}x{height}, the policy was trained on {size}x{size}: crop and scale it at the camera")


def to_joint_state(names: Sequence[str], positions: np.ndarray, nanoseconds: int) -> JointState:
    """Return a message with positions [rad or m] in the order of the names."""
    message = JointState(header=Header(stamp=to_stamp(nanoseconds)), name=list(names))
    message.position = _filled("d", np.asarray(positions, np.float64))
    return message


def from_joint_state(message: JointState, names: Sequence[str]) -> np.ndarray:
    """Return the positions of the named joints, (len(names),), float64, whatever order and company they came in.

    Raises:
        MessageError: A joint is missing, or a position is not finite.
    """
    where = {name: index for index, name in enumerate(message.name)}
    if len(where) != len(message.name):
        raise MessageError(f"joint states name a joint twice: {', '.join(message.name)}")
    missing = [name for name in names if name not in where]
    if missing:
        raise MessageError(
            f"joint states lack {', '.join(missing)}; they hold {', '.join(message.name) or 'nothing'}: set the joint names' parameters"
        )
    if len(message.position) != len(message.name):
        raise MessageError(f"joint states name {len(message.name)} joints and give {len(message.position)} positions")
    positions = np.asarray(message.position)[[where[name] for name in names]]
    if not np.isfinite(positions).all():
        raise MessageError("joint states hold a position that is not a finite number")
    return positions


def to_twist(motion: np.ndarray, nanoseconds: int, frame: str) -> TwistStamped:
    """Return a message with a linear, then an angular motion, (6,), expressed in a frame."""
    message = TwistStamped(header=Header(stamp=to_stamp(nanoseconds), frame_id=frame))
    linear, angular = message.twist.linear, message.twist.angular
    linear.x, linear.y, linear.z, angular.x, angular.y, angular.z = map(float, motion)
    return message


def from_twist(message: TwistStamped) -> np.ndarray:
    """Return the linear, then the angular motion, (6,)."""
    linear, angular = message.twist.linear, message.twist.angular
    return np.array([linear.x, linear.y, linear.z, angular.x, angular.y, angular.z])


def to_table(values: np.ndarray, *axes: Sequence[str]) -> Float32MultiArray:
    """Return a table with one axis for each list of names; each dimension's label is the list as JSON."""
    sizes = [len(names) for names in axes]
    dimensions = [
        MultiArrayDimension(label=json.dumps(list(names)), size=len(names), stride=math.prod(sizes[place:]))
        for place, names in enumerate(axes)
    ]
    message = Float32MultiArray(layout=MultiArrayLayout(dim=dimensions))
    message.data = _filled("f", np.asarray(values, np.float32))
    return message


def from_table(message: Float32MultiArray) -> tuple[np.ndarray, list[tuple[str, ...]]]:
    """Return the table and the names along each of its axes."""
    axes = [tuple(json.loads(dimension.label)) for dimension in message.layout.dim]
    return np.asarray(message.data, np.float32).reshape([len(names) for names in axes]), axes


def to_record(values: Sequence[float], fields: Sequence[str]) -> Float64MultiArray:
    """Return one row of numbers; the label is a JSON list of the names of its fields."""
    dimension = MultiArrayDimension(label=json.dumps(list(fields)), size=len(fields), stride=len(fields))
    message = Float64MultiArray(layout=MultiArrayLayout(dim=[dimension]))
    message.data = array.array("d", values)
    return message


def from_record(message: Float64MultiArray) -> dict[str, float]:
    """Return the numbers by the names of their fields."""
    return dict(zip(json.loads(message.layout.dim[0].label), message.data, strict=True))
