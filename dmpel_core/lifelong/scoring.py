"""Playing students: trials, their scores, and the book that keeps every score once."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from dmpel_core.evaluation.rollout import Condition
from dmpel_core.json_file import write_json
from dmpel_core.training.workers import on_processor


@dataclass(frozen=True)
class Trial:
    """One student on one task, one episode for each initial state.

    Attributes:
        student: Its file, named by its content.
        library: Whose backbone it is on.
        suite: The task's suite.
        task: Its number there.
        told: The number of the task whose instruction it is told.
        condition: What is changed about the episodes.
        states: Stored initial states.
        horizon: Most ticks of an episode.
        seed: Of the placements.
    """

    student: Path
    library: Path
    suite: str
    task: int
    told: int
    condition: Condition
    states: tuple[int, ...]
    horizon: int
    seed: int

    def key(self) -> str:
        """Return a name that trials share only if they must have the same score."""
        known = {**asdict(self), "student": self.student.stem, "library": ""}
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Score:
    """How a trial went.

    Attributes:
        successes: For each initial state whether the goal was reached.
        ticks: How long each episode was.
        routing: See `dmpel_core.lifelong.player.routing` and `dmpel_core.lifelong.switching.switching`; None for a student with
            nothing to choose.
    """

    successes: tuple[bool, ...]
    ticks: tuple[int, ...]
    routing: dict[str, Any] | None = None

    @property
    def rate(self) -> float:
        """Share of the episodes that succeeded."""
        return sum(self.successes) / len(self.successes)


Scorer = Callable[[Sequence[Trial]], Iterator[Score]]
"""Plays trials and yields their scores in order."""


class ScoreBook:
    """Has every trial played once, whatever kills the run in between.

    Args:
        folder: One small JSON file for each trial.
        scorer: Plays them.
        accelerator: Of several processes only one has them played; None for one alone.
    """

    def __init__(self, folder: Path, scorer: Scorer, accelerator: Accelerator | None = None) -> None:
        self._folder, self._scorer, self._accelerator = folder, scorer, accelerator or on_processor()

    def score(self, trials: Sequence[Trial]) -> list[Score]:
        """Return the scores of trials, having those played that the book does not have."""
        if self._accelerator.is_main_process:
            self._fill(trials)
        self._accelerator.wait_for_everyone()
        return [self._read(trial) for trial in trials]

    def _fill(self, trials: Sequence[Trial]) -> None:
        missing = list({trial.key(): trial for trial in trials if not self._path(trial).exists()}.values())
        if missing:
            for trial, score in zip(missing, self._scorer(missing), strict=True):
                write_json(self._path(trial), asdict(score))

    def _path(self, trial: Trial) -> Path:
        return self._folder / f"{trial.key()}.json"

    def _read(self, trial: Trial) -> Score:
        values = json.loads(self._path(trial).read_text(encoding="utf-8"))
        return Score(tuple(values["successes"]), tuple(values["ticks"]), values["routing"])
