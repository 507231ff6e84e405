"""Observations from a recording, in any wanted order of stamps, without holding the whole file in memory."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rclpy.serialization import deserialize_message

from dmpel_core.errors import DmpelError
from dmpel_core.observation import Observation
from dmpel_ros import messages, robot
from dmpel_ros.recording.bag import Bag, BagError, Recorded
from dmpel_ros.recording.definitions import type_name
from dmpel_ros.recording.topics import SOURCES, Robot, inputs
from dmpel_ros.senses import Senses

Stamps = Mapping[str, int]
"""Stamps of the messages that make an observation [ns], by topic."""


def read(message: Recorded, kind: type) -> Any:
    """Return a message, of the type that its topic should have.

    Raises:
        BagError: It is of another type.
    """
    if message.kind != type_name(kind):
        raise BagError(f"{message.topic} holds {message.kind}, expected {type_name(kind)}: record with the parameters of this robot")
    return deserialize_message(message.data, kind)


class Sight:
    """Reads the inputs of one recording as the policy node did."""

    def __init__(self, bag: Bag) -> None:
        """Take the robot's parameters from the recording."""
        self._bag = bag
        self.topics = inputs(bag.parameters)
        self.senses: Senses = robot.senses(Robot(bag.parameters), self.topics)
        self._kinds = {self.topics[source]: self.senses.kind(source) for source in SOURCES}

    def stamped(self) -> Iterator[tuple[Recorded, Any, int]]:
        """Yield every input as recorded, as a message, and with its stamp [ns]."""
        for recorded in self._bag.messages(self._kinds.keys()):
            message = read(recorded, self._kinds[recorded.topic])
            yield recorded, message, messages.to_nanoseconds(message.header.stamp)

    def observations(self, wanted: Sequence[Stamps]) -> Iterator[Observation | None]:
        """Yield, in their order, the observations that messages with these stamps make; None where one is missing or broken.

        Reads the file twice: for what is there, then for the messages, each of which is kept until its last use.
        """
        there = {(recorded.topic, stamp) for recorded, _, stamp in self.stamped()}
        complete = [all(item in there for item in stamps.items()) for stamps in wanted]
        uses = Counter(item for stamps, whole in zip(wanted, complete, strict=True) if whole for item in stamps.items())
        kept: dict[tuple[str, int], Any] = {}
        source = self.stamped()
        for stamps, whole in zip(wanted, complete, strict=True):
            if not whole:
                yield None
                continue
            while not stamps.items() <= kept.keys():
                recorded, message, stamp = next(source)
                if uses[recorded.topic, stamp]:
                    kept.setdefault((recorded.topic, stamp), message)
            yield self._observation({topic: kept[topic, stamp] for topic, stamp in stamps.items()})
            for item in stamps.items():
                uses[item] -= 1
                if not uses[item]:
                    del kept[item]

    def _observation(self, received: Mapping[str, Any]) -> Observation | None:
        try:
            return self.senses.observation(received)
        except DmpelError:
            return None
