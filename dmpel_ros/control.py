"""What happens at one tick: from the newest inputs to an action, or to a stated reason for holding.

Called from one thread only, except for the two requests, which wait under a lock for the next tick. Knows the engine
and the inbox; nodes, topics and clocks are handed in.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dmpel_core.errors import DmpelError
from dmpel_core.inference.engine import Engine, Tick
from dmpel_core.observation import Observation
from dmpel_ros.inbox import Inbox, Inputs


@dataclass(frozen=True)
class Acted:
    """A tick that gave an action.

    Attributes:
        tick: What the engine computed; the action is finite and within [-1, 1].
        stamp: Stamp of the observation [ns].
        age: Age of the observation when the tick began [s].
        began: When the tick began, on the performance counter [s].
    """

    tick: Tick
    stamp: int
    age: float
    began: float


@dataclass(frozen=True)
class Held:
    """A tick that gave none.

    Attributes:
        kind: Which check held, one word for counters: instruction, input, stale, future, message, engine or action.
        reason: What is wrong and what mends it.
    """

    kind: str
    reason: str


class Controller:
    """Guards the engine: every input is checked before a tick and every action after it."""

    def __init__(
        self, engine: Engine, inbox: Inbox, assemble: Callable[[Inputs], Observation], now: Callable[[], int], max_age: float
    ) -> None:
        """Build a controller that waits for its first instruction.

        Args:
            engine: Computes the actions.
            inbox: Where the inputs arrive.
            assemble: Makes an observation of one set of inputs; raises DmpelError when it cannot.
            now: The clock that the stamps are read on [ns].
            max_age: Oldest observation that may be acted on [s].
        """
        self._engine, self._inbox, self._assemble, self._now, self._max_age = engine, inbox, assemble, now, max_age
        self._requests = threading.Lock()
        self._wanted_instruction: str | None = None
        self._reset_wanted = False
        self._instruction_fault: str | None = "no instruction has come yet"
        self.instruction = ""
        self._seen: int | None = None

    def request_instruction(self, text: str) -> None:
        """Change the instruction before the next tick; may be called from any thread."""
        with self._requests:
            self._wanted_instruction = text

    def request_reset(self) -> None:
        """Forget the observation window before the next tick; may be called from any thread."""
        with self._requests:
            self._reset_wanted = True

    def apply_requests(self) -> bool:
        """Carry out what was asked for since the last tick; return whether the instruction changed."""
        with self._requests:
            instruction, reset = self._wanted_instruction, self._reset_wanted
            self._wanted_instruction, self._reset_wanted = None, False
        if reset:
            self._engine.reset()
        if instruction is not None:
            self._follow(instruction)
            self._seen = None  # what was held for want of an instruction may be acted on now
        return instruction is not None

    def _follow(self, instruction: str) -> None:
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
        began = time.perf_counter()
        inputs = self._inbox.inputs()
        self._seen = None if inputs is None else inputs.newest
        if self._instruction_fault is not None:
            return Held("instruction", self._instruction_fault)
        if inputs is None:
            return Held("input", self._absent())
        age = self._age(inputs)
        if abs(age) > self._max_age:
            return self._too_far_in_time(age)
        return self._act(inputs, age, began)

    def _act(self, inputs: Inputs, age: float, began: float) -> Acted | Held:
        try:
            observation = self._assemble(inputs)
        except DmpelError as error:
            return Held("message", str(error))
        try:
            tick = self._engine.tick(observation)
        except DmpelError as error:
            return Held("engine", str(error))
        if not np.isfinite(tick.action).all():
            return Held("action", "the policy computed an action that is not finite: load another generation of the library")
        return Acted(Tick(np.clip(tick.action, -1.0, 1.0), tick.coefficients, tick.generation), inputs.stamp, age, began)

    def _absent(self) -> str:
        missing = self._inbox.missing()
        return f"nothing has come on {', '.join(missing)}" if missing else "the inputs' stamps are too far apart to be one observation"

    def _too_far_in_time(self, age: float) -> Held:
        off, limit = f"{1e3 * abs(age):.0f} ms", f"{1e3 * self._max_age:.0f} ms are allowed"
        if age > 0.0:
            return Held("stale", f"the newest observation is {off} old, {limit}: a camera or the joint states have stopped")
        return Held(
            "future",
            f"the inputs are stamped {off} ahead of the clock, {limit}: synchronise the clocks or set use_sim_time alike everywhere",
        )

    def _age(self, inputs: Inputs) -> float:
        """Return the age [s]: on the stamps' clock, or since arrival where that is longer (a paused simulated clock hides delays)."""
        by_stamp = (self._now() - inputs.stamp) / 1e9
        return max(by_stamp, self._inbox.arrival() - inputs.received) if by_stamp > -self._max_age else by_stamp
