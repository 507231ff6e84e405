"""Still pictures in a lifelong run: all algorithms learn the waypoints of those of the task at hand, and nothing else of them."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from dmpel_core.data.hdf5 import TaskRecord
from dmpel_core.data.stills import Stills, write_stills
from dmpel_core.errors import DmpelError
from dmpel_core.experts.library import Library, read_library
from dmpel_core.experts.restore import restore_factors
from dmpel_core.lifelong import tasks
from dmpel_core.lifelong.algorithms import ALGORITHMS
from dmpel_core.lifelong.algorithms.dmpel import copy_of
from dmpel_core.lifelong.command import still_files
from dmpel_core.lifelong.protocol import run_lifelong
from dmpel_core.lifelong.tasks import TaskData, load_task_data
from dmpel_core.policy.policy import Policy
from dmpel_core.policy.sizes import PolicySizes
from dmpel_core.training.learn import learn
from dmpel_core.training.pictures import shrink
from dmpel_core.training.run import Run
from tests.core.conftest import TINY, bright_stills, write_library
from tests.lifelong.conftest import LEARN, OPTIONS, PROTOCOL, SENTENCES, begun, coins, plan

SHOWN = 8


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of still pictures of the first task."""
    path = tmp_path_factory.mktemp("stills") / "open_stills.hdf5"
    write_stills(path, bright_stills(24), TaskRecord(SENTENCES[0]))
    return path


@pytest.fixture
def first(backbone: Policy, library: Library, files: list[list[Path]], pictures: Path, cache: Path) -> TaskData:
    name = library.manifest.backbone.sha256
    return load_task_data(backbone, name, files[0], LEARN, cache, pictures=True, features=True, stills=[pictures])


def step_losses(name: str, policy: Policy, data: TaskData, stills: int) -> tuple[float, float]:
    """Return the losses of an algorithm's first step on a first task."""
    algorithm = begun(name, policy, stills=stills)
    lesson = algorithm.lesson(0, [data])
    with torch.no_grad():
        likelihood, way = lesson(0)
    return likelihood.item(), way.item()


@pytest.mark.parametrize("name", sorted(set(ALGORITHMS) - {"lotus"}))
def test_a_step_adds_their_waypoints_and_leaves_the_actions_alone(name: str, backbone: Policy, first: TaskData) -> None:
    likelihood, way = step_losses(name, backbone, replace(first, stills=None), SHOWN)
    glanced, more = step_losses(name, backbone, first, SHOWN)
    assert glanced == likelihood
    assert more > way + 0.01
    assert step_losses(name, backbone, first, 0) == (likelihood, way)


def test_segments_of_demonstrations_are_all_that_lotus_knows(backbone: Policy, first: TaskData) -> None:
    assert step_losses("lotus", backbone, first, SHOWN) == step_losses("lotus", backbone, replace(first, stills=None), SHOWN)


def test_a_run_learns_what_the_command_for_one_task_learns(
    library: Library, files: list[list[Path]], pictures: Path, tmp_path: Path
) -> None:
    wanted = replace(plan("dmpel", stills=SHOWN), tasks=(4, 7), protocol=replace(PROTOCOL, keep="last"))
    record = run_lifelong(wanted, library, files[:2], tmp_path / "run", coins, stills=[[pictures], []])
    assert [task["still_pictures"] for task in record["tasks"]] == [24, 0]
    place, log = copy_of(library, tmp_path / "alone"), Run(tmp_path / "log", "learn")
    alone = learn(place, files[0], replace(LEARN, stills=SHOWN), log, OPTIONS.replay_ratio, OPTIONS.replay_epochs, stills=[pictures])
    together = read_library(tmp_path / "run" / "library")
    for name, value in restore_factors(alone)[0].items():
        torch.testing.assert_close(restore_factors(together)[0][name], value, rtol=0, atol=0)
    assert together.experts[0].provenance["stills"] == alone.experts[0].provenance["stills"]
    assert "stills" not in together.experts[1].provenance


def test_a_run_goes_on_with_the_same_still_pictures_only(library: Library, files: list[list[Path]], pictures: Path, tmp_path: Path) -> None:
    wanted = replace(plan("frozen", stills=SHOWN), tasks=(4,))
    run_lifelong(wanted, library, files[:1], tmp_path / "run", coins, stills=[[pictures]])
    other = tmp_path / "other_stills.hdf5"
    write_stills(other, bright_stills(16), TaskRecord(SENTENCES[0]))
    with pytest.raises(DmpelError, match="stills"):
        run_lifelong(wanted, library, files[:1], tmp_path / "run", coins, stills=[[other]])


def test_a_policy_that_foresees_nothing_is_refused_before_anything_is_learned(
    files: list[list[Path]], pictures: Path, tmp_path: Path
) -> None:
    blind = write_library(tmp_path / "library", Policy(replace(TINY, waypoint=False)).eval())
    with pytest.raises(DmpelError, match="foresees none; leave out --stills"):
        run_lifelong(replace(plan("frozen", stills=SHOWN), tasks=(4,)), blind, files[:1], tmp_path / "run", coins, stills=[[pictures]])
    assert not (tmp_path / "run").exists()


def test_files_are_found_by_the_task_and_some_tasks_have_none(pictures: Path, tmp_path: Path) -> None:
    wanted = replace(plan("dmpel"), tasks=(8, 0))
    with pytest.raises(DmpelError, match=r"no still pictures of these tasks in .*`dmpel stills --suite libero_goal` makes them"):
        still_files([tmp_path], wanted)
    place = tmp_path / "libero_goal" / "put_the_bowl_on_the_plate_stills.hdf5"
    place.parent.mkdir()
    place.write_bytes(pictures.read_bytes())
    assert still_files([tmp_path], wanted) == [[place], []]


def test_a_second_run_on_the_same_pictures_waits_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown, second = [bright_stills(4)], []
    keep = partial(tasks.keep_pictures, shown, TINY, tmp_path, "pictures")

    def shrink_beside_another(stills: Stills, sizes: PolicySizes) -> torch.Tensor:
        second.append(other.submit(keep))
        with pytest.raises(TimeoutError):
            second[-1].result(timeout=0.2)
        return shrink(stills, sizes)

    monkeypatch.setattr(tasks, "shrink", shrink_beside_another)
    with ThreadPoolExecutor() as other:
        np.testing.assert_array_equal(keep(), second[0].result())
    assert len(second) == 1
