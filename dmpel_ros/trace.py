"""What one tick of the engine was computed from, and what came out: enough to compute it again from a recording.

The node publishes one on ~/tick for every time that the engine computed, whether the action was used or not, because the
engine's window remembers that tick either way.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from dmpel_core.errors import DmpelError


class TraceError(DmpelError):
    """A text is not a trace."""


@dataclass(frozen=True)
class Trace:
    """One tick of the engine.

    Attributes:
        place: Number of this tick since the observation window was forgotten, from 1.
        stamps: Stamps of the messages that made the observation [ns], by topic.
        instruction: The instruction that was followed.
        generation: Generation of the library that computed.
        action: What the engine computed, seven numbers before any limit; empty where it could not compute.
    """

    place: int
    stamps: Mapping[str, int]
    instruction: str
    generation: int
    action: tuple[float, ...]

    def to_json(self) -> str:
        """Return the trace as text; numbers keep every bit."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Trace":
        """Return the trace that a text holds.

        Raises:
            TraceError: It holds none.
        """
        try:
            read = json.loads(text)
            return cls(
                int(read["place"]),
                {str(topic): int(stamp) for topic, stamp in read["stamps"].items()},
                str(read["instruction"]),
                int(read["generation"]),
                tuple(float(number) for number in read["action"]),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise TraceError(f"'{text[:80]}' is not a tick as this version of the policy node tells it: {error}") from error
