"""What runs once per control tick, whatever computes it.

An engine owns the observation window and one generation of a library. `tick` is called from one control thread;
`load` may be called from any other thread and takes effect at the start of the next tick.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from dmpel_core.observation import Observation
from dmpel_core.skills.insight import Insight


@dataclass(frozen=True)
class Tick:
    """The result of one control tick.

    Attributes:
        action: (7,), six pose deltas in [-1, 1], then the gripper (-1 open, +1 close).
        coefficients: (6, experts), rows as in `dmpel_core.groups.GROUPS`; zero where an expert is not among the top-k of its group.
        generation: Library generation that computed it.
        insight: What is told beside the action, where the engine was asked to.
        stages: Seconds that each of `dmpel_core.inference.stages.STAGES` took, where the engine measures them.
    """

    action: np.ndarray
    coefficients: np.ndarray
    generation: int
    insight: Insight | None = None
    stages: Mapping[str, float] = field(default_factory=dict)


class Engine(Protocol):
    """One policy in execution."""

    @property
    def expert_names(self) -> tuple[str, ...]:
        """Names of the experts of the generation in use, in the order of the coefficients' columns."""

    @property
    def generation(self) -> int:
        """Generation in use."""

    def set_instruction(self, instruction: str) -> None:
        """Change the instruction from the next tick on. Does not forget the observation window."""

    def reset(self) -> None:
        """Forget the observation window: a new episode starts at the next tick."""

    def tick(self, observation: Observation) -> Tick:
        """Compute one action."""

    def catch_up(self) -> None:
        """Do now what the last tick left for when its action is out; the next tick does it otherwise. May be called at any time."""

    def load(self, library: Path, generation: int | None = None) -> None:
        """Read, check and warm up a generation aside, then hand it to the next tick.

        Raises:
            DmpelError: The library is damaged or does not fit; the running generation is untouched.
        """
