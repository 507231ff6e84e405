"""The two things that a tick can come to."""

from dataclasses import dataclass, field

from dmpel_core.inference.engine import Tick
from dmpel_core.observation import Observation


@dataclass(frozen=True)
class Acted:
    """A tick that gave an action.

    Attributes:
        tick: What the engine computed, its action within the limits.
        observation: What it was computed from.
        stamp: Stamp of the observation [ns].
        age: Age of the observation when the tick began [s].
        began: When the tick began, on the performance counter [s].
        prepared: How long the inputs took to be checked and put together, before the engine [s].
        limited: Names of the limits that bit.
    """

    tick: Tick
    observation: Observation
    stamp: int
    age: float
    began: float
    prepared: float
    limited: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Held:
    """A tick that gave none.

    Attributes:
        kind: Which check held, one word for counters; see `FAULTS` and `REASONS`.
        reason: What is wrong and what mends it.
    """

    kind: str
    reason: str


FAULTS = {
    "stale": "an input is too old",
    "future": "an input is stamped ahead of the clock",
    "skew": "the inputs are not of one moment",
    "message": "a message does not hold what its topic promises",
    "frozen": "a picture stays the same while the arm moves",
    "engine": "the engine cannot compute",
    "action": "the action is not finite or out of range",
    "late": "the tick took too long",
}
"""Kinds of holds that something is broken behind; enough of them in a row stop the node until somebody clears it."""

REASONS = {
    "instruction": "there is no instruction, or it cannot be followed",
    "input": "an input has not come yet",
    "stopped": "stopped by a person or by faults in a row",
}
"""Kinds of holds that are part of ordinary work."""
