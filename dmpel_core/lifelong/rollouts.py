"""Trials in simulation, by a crew that stays for the whole run."""

import atexit
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from dmpel_core.crews import crew
from dmpel_core.evaluation.rollout import run_episode, staged
from dmpel_core.lifelong.scoring import Score, Trial

if TYPE_CHECKING:
    from typing_extensions import Self

    from dmpel_core.policy.policy import Policy
    from dmpel_core.simulation.environment import Environment
    from dmpel_core.simulation.task import Task


class Rollouts:
    """Plays trials; a `dmpel_core.lifelong.scoring.Scorer` and a context.

    Args:
        processes: How many play side by side.
        engine: One of `dmpel_core.crews.ENGINES`.
    """

    def __init__(self, processes: int, engine: str = "processes") -> None:
        self._crew = crew(engine, processes)

    def __call__(self, trials: Sequence[Trial]) -> Iterator[Score]:
        """Yield the scores of trials in order."""
        yield from tqdm(self._crew.map(play, trials), total=len(trials), desc="playing", unit="trial", leave=False)

    def __enter__(self) -> "Self":
        self._crew.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._crew.__exit__(*exception)


class KeptEnvironment:
    """The environment of one process, which stays for the next trial on the same task: building takes seconds, a reset forgets all."""

    def __init__(self) -> None:
        self._environment: Environment | None = None

    def of(self, task: "Task") -> "Environment":
        """Return the environment of a task; that of another one is closed."""
        from dmpel_core.simulation.environment import Environment

        last = self._environment
        if last is None or (last.task.suite, last.task.index) != (task.suite, task.index):
            self.close()
            last = self._environment = Environment(task)
            atexit.register(self.close)  # after mujoco's own, so that it runs before OpenGL has gone
        return last

    def close(self) -> None:
        """Close what is kept."""
        if self._environment is not None:
            atexit.unregister(self.close)
            self._environment.close()
            self._environment = None


KEPT = KeptEnvironment()


def play(trial: Trial) -> Score:
    """Play a trial in this process."""
    import torch

    from dmpel_core.lifelong.player import StudentEngine, routing
    from dmpel_core.lifelong.student import load_student
    from dmpel_core.lifelong.switching import switching

    began = time.monotonic()
    torch.set_num_threads(1)
    engine = StudentEngine(load_student(trial.student, backbone(trial.library)))
    task, told = staged(trial.suite, trial.task, trial.told, trial.condition)
    environment = KEPT.of(task)
    episodes = [run_episode(environment, engine, told, state, trial.condition, trial.horizon, trial.seed) for state in trial.states]
    chosen = None if engine.student.chooser is None else {**routing(engine.used), **switching(engine.episodes())}
    seconds = time.monotonic() - began
    return Score(tuple(episode.success for episode in episodes), tuple(episode.ticks for episode in episodes), chosen, seconds)


@lru_cache(maxsize=1)
def backbone(library: Path) -> "Policy":
    """Return a library's policy without its experts."""
    from dmpel_core.experts.library import read_library
    from dmpel_core.experts.restore import restore_policy

    return restore_policy(read_library(library))
