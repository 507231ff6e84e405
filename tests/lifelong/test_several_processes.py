"""A run in several processes, of which one plays and writes and all train."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dmpel_core.experts.library import Library
from dmpel_core.lifelong.algorithms import ALGORITHMS
from tests.core.several import run_in_processes

NAMES = ("dmpel", "agem", "packnet")
"""Those that do something of their own in a step or after it; the others train as one of these does."""

PROCESS = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from safetensors.torch import save_file
from dmpel_core.experts.library import read_library
from dmpel_core.lifelong.protocol import run_lifelong
from dmpel_core.lifelong.stage import Stage
from dmpel_core.training.workers import on_processor
from tests.lifelong.conftest import coins
from tests.lifelong.test_protocol import short
from tests.lifelong.test_several_processes import NAMES

folder, accelerator = Path(sys.argv[1]), on_processor()
rank, train, name = accelerator.process_index, Stage._train, ""

def told(stage, lesson, *rest):
    train(stage, lesson, *rest)
    save_file({key: value.detach().contiguous() for key, value in lesson.parameters_by_name().items()},
              folder / f"{name}-{stage.number}-{rank}.safetensors")

def played(trials):
    (folder / f"played-{rank}").touch()
    return coins(trials)

Stage._train = told
library, files = read_library(folder / "library"), [[folder / f"{number}.hdf5"] for number in range(2)]
for name in NAMES:
    run_lifelong(short(name), library, files, folder / name, played, accelerator)
"""


@pytest.mark.slow
def test_all_processes_train_the_same_weights_and_one_plays_and_writes(library: Library, files: list[list[Path]], tmp_path: Path) -> None:
    for count in (1, 2):
        folder = tmp_path / str(count)
        shutil.copytree(library.path, folder / "library")
        for number, (file,) in enumerate(files[:2]):
            shutil.copy(file, folder / f"{number}.hdf5")
        run_in_processes(PROCESS, folder, count)
    assert [path.name for path in (tmp_path / "2").glob("played-*")] == ["played-0"]
    for name in NAMES:
        lessons = 1 if ALGORITHMS[name].joint else 2
        for task in range(lessons):
            alone, first, second = (
                load_file(tmp_path / place)
                for place in (f"1/{name}-{task}-0.safetensors", f"2/{name}-{task}-0.safetensors", f"2/{name}-{task}-1.safetensors")
            )
            assert all(torch.equal(value, second[key]) for key, value in first.items()), f"{name}: gradients were not synchronised"
            assert any(not torch.equal(value, alone[key]) for key, value in first.items()), f"{name}: the other's batch did not count"
        record = json.loads((tmp_path / "2" / name / "result.json").read_text())
        assert len(record["success_matrix"]) == lessons
