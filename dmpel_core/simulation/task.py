"""What every task has, whichever benchmark it comes from, and what its scene is made of."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dmpel_core.errors import DmpelError


class TaskError(DmpelError):
    """A task that does not exist, or whose files are missing."""


def _nothing() -> None:
    """Do nothing: most scenes look as the simulator draws them."""


@dataclass(frozen=True)
class World:
    """A task's scene, built.

    Attributes:
        robosuite: The environment that robosuite or LIBERO made.
        movable: Bodies by name that placements may move: free objects, and fixtures of `posed`.
        fixed: Bodies of the other objects and fixtures, by name.
        posed: Bodies of fixtures that stand elsewhere in every state; their poses are the end of a state, in this order.
        together: Pairs of names that the instruction places relative to each other.
        refresh: Makes what the simulator does not draw by itself fit the state; called after each step.
    """

    robosuite: Any
    movable: Mapping[str, int]
    fixed: Mapping[str, int]
    posed: tuple[int, ...] = ()
    together: frozenset[tuple[str, str]] = frozenset()
    refresh: Callable[[], object] = _nothing


@dataclass(frozen=True, eq=False)
class Task(ABC):
    """One task of a suite.

    Attributes:
        suite: Suite name, one of `dmpel_core.simulation.tasks.SUITES`.
        index: Place in the suite, in the benchmark's own order.
        name: Unique in the suite; names files.
        instruction: What the arm is told to do, lower case.
        goal: Predicates that must all hold, e.g. `(("on", "akita_black_bowl_1", "plate_1"),)`: what the scripted expert works from.
        initial_states: Stored flattened states, (n, D): `[time, qpos, qvel]` as MuJoCo has them, then the pose (7,) of each
            fixture that stands elsewhere in every state, position [m] and quaternion w x y z.
    """

    suite: str
    index: int
    name: str
    instruction: str
    goal: tuple[tuple[str, ...], ...]
    initial_states: np.ndarray

    @property
    @abstractmethod
    def problem(self) -> str:
        """What the benchmark calls the kind of scene."""

    @property
    def bddl_name(self) -> str:
        """File name of the task's definition in BDDL; empty where there is none."""
        return ""

    @property
    def bddl_text(self) -> str:
        """The task's definition in BDDL; empty where there is none."""
        return ""

    @abstractmethod
    def build(self, **settings: Any) -> World:
        """Build the scene; what the task leaves open is drawn from numpy's global generator.

        Args:
            settings: Arguments that the environments of robosuite and of LIBERO have in common.
        """
