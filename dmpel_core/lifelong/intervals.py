"""Intervals of the metrics of lifelong learning, which are sums over many cells of a few episodes each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dmpel_core.errors import DmpelError
from dmpel_core.evaluation.metrics import lifelong_metrics

DRAWS = 1000
METRICS = ("fwt", "nbt", "auc", "final_success")


@dataclass(frozen=True)
class Counts:
    """Successes behind a record.

    Attributes:
        matrix: Row i has those on tasks 0 to i after task i.
        curves: Row k has those on task k while it was learned; empty where all tasks were learned at once.
        episodes: Behind each number of `matrix`.
        curve_episodes: Behind each of `curves`.
    """

    matrix: list[list[int]]
    curves: list[list[int]]
    episodes: int
    curve_episodes: int

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Counts":
        """Read a run's record.

        Raises:
            DmpelError: A rate is not one of that many episodes.
        """
        episodes, few = record["episodes"], record["selection_episodes"]
        return cls(_counts(record["success_matrix"], episodes), _counts(record["learning_curves"], few), episodes, few)

    def rates(self) -> tuple[list[list[float]], list[list[float]]]:
        """Return both tables as success rates."""
        return ([[value / self.episodes for value in row] for row in self.matrix],
                [[value / self.curve_episodes for value in row] for row in self.curves])  # fmt: skip


def _counts(rates: Sequence[Sequence[float]], episodes: int) -> list[list[int]]:
    found = [[round(rate * episodes) for rate in row] for row in rates]
    if any(
        abs(rate * episodes - count) > 1e-6
        for row, counted in zip(rates, found, strict=True)
        for rate, count in zip(row, counted, strict=True)
    ):
        raise DmpelError(f"success rates {rates} are not those of {episodes} episodes each: the record is damaged")
    return found


def draws(counts: Counts, number: int = DRAWS, seed: int = 0) -> dict[str, np.ndarray]:
    """Return each metric (number,) for success rates drawn from what the episodes leave possible.

    Every cell's rate is drawn from Beta(s + m, n - s + 1 - m), the posterior of a prior as strong as Jeffreys' whose mean m is that of the
    cell's row: with 1/2 in its place ten cells near 1 would all be pulled down, and their mean's interval would miss the truth. Only chance
    of the episodes is in it, not that of training: several seeds show that.
    """
    rng = np.random.default_rng(seed)

    def drawn(rows: Sequence[Sequence[int]], episodes: int) -> list[np.ndarray]:
        return [_drawn_rates(rng, np.array(row), episodes, number) for row in rows]

    matrix, curves = drawn(counts.matrix, counts.episodes), drawn(counts.curves, counts.curve_episodes)
    if not curves:
        return {"final_success": matrix[-1].mean(1)}
    found = [lifelong_metrics([row[n].tolist() for row in matrix], [row[n].tolist() for row in curves]) for n in range(number)]
    return {name: np.array([getattr(metrics, name) for metrics in found]) for name in METRICS}


def _drawn_rates(rng: np.random.Generator, row: np.ndarray, episodes: int, number: int) -> np.ndarray:
    mean = (row.sum() + 0.5) / (row.size * episodes + 1)
    drawn: np.ndarray = rng.beta(row + mean, episodes - row + 1 - mean, (number, row.size))
    return drawn


def measured(counts: Counts) -> dict[str, float]:
    """Return each metric as the episodes went."""
    matrix, curves = counts.rates()
    if not curves:
        return {"final_success": float(np.mean(matrix[-1]))}
    metrics = lifelong_metrics(matrix, curves)
    return {name: getattr(metrics, name) for name in METRICS}


def intervals(counts: Counts) -> dict[str, list[float]]:
    """Return the 95 % interval of each metric, see `draws` and `bounds`."""
    drawn, found = draws(counts), measured(counts)
    return {name: list(bounds(values, found[name])) for name, values in drawn.items()}


def bounds(drawn: np.ndarray, found: float) -> tuple[float, float]:
    """Return the 95 % interval of a metric's draws; it holds the measured value, also where all episodes ended alike."""
    low, high = np.percentile(drawn, (2.5, 97.5))
    return float(min(low, found)), float(max(high, found))
