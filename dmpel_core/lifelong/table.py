"""The comparison of runs as Markdown, for terminals and documents."""

from collections.abc import Mapping, Sequence
from typing import Any

from dmpel_core.lifelong.figures import label
from dmpel_core.lifelong.intervals import METRICS
from dmpel_core.lifelong.summary import Row, controls_of, rows

HEADS = ("algorithm", "seeds", "FWT", "NBT", "AUC", "final success", "trained", "stored [MB]", "minutes")


def tables(records: Sequence[Mapping[str, Any]]) -> str:
    """Return for each suite a table of the metrics, with 95 % intervals, and one of the controls where some were played."""
    parts = []
    for suite in dict.fromkeys(record["suite"] for record in records):
        runs = [record for record in records if record["suite"] == suite]
        parts += [f"{suite}, {len(runs[0]['tasks'])} tasks", markdown(HEADS, [cells(row) for row in rows(runs)])]
        conditions, lines = controls_of(runs)
        if lines:
            body = [[label(record), *("-" if rate is None else f"{rate:.2f}" for rate in rates)] for record, rates in lines]
            parts.append(markdown(("on solved tasks", "normal", *conditions), body))
    return "\n\n".join(parts)


def cells(row: Row) -> list[str]:
    """Return the line of one algorithm."""
    seeds = ", ".join(map(str, row.seeds))
    return [
        row.name,
        seeds,
        *(metric(row, name) for name in METRICS),
        f"{row.trainable:,}",
        f"{row.stored / 1e6:.1f}",
        f"{row.minutes:.0f}",
    ]


def metric(row: Row, name: str) -> str:
    """Return a metric with its interval; a dash where it has no meaning."""
    value = row.values[name]
    return "-" if value is None else "{:.3f} ({:.3f} to {:.3f})".format(value, *row.intervals[name])


def markdown(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (heads, ["---"] * len(heads), *lines))
