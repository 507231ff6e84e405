"""What names do for DMPEL's router: runs of one sequence that differ in nothing else, side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dmpel_core.errors import DmpelError
from dmpel_core.lifelong.protocol import flat
from dmpel_core.lifelong.summary import row_of
from dmpel_core.lifelong.switching import FIGURES

KINDS = {"plain": "none", "true": "true", "annotated": "annotated", "shuffled": "shuffled"}
"""What is compared, and the `--names` that it was run with."""
FREE = {"learn.skills", "learn.seed", "note"}
"""What may differ between the runs of an ablation."""

Record = Mapping[str, Any]


def ablation(records: Sequence[Record]) -> dict[str, Any]:
    """Return `ablation`, the figures of each kind as means over its seeds, and `ablation_measured_with`.

    Args:
        records: Of lifelong runs; those of other algorithms are left out.

    Raises:
        DmpelError: A kind is missing, or its runs differ from the others' in more than names, or have other seeds.
    """
    runs = {name: [record for record in records if _names(record) == kind] for name, kind in KINDS.items()}
    missing = [f"--names {KINDS[name]}" for name, found in runs.items() if not found]
    if missing:
        raise DmpelError(f"no run of `dmpel lifelong --algorithm dmpel` with {', '.join(missing)}: give one of each kind to compare")
    _check_alike(runs)
    first = runs["plain"][0]
    how = {"suite": first["suite"], "tasks": len(first["tasks"]), "seeds": _seeds(runs["plain"]), "episodes": first["episodes"],
           "steps": first["configuration"]["learn"]["steps"]}  # fmt: skip
    return {"ablation": {name: _figures(found) for name, found in runs.items()}, "ablation_measured_with": how}


def _names(record: Record) -> str | None:
    return record["configuration"]["learn"].get("skills", "none") if record["algorithm"] == "dmpel" else None


def _figures(runs: Sequence[Record]) -> dict[str, Any]:
    row = row_of(runs)
    told = [record.get("routing_figures") or {} for record in runs]
    means: dict[str, float | None] = {**row.values}
    for name in FIGURES:
        known = [part[name] for part in told if part.get(name) is not None]
        means[name] = float(np.mean(known)) if len(known) == len(runs) else None
    rounded = {name: None if value is None else round(value, 4) for name, value in means.items()}
    return {**rounded, "intervals": {name: [round(low, 4), round(high, 4)] for name, (low, high) in row.intervals.items()}}


def _check_alike(runs: Mapping[str, Sequence[Record]]) -> None:
    wanted, seeds = _identity(runs["plain"][0]), _seeds(runs["plain"])
    for name, found in runs.items():
        for other in map(_identity, found):
            odd = sorted(key for key in wanted.keys() | other.keys() if wanted.get(key) != other.get(key))
            if odd:
                raise DmpelError(
                    f"plain and {name} runs differ in {odd[0]}: {wanted.get(odd[0])} and {other.get(odd[0])}; "
                    "give only runs that differ in --names, --note and --seed"
                )
        if _seeds(found) != seeds:
            raise DmpelError(f"plain runs have the seeds {seeds}, {name} runs {_seeds(found)}: give runs of the same seeds")


def _identity(record: Record) -> dict[str, Any]:
    """Return all that must be the same, by name."""
    settings = {name: value for name, value in flat(record["configuration"]).items() if name not in FREE}
    return {**settings, "backbone": record["backbone"], "demonstrations": [task["data"] for task in record["tasks"]]}


def _seeds(runs: Sequence[Record]) -> list[int]:
    return sorted(record["seed"] for record in runs)
