"""Does this look like anything the library has learned? An alarm from what coefficient replay stores anyway.

Each task's stored queries say how its scenes look to the frozen backbone: the alarm keeps their mean and covariance, and how far a
query of now lies from them (Mahalanobis). The instruction is compared with the stored ones. Both distances are divided by their
limits, so that 1 is the border of the familiar. Statistics are made from the replay store when a generation is read; nothing is
stored beside it but one limit per task, and that only where somebody has calibrated it. Numpy alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dmpel_core.experts.library import Library

SHRINKAGE = 0.005
"""Share of the average variance that every direction gets: 2,000 stored queries of one task fill only some of them."""
UNCALIBRATED = 1.5
"""Without held-out demonstrations the limit lies this far beyond the strangest query of the task's own memory."""
LONE_TEXT = 0.3
"""Limit of the instructions' distance, as a share of a text's length, where there is only one task to tell it from."""
FEWEST = 20
"""Stored queries from which on a task has statistics."""
TICKS, FREQUENCY = 20, 20.0
"""Strange ticks in a row that raise the alarm, and ticks a second [Hz]: a second."""


@dataclass(frozen=True)
class Task:
    """What is familiar of one task.

    Attributes:
        name: The expert's.
        text: Embedding of its instruction, (text_width,).
        mean: Of its stored queries without the text, (features,).
        whitening: (features, features), turns the difference from the mean into one of unit covariance.
        limit: Distance from which on a scene is strange.
    """

    name: str
    text: np.ndarray
    mean: np.ndarray
    whitening: np.ndarray
    limit: float

    def distance(self, features: np.ndarray) -> float:
        """Return the Mahalanobis distance of one query (features,), divided by the root of its width."""
        white = self.whitening @ (features - self.mean)
        return float(np.sqrt(white @ white / len(white)))


@dataclass(frozen=True)
class Reading:
    """How strange a tick is; from 1 on, too strange.

    Attributes:
        task: The known task whose instruction is nearest.
        instruction: Distance of the instruction from that task's, by its limit.
        scene: Distance of what is seen and felt from that task's, by its limit.
    """

    task: str
    instruction: float
    scene: float

    @property
    def strangeness(self) -> float:
        """The larger of the two."""
        return max(self.instruction, self.scene)


class Alarm:
    """Tells how strange a query is. Immutable."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        """Know some tasks, at least one."""
        self.tasks = tuple(tasks)
        self._texts = np.stack([task.text for task in tasks])
        self._text_limit = text_limit(self._texts)
        self._heard: tuple[bytes, int, float] | None = None

    def read(self, query: np.ndarray) -> Reading:
        """Return how strange a query (text_width + features,) is."""
        width = self._texts.shape[1]
        nearest, apart = self._nearest(query[:width])
        task = self.tasks[nearest]
        return Reading(task.name, apart / self._text_limit, task.distance(query[width:]) / task.limit)

    def _nearest(self, text: np.ndarray) -> tuple[int, float]:
        """Return the task of the nearest instruction and its distance, kept while the instruction stays the same."""
        heard = text.tobytes()
        if self._heard is None or self._heard[0] != heard:
            apart = np.linalg.norm(self._texts - text, axis=1)
            self._heard = (heard, int(apart.argmin()), float(apart.min()))
        return self._heard[1:]


def text_limit(texts: np.ndarray) -> float:
    """Return how far an instruction may be from a known one: half the way between the two known ones that are nearest."""
    apart = np.linalg.norm(texts[:, None] - texts, axis=2)
    between = apart[np.triu_indices(len(texts), 1)]
    between = between[between > 1e-6]  # several experts may share an instruction
    return float(between.min() / 2) if len(between) else LONE_TEXT * float(np.linalg.norm(texts[0]))


def library_alarm(library: Library, known: dict[str, Task] | None = None) -> Alarm | None:
    """Return a generation's alarm with the limits that were calibrated for it; None where no task has a replay memory.

    Args:
        library: The generation.
        known: Tasks of earlier calls by the hash of their memory; what is new is put there, what this generation lacks is dropped.

    Raises:
        LibraryError: A file is damaged.
    """
    before, limits = dict(known or {}), library.alarm()
    found: dict[str, Task] = {}
    for index, expert in enumerate(library.experts):
        key = expert.replay.sha256
        task = before.get(key) or familiar(expert.name, library.replay(index))
        if task is not None:
            found[key] = task
    if known is not None:
        known.clear()
        known.update(found)
    tasks = [_limited(found[expert.replay.sha256], limits.get(limit_name(expert.factors.sha256)))
             for expert in library.experts if expert.replay.sha256 in found]  # fmt: skip
    return Alarm(tasks) if tasks else None


def _limited(task: Task, limit: np.ndarray | None) -> Task:
    return task if limit is None else replace(task, limit=float(limit[0]))


def limit_name(factors_sha256: str) -> str:
    """Return the name of a task's limit in a library: that of its expert's factors, which never change."""
    return factors_sha256[:32]


def familiar(name: str, memory: Mapping[str, np.ndarray]) -> Task | None:
    """Return what a replay memory, with `text` (text_width,) and `features` (samples, features), says of its task; None of next to none."""
    if not {"text", "features"} <= memory.keys() or len(memory["features"]) < FEWEST:
        return None
    features = memory["features"]
    mean = features.mean(0)
    values, vectors = np.linalg.eigh(np.cov(features, rowvar=False))
    values = np.maximum(values, 0) + SHRINKAGE * values.mean()
    task = Task(name, memory["text"], mean, (vectors / np.sqrt(values)).T.astype(np.float32), 1.0)
    return replace(task, limit=UNCALIBRATED * max(task.distance(row) for row in features))


class Debounce:
    """Turns a strangeness per tick into an alarm: raised after some strange ticks in a row, cleared after as many familiar ones."""

    def __init__(self, ticks: int) -> None:
        """Wait for `ticks` in a row."""
        self._ticks, self._streak = max(1, ticks), 0
        self.raised = False

    def __call__(self, strange: bool) -> bool:
        """Take the word on one tick and return whether the alarm is raised."""
        self._streak = self._streak + 1 if strange != self.raised else 0
        if self._streak >= self._ticks:
            self.raised, self._streak = strange, 0
        return self.raised

    def reset(self) -> None:
        """Begin again, without an alarm."""
        self.raised, self._streak = False, 0
