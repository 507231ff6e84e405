"""Playing students: trials, their scores, and the book that keeps every score once."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelerate import Accelerator

from dmpel_core.evaluation.rollout import Condition
from dmpel_core.json_file import write_json
from dmpel_core.training.workers import on_processor

if TYPE_CHECKING:
    from typing_extensions import Self


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
        seconds: How long it took.
    """

    successes: tuple[bool, ...]
    ticks: tuple[int, ...]
    routing: dict[str, Any] | None = None
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Share of the episodes that succeeded."""
        return sum(self.successes) / len(self.successes)


Scorer = Callable[[Sequence[Trial]], Iterator[Score]]
"""Plays trials and yields their scores in order."""


class ScoreBook:
    """Has every trial played once, whatever kills the run in between; a context, at whose end nothing is begun any more.

    Args:
        folder: One small JSON file for each trial.
        scorer: Plays them.
        accelerator: Of several processes only one has them played; None for one alone.
    """

    def __init__(self, folder: Path, scorer: Scorer, accelerator: Accelerator | None = None) -> None:
        self._folder, self._scorer, self._accelerator = folder, scorer, accelerator or on_processor()
        self._thread = ThreadPoolExecutor(1, "playing")
        self._begun: list[Future[None]] = []
        self._closed = threading.Event()
        self._seconds: dict[str, float] = {}  # of the trials that were read
        self._told: set[str] = set()

    def begin(self, trials: Sequence[Trial]) -> None:
        """Have the trials played that the book does not have, beside what this process does meanwhile, in the order of the calls.

        Raises:
            Exception: What ended the playing of trials that were begun before.
        """
        for future in self._begun:
            if future.done():
                future.result()
        if self._accelerator.is_main_process:
            self._begun.append(self._thread.submit(self._fill, trials))

    def score(self, trials: Sequence[Trial]) -> list[Score]:
        """Return the scores of trials, when they and what was begun before them are played."""
        self.begin(trials)
        while self._begun and self._missing(trials):
            self._begun.pop(0).result()
        self._accelerator.wait_for_everyone()
        return [self._read(trial) for trial in trials]

    def minutes(self) -> float:
        """Return how long the trials took that were scored since the last call and were in no earlier answer."""
        fresh = self._seconds.keys() - self._told
        self._told |= fresh
        return sum(self._seconds[key] for key in fresh) / 60

    def _fill(self, trials: Sequence[Trial]) -> None:
        missing = self._missing(trials)
        if missing and not self._closed.is_set():
            for trial, score in zip(missing, self._scorer(missing), strict=True):
                write_json(self._path(trial), asdict(score))
                if self._closed.is_set():
                    return

    def _missing(self, trials: Sequence[Trial]) -> list[Trial]:
        return list({trial.key(): trial for trial in trials if not self._path(trial).exists()}.values())

    def _path(self, trial: Trial) -> Path:
        return self._folder / f"{trial.key()}.json"

    def _read(self, trial: Trial) -> Score:
        values = json.loads(self._path(trial).read_text(encoding="utf-8"))
        self._seconds[trial.key()] = values["seconds"]
        return Score(tuple(values["successes"]), tuple(values["ticks"]), values["routing"], values["seconds"])

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.shutdown(wait=False, cancel_futures=True)  # what plays now is the scorer's to end
