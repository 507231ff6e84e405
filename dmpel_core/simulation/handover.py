"""Let a policy act first, so that demonstrations show how to go on from where policies end up (DAgger, Ross et al. 2011).

A policy that is taught by an expert alone never sees its own mistakes: a hand that came down beside the rim, or that closed on
nothing. Here the policy drives for a while, and the expert corrects from there.
"""

import numpy as np

from dmpel_core.inference.engine import Engine
from dmpel_core.simulation.environment import Environment
from dmpel_core.simulation.expert import StuckError
from dmpel_core.simulation.expert.fingers import held

_FEWEST, _MOST = 15, 160
"""Ticks that the policy acts for, drawn evenly: from its first approach to long after it should have been done."""
_PATIENCE = 40
"""Ticks for which it may go on while it holds something: an expert that began by opening the hand would teach dropping."""


class Handover:
    """Runs a policy for some ticks, and on while it holds something."""

    def __init__(self, engine: Engine, rng: np.random.Generator) -> None:
        """Draw how many ticks."""
        self._engine = engine
        self._ticks = int(rng.integers(_FEWEST, _MOST))

    def __call__(self, environment: Environment) -> None:
        """Drive the scene.

        Raises:
            StuckError: There is nothing to correct: the policy solved the task or would not let go.
        """
        engine, instruction = self._engine, environment.task.instruction
        engine.reset()
        engine.set_instruction(instruction)
        for tick in range(self._ticks + _PATIENCE):
            if tick >= self._ticks and not holds_something(environment):
                return
            environment.step(engine.tick(environment.observe()).action)
            if environment.success():
                raise StuckError(f"the policy solved {instruction!r} by itself after {tick + 1} ticks")
        raise StuckError(f"the policy held on to something for {_PATIENCE} ticks")


def holds_something(environment: Environment) -> bool:
    """Return whether both fingers touch the same thing."""
    return bool(held(environment.model, environment.data))
