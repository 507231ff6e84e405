"""A skill from demonstration to execution while the policy runs, as docs/add_a_skill.py does it, with a training of two steps."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dmpel_core.data.hdf5 import read_demonstrations, read_task
from dmpel_core.experts.library import read_library
from dmpel_core.policy.policy import Policy
from tests.core.conftest import TINY, write_library

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TASK = "turn on the stove"
BUDGET = ("--steps", "2", "--batch", "2", "--views", "1", "--threads", "1")


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """What the script leaves behind, and what it said."""
    folder = tmp_path_factory.mktemp("skill")
    write_library(folder / "library", Policy(TINY))
    options = ("--output", folder, "--horizon", "10", "--real-time-factor", "0", *BUDGET)
    command = [sys.executable, ROOT / "docs" / "add_a_skill.py", folder / "library", *options]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


def test_the_running_policy_acts_with_the_skill_it_was_shown(output: tuple[Path, str]) -> None:
    folder, said = output
    assert "the policy runs generation 0: no expert" in said
    assert f"'{TASK}' by generation 1, experts {TASK}: failure after 10 ticks" in said
    library = read_library(folder / "library")
    assert (library.generation, [expert.name for expert in library.experts]) == (1, [TASK])
    log = (folder / "logs" / "policy.log").read_text()
    assert "holds" in log  # its report at the end, of one process from first to last


def test_the_demonstrations_are_what_the_expert_did(output: tuple[Path, str]) -> None:
    file = output[0] / "turn_on_the_stove.hdf5"
    assert read_task(file).language == TASK
    shown = list(read_demonstrations(file))
    assert len(shown) == 3
    for demonstration in shown:
        assert len(demonstration) > 30
        moves = np.abs(demonstration.actions[:, :6]).max(axis=1) > 0
        assert moves.mean() > 0.8
        # The arm goes where the actions push it: from one tick to the next the tool moves along the commanded direction.
        moved, pushed = np.diff(demonstration.ee_pos, axis=0), demonstration.actions[:-1, :3]
        assert (moved * pushed).sum() > 0.5 * np.linalg.norm(moved) * np.linalg.norm(pushed)
