"""Messages to numpy and back."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image as Pillow
from sensor_msgs.msg import CompressedImage, Image, JointState

from dmpel_ros import messages
from dmpel_ros.messages import MessageError

PICTURE = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def padded(picture: np.ndarray, encoding: str, padding: int) -> Image:
    rows = np.pad(picture.reshape(8, 24), ((0, 0), (0, padding)), constant_values=7)
    return Image(height=8, width=8, encoding=encoding, step=24 + padding, data=rows.tobytes())


def test_a_picture_survives_the_round_trip() -> None:
    message = messages.to_image(PICTURE, 1_250_000_000, "camera")
    assert (message.header.stamp.sec, message.header.stamp.nanosec, message.header.frame_id) == (1, 250_000_000, "camera")
    np.testing.assert_array_equal(messages.from_image(message, 8), PICTURE)


@pytest.mark.parametrize("padding", [0, 8])
def test_padding_and_colour_order_are_honoured(padding: int) -> None:
    np.testing.assert_array_equal(messages.from_image(padded(PICTURE, "rgb8", padding), 8), PICTURE)
    np.testing.assert_array_equal(messages.from_image(padded(PICTURE, "bgr8", padding), 8), PICTURE[..., ::-1])


@pytest.mark.parametrize(("encoding", "channels"), [("rgba8", [0, 1, 2]), ("bgra8", [2, 1, 0]), ("mono8", [0, 0, 0])])
def test_other_encodings_become_rgb(encoding: str, channels: list[int]) -> None:
    depth = 1 if encoding == "mono8" else 4
    pixels = np.random.default_rng(1).integers(0, 256, (8, 8, depth), dtype=np.uint8)
    message = Image(height=8, width=8, encoding=encoding, step=8 * depth, data=pixels.tobytes())
    np.testing.assert_array_equal(messages.from_image(message, 8), pixels[..., channels])


def compressed(size: int, kind: str) -> CompressedImage:
    file = io.BytesIO()
    Pillow.fromarray(np.resize(PICTURE, (size, size, 3))).save(file, kind)
    return CompressedImage(format=kind, data=file.getvalue())


def test_a_png_is_the_picture_and_a_jpeg_nearly() -> None:
    np.testing.assert_array_equal(messages.from_compressed(compressed(8, "png"), 8), PICTURE)
    grey = CompressedImage(format="jpeg")
    file = io.BytesIO()
    Pillow.fromarray(np.full((8, 8, 3), 100, np.uint8)).save(file, "jpeg")
    grey.data = file.getvalue()
    np.testing.assert_allclose(messages.from_compressed(grey, 8), 100, atol=2)


@pytest.mark.fault
def test_a_compressed_picture_that_is_broken_or_of_another_size_is_refused() -> None:
    whole = compressed(8, "png")
    for data in (b"", b"not a picture", bytes(whole.data)[:40]):
        with pytest.raises(MessageError, match="cannot be decoded as JPEG or PNG"):
            messages.from_compressed(CompressedImage(format="png", data=data), 8)
    for size, words in ((9_000, "9000x9000"), (20_000, "decompression bomb")):
        with pytest.raises(MessageError, match=words):
            messages.from_compressed(promising(size), 8)


def promising(size: int) -> CompressedImage:
    """Return a PNG whose header promises far more pixels than it holds."""
    data = bytearray(compressed(8, "png").data)
    data[16:24] = struct.pack(">II", size, size)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    return CompressedImage(format="png", data=bytes(data))


def test_a_view_that_is_not_contiguous_is_written_right() -> None:
    flipped = PICTURE[::-1]
    np.testing.assert_array_equal(messages.from_image(messages.to_image(flipped, 0, ""), 8), flipped)


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        (padded(PICTURE, "32FC1", 0), "encoding is '32FC1', expected one of rgb8, bgr8"),
        (messages.to_image(PICTURE[:4], 0, ""), "8x4"),
        (Image(height=8, width=8, encoding="rgb8", step=24, data=bytes(100)), "100 bytes"),
        (Image(height=8, width=8, encoding="rgb8", step=8, data=bytes(192)), "rows of 8"),
    ],
)
def test_a_picture_that_breaks_its_promise_is_refused(message: Image, fault: str) -> None:
    with pytest.raises(MessageError, match=fault):
        messages.from_image(message, 8)


def test_joints_are_found_by_name() -> None:
    message = messages.to_joint_state(["wheel", "b", "a"], np.array([9.0, 2.0, 1.0]), 0)
    np.testing.assert_array_equal(messages.from_joint_state(message, ["a", "b"]), [1.0, 2.0])


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        (JointState(name=["a", "b", "a"], position=[0.0, 0.0, 0.0]), "name a joint twice"),
        (JointState(name=["a"], position=[0.0]), "lack b; they hold a"),
        (JointState(name=["a", "b"], position=[0.0]), "2 joints and give 1"),
        (JointState(name=["a", "b"], position=[0.0, float("nan")]), "not a finite number"),
    ],
)
def test_joint_states_that_break_their_promise_are_refused(message: JointState, fault: str) -> None:
    with pytest.raises(MessageError, match=fault):
        messages.from_joint_state(message, ["a", "b"])


def test_tables_and_records_carry_their_names() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    back, (rows, columns) = messages.from_table(messages.to_table(values, ("image", "text"), ("a", "b, c", "d")))
    np.testing.assert_array_equal(back, values)
    assert (rows, columns) == (("image", "text"), ("a", "b, c", "d"))
    assert messages.from_record(messages.to_record((1.0, 2.5), ("stamp_s", "compute_ms"))) == {"stamp_s": 1.0, "compute_ms": 2.5}


def test_a_table_without_experts_is_a_table() -> None:
    back, (_, columns) = messages.from_table(messages.to_table(np.zeros((2, 0)), ("image", "text"), ()))
    assert back.shape == (2, 0)
    assert columns == ()


@pytest.mark.parametrize("nanoseconds", [0, 1, 999_999_999, 1_000_000_000, 1_795_330_616_766_105_518])
def test_stamps_lose_nothing(nanoseconds: int) -> None:
    assert messages.to_nanoseconds(messages.to_stamp(nanoseconds)) == nanoseconds
