"""The comparison of runs as Markdown, for terminals and documents."""

from collections.abc import Mapping, Sequence
from typing import Any

from dmpel_core.lifelong.intervals import METRICS
from dmpel_core.lifelong.summary import Row, rows

HEADS = ("algorithm", "seeds", "FWT", "NBT", "AUC", "final success", "trained", "stored [MB]", "minutes")


def tables(records: Sequence[Mapping[str, Any]]) -> str:
    """Return for each suite a table of the metrics, with 95 % intervals, and one of the controls where some were played."""
    parts = []
    for suite in dict.fromkeys(record["suite"] for record in records):
        runs = [record for record in records if record["suite"] == suite]
        parts += [f"{suite}, {len(runs[0]['tasks'])} tasks", markdown(HEADS, [cells(row) for row in rows(runs)])]
        conditions = list(dict.fromkeys(name for record in runs for name in record["controls"]))
        if conditions:
            parts.append(markdown(("final success", "as learned", *conditions), [control_cells(record, conditions) for record in runs]))
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


def control_cells(record: Mapping[str, Any], conditions: Sequence[str]) -> list[str]:
    """Return a run's final success under each condition."""
    played = [record["success_matrix"][-1], *(record["controls"].get(name) for name in conditions)]
    return [f"{record['name']}, seed {record['seed']}", *(f"{sum(rates) / len(rates):.2f}" if rates else "-" for rates in played)]


def markdown(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (heads, ["---"] * len(heads), *lines))
