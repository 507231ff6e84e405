"""What happens at one tick: from the newest inputs to an action within the limits, or to a stated reason for holding.

Called from one thread only, except for the requests, which wait under a lock for the next tick. Knows the engine and the
inbox; nodes, topics and clocks are handed in.
"""

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from dmpel_core.errors import DmpelError
from dmpel_core.inference.engine import Engine, Tick
from dmpel_core.observation import Observation
from dmpel_ros import guard
from dmpel_ros.guard import Guard
from dmpel_ros.inbox import Inbox, Inputs
from dmpel_ros.outcome import FAULTS, Acted, Held
from dmpel_ros.trace import Trace
from dmpel_ros.vigil import Vigil

LONGEST_INSTRUCTION = 500
"""Characters; a longer text is no instruction but somebody else's message."""


@dataclass(frozen=True)
class Patience:
    """What a controller puts up with.

    Attributes:
        compute: Longest that one tick may compute [s].
        faults: Faulty ticks in a row after which it stops; 0 for never.
    """

    compute: float
    faults: int


class Controller:
    """Guards the engine: every input is checked before a tick and every action after it."""

    def __init__(
        self,
        engine: Engine,
        inbox: Inbox,
        vigil: Vigil,
        restraint: Guard,
        assemble: Callable[[Inputs], Observation],
        now: Callable[[], int],
        patience: Patience,
    ) -> None:
        """Build a controller that waits for its first instruction.

        Args:
            engine: Computes the actions.
            inbox: Where the inputs arrive.
            vigil: Checks them.
            restraint: Bounds the actions.
            assemble: Makes an observation of one set of inputs; raises DmpelError when it cannot.
            now: The clock that the stamps are read on [ns].
            patience: When to give up.
        """
        self._engine, self._inbox, self._vigil, self._guard = engine, inbox, vigil, restraint
        self._assemble, self._now, self._patience = assemble, now, patience
        self._requests = threading.Lock()
        self._wanted: dict[str, str] = {}
        self._instruction_fault: str | None = "no instruction has come yet"
        self._stopped: str | None = None
        self._faults = 0
        self._seen: int | None = None
        self._place = 0
        self.instruction = ""
        self.trace: Trace | None = None  # of the last call of `tick`, where the engine computed

    def request(self, what: str, value: str = "") -> None:
        """Ask for something before the next tick; may be called from any thread.

        Args:
            what: instruction, reset (forget the observation window), stop, clear (act again) or rest (the arm stands still).
            value: The instruction, or the reason to stop for.
        """
        with self._requests:
            self._wanted[what] = value

    def apply_requests(self) -> Collection[str]:
        """Carry out what was asked for since the last tick, and return it."""
        with self._requests:
            wanted, self._wanted = self._wanted, {}
        if "clear" in wanted:
            self._stopped, self._faults = None, 0
        if "stop" in wanted:  # after clear: of both at once, stopping counts
            self._stopped = wanted["stop"]
        if "rest" in wanted:
            self._rest()
        if "reset" in wanted:
            self._engine.reset()
            self._place = 0
        if "instruction" in wanted:
            self._follow(wanted["instruction"])
        if wanted.keys() - {"reset"}:
            self._seen = None  # what was held for want of this may be acted on now; a reset waits for the new episode's first observation
        return wanted.keys()

    def _rest(self) -> None:
        self._guard.rest()
        self._vigil.forget()

    def _follow(self, instruction: str) -> None:
        self.instruction = ""
        if not instruction.strip():
            self._instruction_fault = "the instruction is empty"
        elif len(instruction) > LONGEST_INSTRUCTION:
            self._instruction_fault = f"the instruction has {len(instruction)} characters, at most {LONGEST_INSTRUCTION} make sense"
        else:
            self._set_instruction(instruction)

    def _set_instruction(self, instruction: str) -> None:
        try:
            self._engine.set_instruction(instruction)
        except DmpelError as error:
            self._instruction_fault = f"cannot follow '{instruction}': {error}"
        else:
            self.instruction, self._instruction_fault = instruction, None

    def unseen(self) -> bool:
        """Return whether a complete set of inputs is there that no tick has looked at yet."""
        inputs = self._inbox.inputs()
        return inputs is not None and inputs.newest != self._seen

    def tick(self) -> Acted | Held:
        """Act on the newest inputs, or say why not."""
        outcome = self._unless_stopped(self._outcome())
        if isinstance(outcome, Acted):
            self._faults = 0
            return outcome
        self._guard.rest()
        self._faults += outcome.kind in FAULTS
        if self._stopped is None and 0 < self._patience.faults <= self._faults:
            self._stopped = f"{self._faults} faulty ticks in a row, the last one: {outcome.reason}; call ~/clear when it is mended"
        return outcome

    def catch_up(self) -> None:
        """Let the engine do what it left for when the action is out."""
        self._engine.catch_up()

    def _unless_stopped(self, outcome: Acted | Held) -> Acted | Held:
        """Drop an action if a stop was asked for while it was computed."""
        with self._requests:
            stop = self._wanted.get("stop")
        return outcome if stop is None else Held("stopped", stop)

    def _outcome(self) -> Acted | Held:
        began, self.trace = time.perf_counter(), None
        inputs = self._inbox.inputs()
        self._seen = None if inputs is None else inputs.newest
        if self._stopped is not None:
            return Held("stopped", self._stopped)
        if self._instruction_fault is not None:
            return Held("instruction", self._instruction_fault)
        watched = self._vigil.inputs(self._now())
        return watched if isinstance(watched, Held) else self._act(*watched, began)

    def _act(self, inputs: Inputs, age: float, began: float) -> Acted | Held:
        try:
            observation = self._assemble(inputs)
        except DmpelError as error:
            return Held("message", str(error))
        frozen = self._vigil.frozen(observation)
        if frozen is not None:
            return frozen
        prepared = time.perf_counter() - began
        try:
            tick = self._compute(observation, inputs)
        except DmpelError as error:
            return Held("engine", str(error))
        fault = guard.fault(tick.action)
        if fault is not None:
            return Held("action", fault)
        action, limited = self._guard.restrain(tick.action, observation.joints)
        compute = time.perf_counter() - began
        if compute > self._patience.compute:
            return Held(
                "late", f"the tick took {1e3 * compute:.0f} ms, {1e3 * self._patience.compute:.0f} ms are allowed: free the processor"
            )
        return Acted(replace(tick, action=action), observation, inputs.stamp, age, began, prepared, limited)

    def _compute(self, observation: Observation, inputs: Inputs) -> Tick:
        """Have the engine compute, and note what it was given and gave."""
        self._place += 1
        self.trace = Trace(self._place, inputs.stamps, self.instruction, self._engine.generation, ())
        tick = self._engine.tick(observation)
        self.trace = replace(self.trace, generation=tick.generation, action=tuple(tick.action.tolist()))
        return tick
