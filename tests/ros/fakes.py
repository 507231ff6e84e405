"""The smallest engine and the smallest arm that fit the seams, so that the nodes' own behaviour can be tested alone."""

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dmpel_core.errors import DmpelError
from dmpel_core.groups import GROUPS
from dmpel_core.inference.engine import Tick
from dmpel_core.observation import Observation
from dmpel_ros.episode import Settings

SIZE = 32
GOAL_TICKS = 5

POSE = np.array([0.0, -0.4, 0.0, -2.2, 0.0, 1.9, 0.7])
"""A Panda's joints with the tool above the table [rad]."""


class FakeEngine:
    """Moves by what the first joint says; remembers what it was asked."""

    def __init__(self, library: Path = Path(), generation: int | None = None, wanted: Mapping[str, Any] | None = None) -> None:
        self.wanted = wanted
        self.caught_up = 0
        self.generation = 3 if generation is None else generation
        self.instructions: list[str] = []
        self.observations: list[Observation] = []
        self.resets = 0
        self.action = np.zeros(7)
        self.pause: Callable[[], object] = lambda: None
        self.loading = threading.Event()
        self.may_finish_loading = threading.Event()
        self.may_finish_loading.set()

    @property
    def expert_names(self) -> tuple[str, ...]:
        return tuple(f"skill-{number}" for number in range(self.generation))

    def set_instruction(self, instruction: str) -> None:
        if instruction == "unknown":
            raise DmpelError("no such words")
        self.instructions.append(instruction)

    def reset(self) -> None:
        self.resets += 1

    def tick(self, observation: Observation) -> Tick:
        self.observations.append(observation)
        self.pause()
        action = self.action.copy()
        action[0] += min(observation.joints[0], 1.0)
        coefficients = np.full((len(GROUPS), self.generation), 1.0 / self.generation)
        return Tick(action, coefficients, self.generation, stages={"image": 0.004, "temporal": 0.003})

    def catch_up(self) -> None:
        self.caught_up += 1

    def load(self, library: Path, generation: int | None = None) -> None:
        self.loading.set()
        self.may_finish_loading.wait(10.0)
        if generation == 99:
            raise DmpelError("generation 99 does not exist; this library holds 1 to 4")
        self.generation = 4 if generation is None else generation


class FakeCatalogue:
    """Four generations, each made from the one before; the library of generation 77 is for another robot."""

    def __init__(self, **expected: Any) -> None:
        self.expected = expected

    def observation(self, library: Path, generation: int | None) -> tuple[int, Mapping[str, Any]]:
        if generation == 99:
            raise DmpelError("generation 99 does not exist; this library holds 1 to 4")
        return 3 if generation is None else generation, {"rate_hz": 50.0} if generation == 77 else self.expected

    def parent(self, library: Path, generation: int) -> int | None:
        return generation - 1 if generation > 1 else None

    def admit(self, running: tuple[Path, int], candidate: tuple[Path, int]) -> None:
        pass

    def install(self, library: Path, file: Path) -> int:
        return 4

    def contents(self, library: Path) -> dict[str, Any]:
        return {"selected": 3, "generations": {"3": ["skill-0", "skill-1", "skill-2"]}}


class FakeArena:
    """Counts its steps in the first joint [0.1 rad each] and is solved after five steps that moved."""

    def __init__(self) -> None:
        self.actions: list[np.ndarray] = []
        self.closed = False

    def place(self, settings: Settings) -> str:
        self.actions.clear()
        return f"do task {settings.task}"

    def observe(self, *, blind: bool = False) -> Observation:
        picture = np.full((SIZE, SIZE, 3), 100 + len(self.actions), np.uint8)
        other = picture + 100
        if blind:
            picture, other = np.zeros_like(picture), np.zeros_like(picture)
        return Observation(picture, other, POSE + np.eye(7)[0] * 0.1 * len(self.actions), np.array([0.04, -0.04]))

    def step(self, action: np.ndarray) -> None:
        self.actions.append(np.asarray(action))

    def success(self) -> bool:
        return sum(np.any(action[:6]) for action in self.actions) >= GOAL_TICKS

    def expert(self) -> Iterator[np.ndarray]:
        """Act until the goal holds, then twice more to let go."""
        extra = 2
        while not self.success() or extra:
            extra -= self.success()
            yield np.array([0.3, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0 if self.success() else 1.0])

    def close(self) -> None:
        self.closed = True


def build_fake(suite: str, task: int, size: int) -> FakeArena:
    if task == 99:
        raise DmpelError("the suite has no task 99; valid indices: 0 to 9")
    return FakeArena()
