"""Forward transfer, forgetting, area under the curve and final success of measured runs."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from dmpel_core.errors import DmpelError
from dmpel_core.evaluation.metrics import Metrics, lifelong_metrics

ROOT = Path(__file__).parents[2]


def golden_folder() -> Path:
    """Return the folder of golden cases: $DMPEL_GOLDEN, the one beside the repository, or the copy inside it."""
    beside = ROOT.parent / "shared" / "golden"
    return Path(os.environ.get("DMPEL_GOLDEN", beside if beside.is_dir() else ROOT / "tests" / "golden"))


FILES = sorted(golden_folder().glob("*metrics*.json")) or [ROOT / "tests" / "golden" / "metrics.json"]
CASES = [json.loads(file.read_text()) for file in FILES]


@pytest.fixture(params=CASES, ids=[file.stem for file in FILES])
def case(request: pytest.FixtureRequest) -> dict[str, Any]:
    return request.param


def by_hand(matrix: list[list[float]], curves: list[list[float]]) -> Metrics:
    """Return the figures by the definitions' own sums, numbering tasks from 1."""
    tasks = len(matrix)
    c = {(t, k): matrix[t - 1][k - 1] for t in range(1, tasks + 1) for k in range(1, t + 1)}
    fwt = {}
    for k, curve in enumerate(curves, start=1):
        best = min(epoch for epoch, value in enumerate(curve) if value == max(curve))
        fwt[k] = sum(value if epoch < best else curve[best] for epoch, value in enumerate(curve)) / len(curve)
    nbt = {k: sum(c[k, k] - c[t, k] for t in range(k + 1, tasks + 1)) / (tasks - k) for k in range(1, tasks)}
    auc = {k: (fwt[k] + sum(c[t, k] for t in range(k + 1, tasks + 1))) / (tasks - k + 1) for k in range(1, tasks + 1)}
    forgotten = sum(nbt.values()) / len(nbt) if nbt else 0.0
    return Metrics(sum(fwt.values()) / tasks, forgotten, sum(auc.values()) / tasks, sum(matrix[-1]) / tasks)


def test_a_measured_run_has_its_published_figures(case: dict[str, Any]) -> None:
    found = asdict(lifelong_metrics(case["success_matrix"], case["learning_curves"]))
    expected = {name: case[name] for name in found if name in case}
    assert expected, "a golden file states at least one figure"
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-12)


def test_a_run_that_stopped_earlier_has_the_figures_of_its_tasks(case: dict[str, Any]) -> None:
    for tasks in range(1, len(case["success_matrix"]) + 1):
        matrix, curves = case["success_matrix"][:tasks], case["learning_curves"][:tasks]
        assert asdict(lifelong_metrics(matrix, curves)) == pytest.approx(asdict(by_hand(matrix, curves)), abs=1e-12)


def test_the_last_task_has_no_term_in_the_forgetting() -> None:
    curves = [[0.0, 0.8], [0.0, 0.6]]
    assert lifelong_metrics([[0.8], [0.2, 0.6]], curves).nbt == pytest.approx(0.6)
    assert lifelong_metrics([[0.8]], curves[:1]) == Metrics(0.4, 0.0, 0.4, 0.8)


def test_a_square_matrix_is_read_below_its_diagonal() -> None:
    curves = [[0.0, 0.8], [0.0, 0.6]]
    assert lifelong_metrics([[0.8, 0.3], [0.2, 0.6]], curves) == lifelong_metrics([[0.8], [0.2, 0.6]], curves)


def test_a_curve_is_held_from_its_first_best_epoch_and_not_before() -> None:
    assert lifelong_metrics([[1.0]], [[0.6, 0.2, 0.9, 0.1, 0.9]]).fwt == pytest.approx((0.6 + 0.2 + 3 * 0.9) / 5)


@pytest.mark.parametrize(
    ("success", "curves", "words"),
    [
        ([], [], "0 rows of success and 0 learning curves"),
        ([[0.5]], [[0.5], [0.5]], "1 rows of success and 2 learning curves"),
        ([[0.5], [0.5]], [[0.5], [0.5]], "row 1 of the success matrix has 1 numbers, expected 2"),
        ([[0.5], [0.5, 0.5, 0.5]], [[0.5], [0.5]], "row 1 of the success matrix has 3 numbers, expected 2"),
        ([[0.5], [0.5, 0.5]], [[0.5, 0.6], [0.5]], "learning curve 1 has 1 numbers, expected 2"),
        ([[0.5]], [[]], "learning curve 0 has 0 numbers"),
        ([[50.0]], [[0.5]], "must lie between 0 and 1"),
        ([[float("nan")]], [[0.5]], "must lie between 0 and 1"),
        ([[0.5]], [["much"]], "no number"),
        ([[0.5]], [[[0.5]]], "must lie between 0 and 1"),
    ],
)
def test_other_tables_are_refused(success: list, curves: list, words: str) -> None:
    with pytest.raises(DmpelError, match=words):
        lifelong_metrics(success, curves)
