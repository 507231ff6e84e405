"""MCAP files with ROS 2 messages: written so that a kill or a full disk leaves a readable file, and read up to where they end.

Messages go into chunks, and a chunk goes to the disk as soon as it is full: whatever happens, only the last chunk can be
lost. Nothing here knows a node or a policy; messages stay the bytes that the middleware carried.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcap.exceptions import McapError
from mcap.records import Channel, Message, Metadata, Schema
from mcap.stream_reader import StreamReader
from mcap.writer import CompressionType, Writer
from zstandard import ZstdError

from dmpel_core.errors import DmpelError
from dmpel_ros.recording.definitions import definition, type_name

CHUNK = 1 << 18
"""Size of a chunk [bytes], which is what a kill can lose: an eighth of a second of two cameras of 128x128 at 20 Hz."""

ABOUT = "dmpel"
"""Name of the metadata record that holds the robot's parameters."""


class BagError(DmpelError):
    """A recording cannot be written or read."""


class BagWriter:
    """A file that grows."""

    def __init__(self, path: Path, parameters: Mapping[str, Any], kinds: Mapping[str, type]) -> None:
        """Begin a new file.

        Args:
            path: The file, which must not exist.
            parameters: The robot's parameters, kept in the file's head.
            kinds: Type of the messages by topic.

        Raises:
            BagError: The file cannot be made.
        """
        self.path = path
        self.counts = dict.fromkeys(kinds, 0)
        definitions = {topic: (type_name(kind), definition(type_name(kind))) for topic, kind in kinds.items()}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = path.open("xb")
            self._writer = Writer(self._stream, chunk_size=CHUNK, compression=CompressionType.ZSTD)
            self._begin(parameters, definitions)
        except OSError as error:
            raise BagError(f"cannot record into {path}: {error.strerror}; set 'folder' to one that can be written") from error

    def _begin(self, parameters: Mapping[str, Any], definitions: Mapping[str, tuple[str, str]]) -> None:
        self._writer.start(profile="ros2", library="dmpel")
        self._writer.add_metadata(ABOUT, {"parameters": json.dumps(dict(parameters))})
        self._stream.flush()
        self._channels = {}
        for topic, (name, text) in definitions.items():
            schema = self._writer.register_schema(name, "ros2msg", text.encode())
            self._channels[topic] = self._writer.register_channel(topic, "cdr", schema)

    def write(self, topic: str, data: bytes, time: int) -> None:
        """Append a serialized message that was received at a time [ns].

        Raises:
            BagError: The disk takes no more; the file is closed and readable up to there.
        """
        try:
            self._writer.add_message(self._channels[topic], time, data, time)
            self.counts[topic] += 1
        except OSError as error:
            self._abandon()
            raise BagError(f"{error.strerror} while recording: {self.path} is readable up to here; free the disk, record anew") from error

    def close(self) -> None:
        """Write the index and close.

        Raises:
            BagError: The disk takes no more; the file lacks its index, and is readable all the same.
        """
        try:
            self._writer.finish()
            self._stream.close()
        except OSError as error:
            self._abandon()
            raise BagError(f"{error.strerror} at the end of the recording: {self.path} has no index and is readable") from error

    def _abandon(self) -> None:
        try:
            self._stream.close()
        except OSError:  # what is still in the buffer fails again; the descriptor is closed all the same
            return


@dataclass(frozen=True)
class Recorded:
    """One message of a file.

    Attributes:
        topic: Where it was published.
        kind: Name of its type, such as sensor_msgs/msg/Image.
        time: When it was received [ns of wall time].
        data: The message, serialized.
    """

    topic: str
    kind: str
    time: int
    data: bytes


class Bag:
    """A recording to read, as often as needed.

    Attributes:
        parameters: The robot's parameters when it was recorded.
        damage: Why the file ends early, once it was read to there; None while nothing is wrong.
    """

    def __init__(self, path: Path) -> None:
        """Read the head.

        Raises:
            BagError: It is no recording of dmpel's.
        """
        self.path = path
        self.damage: str | None = None
        found = next((record for record in self._records() if isinstance(record, Metadata | Message)), None)
        if not isinstance(found, Metadata) or found.name != ABOUT:
            why = self.damage or "it does not begin with the robot's parameters"
            raise BagError(f"{path} is no recording that dmpel can use: {why}; record with dmpel's node `recorder`")
        self.parameters: dict[str, Any] = json.loads(found.metadata["parameters"])

    def messages(self, topics: Collection[str]) -> Iterator[Recorded]:
        """Yield the messages of topics in the order in which they were received, up to the end or to what is damaged."""
        schemas: dict[int, str] = {}
        channels: dict[int, Channel] = {}
        for record in self._records():
            if isinstance(record, Schema):
                schemas[record.id] = record.name
            elif isinstance(record, Channel):
                channels[record.id] = record
            elif isinstance(record, Message) and channels[record.channel_id].topic in topics:
                channel = channels[record.channel_id]
                yield Recorded(channel.topic, schemas[channel.schema_id], record.log_time, record.data)

    def _records(self) -> Iterator[Any]:
        try:
            with self.path.open("rb") as stream:
                yield from StreamReader(stream, validate_crcs=True, record_size_limit=1 << 30).records
        except OSError as error:
            raise BagError(f"cannot read {self.path}: {error.strerror}") from error
        except (McapError, ValueError, ZstdError) as error:  # the file ends within a record, or a checksum is wrong
            self.damage = f"it ends early ({error or type(error).__name__})"
