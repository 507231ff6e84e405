"""What the policy node is doing now, in a level, one word and a sentence. Pure: the node says what it sees of itself."""

from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticStatus

from dmpel_core.errors import DmpelError
from dmpel_ros.outcome import Acted, Held

QUIET = 2.0
"""In simulated time, after how long without any message the simulation is said to rest [s of wall time]."""

HANGING = 1.0
"""After how long a tick that has not ended is said to hang [s]."""

HALF_A_SET = {"stale", "skew"}
"""Kinds of holds on inputs of which some were on their way when a simulation ended."""


@dataclass(frozen=True)
class Situation:
    """What the node sees of itself.

    Attributes:
        state: Its lifecycle state.
        active: Whether it may move the arm.
        simulated: Whether the time is simulated.
        fault: Why the last transition was refused, or None.
        outcome: What the last tick came to, or None before the first.
        computing: How long the tick that is under way has taken [s]; 0 between ticks.
        quiet: How long no message has come [s].
    """

    state: str
    active: bool
    simulated: bool
    fault: DmpelError | None
    outcome: Acted | Held | None
    computing: float
    quiet: float


@dataclass(frozen=True)
class Condition:
    """What is told of a situation: a level of DiagnosticStatus, one word to count by, and a sentence."""

    level: bytes
    kind: str
    message: str


def condition(seen: Situation) -> Condition:
    """Return what to tell."""
    if not seen.active:
        return _inactive(seen)
    if seen.computing > HANGING:
        return Condition(DiagnosticStatus.ERROR, "engine", f"the engine has been computing one tick for {seen.computing:.0f} s")
    held = seen.outcome if isinstance(seen.outcome, Held) else None
    if seen.simulated and seen.quiet > QUIET and (held is None or held.kind in HALF_A_SET):
        return Condition(DiagnosticStatus.WARN, "clock", f"no input for {seen.quiet:.0f} s: the simulation is paused or has ended")
    if held is not None:
        level = DiagnosticStatus.ERROR if held.kind == "stopped" else DiagnosticStatus.WARN
        return Condition(level, held.kind, f"holding: {held.reason}")
    if seen.outcome is None:
        return Condition(DiagnosticStatus.WARN, "input", "waiting for the first observation")
    return Condition(DiagnosticStatus.OK, "acting", "acting")


def _inactive(seen: Situation) -> Condition:
    if seen.fault is None:
        return Condition(DiagnosticStatus.OK, "", seen.state)
    return Condition(DiagnosticStatus.ERROR, "refused", str(seen.fault))
