"""Episodes of the simulated arm: which task from which state, and how one is going. Knows no ROS."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np

from dmpel_core.errors import DmpelError
from dmpel_core.observation import Observation

if TYPE_CHECKING:
    from dmpel_core.simulation.viewer import Viewer


@dataclass(frozen=True)
class Settings:
    """Everything that decides how an episode begins and ends.

    Attributes:
        suite: Suite of tasks.
        task: Index of the task in its suite.
        initial_state: Index of the stored initial state.
        reach: How far objects may be moved away from the stored state [m].
        seed: Seed of those placements.
        blank: Whether the pictures are published black.
        horizon: Ticks after which the episode has failed.
    """

    suite: str
    task: int
    initial_state: int
    reach: float
    seed: int
    blank: bool
    horizon: int


class Arena(Protocol):
    """What the bridge needs of an environment."""

    def place(self, settings: Settings) -> str:
        """Go to the initial state that the settings describe and return the task's instruction."""

    def observe(self, *, blind: bool = False) -> Observation:
        """Return what the arm sees and feels now; `blind`, with black pictures."""

    def step(self, action: np.ndarray) -> None:
        """Act for one period; (7,), six pose deltas in [-1, 1], then the gripper."""

    def success(self) -> bool:
        """Return whether the goal holds."""

    def expert(self) -> Iterator[np.ndarray]:
        """Yield what the scripted expert does, (7,), at the state in which it is asked, until it is done or gives up."""

    def close(self) -> None:
        """Free what the environment holds."""


@dataclass
class Episode:
    """One episode as it goes.

    Attributes:
        number: Counts episodes since the node started, from 1.
        settings: How it began.
        instruction: What the task asks for.
        arena: Where it happens, already in its initial state.
        outcome: running, success, failure or aborted.
        ticks: Steps taken.
        missed: Steps on which no action had come.
        answers: From publishing each observation to its action [ms].
        gripper: Last gripper command, kept when no action comes.
        demonstrated: Whether the scripted expert acts; then the episode lasts until it is done, which is after it has let go.
    """

    number: int
    settings: Settings
    instruction: str
    arena: Arena
    outcome: str = "running"
    ticks: int = 0
    missed: int = 0
    answers: list[float] = field(default_factory=list)
    gripper: float = -1.0
    demonstrated: bool = False
    _expert: Iterator[np.ndarray] | None = None
    _expert_is_done: bool = False

    def observe(self) -> Observation:
        """Return what the cameras and joints give, pictures black where the settings say so."""
        return self.arena.observe(blind=self.settings.blank)

    def advance(self, action: np.ndarray | None) -> None:
        """Step with the action, (7,), or hold the pose without one, and judge the goal."""
        if action is None:
            self.missed += 1
            action = np.append(np.zeros(6), self.gripper)
        self.gripper = float(action[6])
        self.arena.step(action)
        self.ticks += 1
        if self._expert_is_done or (not self.demonstrated and self.arena.success()):
            self.outcome = "success" if self.arena.success() else "failure"
        elif self.ticks >= self.settings.horizon:
            self.outcome = "failure"

    def ask_expert(self) -> np.ndarray | None:
        """Return the scripted expert's action for the state now, (7,), or None when it has none left."""
        self._expert = self._expert or self.arena.expert()
        action = next(self._expert, None)
        self._expert_is_done = action is None
        return action


class TaskArena:
    """One task of the simulator as an arena."""

    def __init__(self, suite: str, task: int, size: int, viewer: "Viewer | None" = None) -> None:
        """Build the task's environment with pictures of `size` [pixels]; a viewer shows what happens there."""
        # Imported here: the topics of the bridge can be tested and read without a simulator.
        from dmpel_core.simulation.environment import Environment
        from dmpel_core.simulation.tasks import load_task

        self._environment = Environment(load_task(suite, task), size=size)
        self._viewer = viewer
        self.observe, self.success = self._environment.observe, self._environment.success

    def place(self, settings: Settings) -> str:
        """Put the arena into a stored state, objects moved as far as the settings allow."""
        from dmpel_core.simulation.placement import widen
        from dmpel_core.simulation.recording import settle

        environment = self._environment
        states = environment.task.initial_states
        if not 0 <= settings.initial_state < len(states):
            raise DmpelError(
                f"{settings.suite} task {settings.task} has initial states 0 to {len(states) - 1}, not {settings.initial_state}"
            )
        rng = np.random.default_rng((settings.seed, settings.initial_state))
        environment.reset(widen(environment, states[settings.initial_state], rng, settings.reach))
        settle(environment)  # demonstrations begin when the objects have come to rest
        self._show()
        return environment.task.instruction

    def step(self, action: np.ndarray) -> None:
        """Act for one period."""
        self._environment.step(action)
        self._show()

    def _show(self) -> None:
        if self._viewer is not None:
            self._viewer.show(self._environment.model, self._environment.data)

    def close(self) -> None:
        """Free the environment, and close the window that may show it."""
        if self._viewer is not None:
            self._viewer.close()
        self._environment.close()

    def expert(self) -> Iterator[np.ndarray]:
        """Yield the expert's actions, until the goal holds and the hand is empty or the expert is stuck."""
        from dmpel_core.simulation.expert import StuckError
        from dmpel_core.simulation.recording import expert_actions

        with suppress(StuckError):
            yield from expert_actions(self._environment)


BuildArena = Callable[[str, int, int], Arena]
"""Builds a task's arena: suite, task index, picture size [pixels]."""


def task_arenas(*, viewer: bool = False) -> BuildArena:
    """Return what builds the simulator's tasks, all shown in one window where a viewer is asked for.

    Raises:
        DmpelError: It is asked for and there is no display.
    """
    if not viewer:
        return TaskArena
    from dmpel_core.simulation.viewer import Viewer

    return partial(TaskArena, viewer=Viewer())


class Stage:
    """Starts episodes and keeps the arenas used last, because building one takes seconds."""

    def __init__(self, size: int, kept: int, build: BuildArena = TaskArena) -> None:
        """Keep up to `kept` arenas with pictures of `size` [pixels]."""
        self._size, self._kept, self._build = size, kept, build
        self._arenas: OrderedDict[tuple[str, int], Arena] = OrderedDict()
        self._begun = 0

    def begin(self, settings: Settings) -> Episode:
        """Return a new episode in its initial state."""
        arena = self._arena(settings.suite, settings.task)
        instruction = arena.place(settings)
        self._begun += 1
        return Episode(self._begun, settings, instruction, arena)

    def _arena(self, suite: str, task: int) -> Arena:
        if (suite, task) not in self._arenas:
            while len(self._arenas) >= self._kept:
                self._arenas.popitem(last=False)[1].close()
            self._arenas[suite, task] = self._build(suite, task, self._size)
        self._arenas.move_to_end((suite, task))
        return self._arenas[suite, task]

    def close(self) -> None:
        """Free all environments."""
        while self._arenas:
            self._arenas.popitem()[1].close()
