"""What an engine can tell of a tick beside its action: whether it knows where it is, and what it is about. Numpy alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np

from dmpel_core.experts.library import Library
from dmpel_core.skills.alarm import Alarm, Reading, Task, library_alarm
from dmpel_core.skills.heads import Heads, Told

Known = dict[str, Task]
"""What is familiar of each task by the hash of its replay memory, so that a new generation computes only what is new."""


@dataclass(frozen=True)
class Insight:
    """What is told of one tick.

    Attributes:
        reading: How strange it is; None for a library without replay memories.
        told: What the heads say; None for a library without heads.
        seconds: How long the `alarm` and the `heads` took [s].
    """

    reading: Reading | None
    told: Told | None
    seconds: Mapping[str, float] = field(default_factory=dict)


class Observer:
    """Tells of ticks what one generation's library allows. Built aside; called from the control thread."""

    def __init__(self, alarm: Alarm | None, heads: Heads | None) -> None:
        self._alarm, self._heads = alarm, heads

    def __call__(self, query: np.ndarray, hidden: np.ndarray, feature: Callable[[], np.ndarray]) -> Insight:
        """Look at one tick.

        Args:
            query: The router's, (query_width,).
            hidden: Its last hidden layer, (router_hidden,).
            feature: Returns the temporal feature, (width,).
        """
        began = perf_counter()
        reading = None if self._alarm is None else self._alarm.read(query)
        read = perf_counter()
        told = None if self._heads is None else self._heads(hidden, feature())
        return Insight(reading, told, {"alarm": read - began, "heads": perf_counter() - read})


def observer_of(library: Library, hidden: int, feature: int, known: Known) -> Observer:
    """Return what watches a generation.

    Args:
        library: The generation.
        hidden: Width of the router's hidden layer.
        feature: Width of the temporal feature.
        known: Tasks of earlier calls; what this generation adds is put there, what it lacks is dropped.

    Raises:
        LibraryError: A file is damaged or does not fit.
    """
    tensors = library.heads()
    return Observer(library_alarm(library, known), Heads(tensors, hidden, feature) if tensors else None)
