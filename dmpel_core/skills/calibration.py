"""Limits for the alarm from held-out episodes, and figures of how well it tells the strange from the familiar. Pure numpy.

An episode's false alarm is decided by one number: the largest value that all of a few ticks in a row exceed. Such maxima of blocks
of a quantity with heavy tails follow a Frechet distribution, so their logarithms follow Gumbel's (Gumbel 1958). It is fitted by its
moments, and a limit for one false alarm an hour can be read from less than an hour of episodes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dmpel_core.skills.alarm import Debounce

EULER = 0.5772156649
FEWEST = 4
"""Episodes of a task from which on a distribution is fitted."""


def worst(scores: np.ndarray, ticks: int) -> float:
    """Return the largest value that `ticks` scores in a row exceed; in a shorter episode, that all of them do."""
    span = min(ticks, len(scores))
    return max(float(window.min()) for window in np.lib.stride_tricks.sliding_window_view(scores, span))


@dataclass(frozen=True)
class Familiar:
    """One episode in which nothing was strange.

    Attributes:
        worst: The largest distance that a few ticks in a row exceeded.
        ticks: How long it was.
    """

    worst: float
    ticks: int


def limit_for(episodes: Sequence[Familiar], per_hour: float, frequency: float) -> float:
    """Return the limit at which episodes like these would raise so many false alarms an hour.

    Args:
        episodes: At least one.
        per_hour: The false alarms that are put up with [1/h].
        frequency: Ticks a second [Hz].
    """
    maxima = np.log([max(episode.worst, 1e-9) for episode in episodes])
    hours = np.mean([episode.ticks for episode in episodes]) / frequency / 3600
    chance = min(0.5, float(per_hour * hours))
    if len(maxima) < FEWEST:
        return float(1.5 * np.exp(maxima.max()))
    scale = max(float(maxima.std(ddof=1)), 1e-9) * np.sqrt(6) / np.pi
    place = float(maxima.mean()) - EULER * scale
    return float(np.exp(max(place - scale * np.log(-np.log1p(-chance)), maxima.max())))


def auroc(familiar: np.ndarray, strange: np.ndarray) -> float:
    """Return the chance that a strange tick scores above a familiar one, ties counting half."""
    every = np.concatenate([familiar, strange])
    _, place, count = np.unique(every, return_inverse=True, return_counts=True)
    rank = (count.cumsum() - (count - 1) / 2)[place]  # mean rank of equal values, from 1
    above = rank[len(familiar) :].sum() - len(strange) * (len(strange) + 1) / 2
    return float(above / (len(familiar) * len(strange)))


@dataclass(frozen=True)
class Detection:
    """How episodes fared.

    Attributes:
        episodes: How many there were.
        raised: In how many an alarm was raised.
        delay: Median tick at which it was, counted from 1; None where it never was.
    """

    episodes: int
    raised: int
    delay: float | None


def detect(episodes: Sequence[np.ndarray], ticks: int) -> Detection:
    """Return in how many episodes the alarm is raised, and when; scores are divided by their limits."""
    delays = []
    for scores in episodes:
        debounce = Debounce(ticks)
        raised = [debounce(bool(score > 1)) for score in scores]
        if any(raised):
            delays.append(raised.index(True) + 1)
    return Detection(len(episodes), len(delays), float(np.median(delays)) if delays else None)


def alarms_in(episodes: Sequence[np.ndarray], ticks: int) -> int:
    """Return how often the alarm is raised in episodes of so strange ticks (n,); each begins without one."""
    count = 0
    for scores in episodes:
        debounce, before = Debounce(ticks), False
        for score in scores:
            raised = debounce(bool(score > 1))
            count += raised and not before
            before = raised
    return count
