"""A whole run of every algorithm, and what killing it does."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dmpel_core.errors import DmpelError
from dmpel_core.experts.library import Library
from dmpel_core.lifelong.algorithms import ALGORITHMS
from dmpel_core.lifelong.protocol import run_lifelong
from dmpel_core.lifelong.result import TIMES
from dmpel_core.lifelong.scoring import Score, Trial
from dmpel_core.training.run import Run
from tests.lifelong.conftest import PROTOCOL, coins, plan


def lasting(record: dict) -> dict:
    return {name: value for name, value in record.items() if name not in TIMES}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_runs_the_sequence_and_leaves_one_record(name: str, library: Library, files: list[list[Path]], tmp_path: Path) -> None:
    record = run_lifelong(plan(name), library, files, tmp_path, coins)
    assert json.loads((tmp_path / "result.json").read_text()) == record
    joint = ALGORITHMS[name].joint
    assert [len(row) for row in record["success_matrix"]] == ([3] if joint else [1, 2, 3])
    assert [len(row) for row in record["loss_matrix"]] == ([3] if joint else [1, 2, 3])
    assert all(0 < loss < 50 for row in record["loss_matrix"] for loss in row)
    assert record["trainable_parameters"] > 0
    assert record["stored_bytes"] > 0
    assert (record["auc"] is None) == joint
    low, high = record["intervals"]["final_success"]
    assert 0 <= low < record["final_success"] + 0.5 < high + 0.5 <= 1.5
