"""The ablation over names, from the records of runs to the file of figures."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dmpel_core.errors import DmpelError
from dmpel_core.lifelong import report
from dmpel_core.lifelong.ablation import KINDS, ablation
from dmpel_core.skills.results import keep
from tests.lifelong.conftest import LEARN, plan
from tests.lifelong.records import FIGURES, record, write
from tests.skills.arguments import run


def named(kind: str, seed: int = 1, **changes: Any) -> dict[str, Any]:
    """Return the record of a run with such names."""
    told = plan("dmpel", skills=kind, seed=seed)
    values = {"name": f"dmpel {kind}", "configuration": told.record(), "backbone": "ab", "routing_figures": FIGURES}
    return record("dmpel", seed, **{**values, **changes})


FOUR = [named(kind) for kind in KINDS.values()]


def test_the_figures_of_four_runs_are_kept_beside_others(tmp_path: Path) -> None:
    place = tmp_path / "skills.json"
    keep(place, {"ablation": None, "phase_accuracy": 0.9})
    runs = [*FOUR[1:], named("none", routing_figures={**FIGURES, "accuracy_at_start": 0.25}), record("sequential", 1)]
    assert run(report, *map(str, write(tmp_path / "runs", *runs)), "--output", str(tmp_path), "--results", str(place)) == 0
    kept = json.loads(place.read_text())
    assert kept["phase_accuracy"] == 0.9
    assert kept["ablation"].keys() == {"plain", "true", "annotated", "shuffled"}
    plain, true = kept["ablation"]["plain"], kept["ablation"]["true"]
    assert (plain["accuracy_at_start"], true["accuracy_at_start"]) == (0.25, 0.75)
    assert plain["jerk_elsewhere"] is None
    for name in ("fwt", "nbt", "auc", "final_success"):
        low, high = plain["intervals"][name]
        assert plain[name] == pytest.approx(FOUR[0][name])
        assert low <= plain[name] <= high
    assert kept["ablation_measured_with"] == {"suite": "libero_goal", "tasks": 2, "seeds": [1], "episodes": 10, "steps": LEARN.steps}


def test_several_seeds_are_averaged() -> None:
    better = {"routing_figures": {**FIGURES, "accuracy_at_start": 0.25}, "success_matrix": [[1.0], [1.0, 1.0]]}
    found = ablation([*FOUR, *(named(kind, 2, **better) for kind in KINDS.values())])
    assert found["ablation"]["shuffled"]["accuracy_at_start"] == 0.5
    assert found["ablation"]["shuffled"]["final_success"] == pytest.approx((0.75 + 1) / 2)
    assert found["ablation_measured_with"]["seeds"] == [1, 2]


longer = replace(plan("dmpel", skills="true"), learn=replace(LEARN, skills="true", steps=99)).record()


@pytest.mark.parametrize(
    ("runs", "complaint"),
    [
        (FOUR[:3], "with --names shuffled"),
        ([FOUR[0], named("true", configuration=longer), *FOUR[2:]], r"plain and true runs differ in learn\.steps: 2 and 99"),
        ([*FOUR[:3], named("shuffled", backbone="cd")], "differ in backbone"),
        ([*FOUR[:3], named("shuffled", tasks=[{**task, "data": "cd"} for task in FOUR[0]["tasks"]])], "differ in demonstrations"),
        ([*FOUR[:3], named("shuffled", 2)], r"plain runs have the seeds \[1\], shuffled runs \[2\]"),
    ],
)
def test_runs_that_differ_in_more_than_names_are_not_compared(runs: list[dict[str, Any]], complaint: str) -> None:
    with pytest.raises(DmpelError, match=complaint):
        ablation(runs)
