"""The comparison of runs as Markdown, for terminals and documents."""

from collections.abc import Mapping, Sequence
from typing import Any

from dmpel_core.lifelong.figures import task_names
from dmpel_core.lifelong.intervals import METRICS
from dmpel_core.lifelong.summary import Row, Tally, controls_of, rows

HEADS = ("algorithm", "seeds", "FWT", "NBT", "AUC", "final success", "trained", "stored [MB]", "minutes")
TOGETHER = "together"


def tables(records: Sequence[Mapping[str, Any]]) -> str:
    """Return three tables for each suite: the metrics, with 95 % intervals, each task's success, and the controls if some were played."""
    parts = []
    for suite in dict.fromkeys(record["suite"] for record in records):
        runs = [record for record in records if record["suite"] == suite]
        found = rows(runs)
        names = [row.name for row in found]
        parts += [f"{suite}, {len(runs[0]['tasks'])} tasks", markdown(HEADS, [cells(row) for row in found])]
        parts.append(markdown(("solved at the end (when learned)", *names), by_task(runs, names)))
        conditions, lines = controls_of(runs)
        if lines:
            seeds = {name: [tallies for record, tallies in lines if record["name"] == name] for name in names}
            body = [[name, *(str(Tally.together(column)) for column in zip(*seeds[name], strict=True))] for name in names]
            parts.append(markdown(("on solved tasks", "normal", *conditions), body))
    return "\n\n".join(parts)


def by_task(runs: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[list[str]]:
    """Return a line for each task and one for all together, with the successes of each name's runs.

    They are those of the final policy; in brackets those of the policy that had just learned the task, where they are not the same.
    """
    found: dict[str, dict[str, list[tuple[Tally, Tally]]]] = {}
    for record in runs:
        matrix, episodes = record["success_matrix"], record["episodes"]
        for place, (number, task) in enumerate(zip(task_names(record), record["tasks"], strict=True)):
            after = matrix[place] if len(matrix) > 1 else matrix[-1]  # where all were learned at once, that was the end
            pair = Tally.of([matrix[-1][place]], episodes), Tally.of([after[place]], episodes)
            for line in (f"{number} {task['instruction']}", TOGETHER):
                found.setdefault(line, {}).setdefault(record["name"], []).append(pair)
    found[TOGETHER] = found.pop(TOGETHER)  # the last line
    return [[line, *(_cell(pairs.get(name, [])) for name in names)] for line, pairs in found.items()]


def _cell(pairs: Sequence[tuple[Tally, Tally]]) -> str:
    final, learned = (Tally.together(pair[side] for pair in pairs) for side in (0, 1))
    return str(final) if final == learned else f"{final} ({learned.successes})"


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
