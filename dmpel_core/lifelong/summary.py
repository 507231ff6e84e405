"""Several runs of one name as one row of a table."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dmpel_core.lifelong.intervals import METRICS, Counts, bounds, draws


@dataclass(frozen=True)
class Tally:
    """Successes out of so many episodes, none of both where nothing was played."""

    successes: int
    episodes: int

    @classmethod
    def of(cls, rates: Sequence[float], episodes: int) -> "Tally":
        """Return what several rates of so many episodes each have together."""
        return cls(sum(round(rate * episodes) for rate in rates), len(rates) * episodes)

    @classmethod
    def together(cls, parts: Iterable["Tally"]) -> "Tally":
        """Return the sum."""
        there = list(parts)
        return cls(sum(part.successes for part in there), sum(part.episodes for part in there))

    @property
    def rate(self) -> float | None:
        """Share of the episodes that succeeded; None without any episode."""
        return self.successes / self.episodes if self.episodes else None

    def __str__(self) -> str:
        """Return it as tables have it."""
        return f"{self.successes} / {self.episodes}" if self.episodes else "-"


@dataclass(frozen=True)
class Row:
    """Runs of one name on one suite.

    Attributes:
        suite: Its suite.
        name: The algorithm, with its note.
        seeds: Of its runs.
        tasks: How many it learned.
        values: Mean of each metric over the runs; None where it has no meaning.
        intervals: 95 % interval of each mean.
        trainable: Numbers that the last task trained.
        stored: Bytes kept beside the backbone.
        minutes: Mean wall time of a run.
    """

    suite: str
    name: str
    seeds: tuple[int, ...]
    tasks: int
    values: Mapping[str, float | None]
    intervals: Mapping[str, tuple[float, float]]
    trainable: int
    stored: int
    minutes: float


def rows(records: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Return a row for each suite and name, those with the largest area first."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for record in records:
        groups.setdefault((record["suite"], record["name"]), []).append(record)
    found = [row_of(runs) for runs in groups.values()]
    return sorted(found, key=lambda row: (row.suite, -(row.values["auc"] or 0.0), row.name))


def row_of(runs: Sequence[Mapping[str, Any]]) -> Row:
    """Return one row; the interval of a mean over runs is that of the mean of draws of each, see `intervals.draws`."""
    first = runs[0]
    drawn = [draws(Counts.of(record), seed=number) for number, record in enumerate(runs)]
    values = {name: float(np.mean([record[name] for record in runs])) for name in drawn[0]}
    held = {name: bounds(np.mean([draw[name] for draw in drawn], axis=0), value) for name, value in values.items()}
    return Row(
        first["suite"],
        first["name"],
        tuple(record["seed"] for record in runs),
        len(first["tasks"]),
        {name: values.get(name) for name in METRICS},
        held,
        max(record["trainable_parameters"] for record in runs),
        max(record["stored_bytes"] for record in runs),
        float(np.mean([record["minutes"] for record in runs])),
    )


def controls_of(records: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[tuple[Mapping[str, Any], list[Tally]]]]:
    """Return which conditions the final policies were played under, and each run's successes, without any and under each.

    They are of the tasks that the run's final policy solves at times: what it never solves tells nothing. No episodes stand where a run was
    not played so; without any condition there is nothing to compare, and there are no lines.
    """
    names = list(dict.fromkeys(name for record in records for name in record["controls"]))
    lines = []
    for record in records:
        learned = record["success_matrix"][-1]
        solved = [place for place, rate in enumerate(learned) if rate]
        played = [[record["controls"][name][place] for place in solved] if name in record["controls"] else [] for name in names]
        tallies = [Tally.of(rates, record["control_episodes"]) for rates in played]
        lines.append((record, [Tally.of([learned[place] for place in solved], record["episodes"]), *tallies]))
    return names, lines if names else []
