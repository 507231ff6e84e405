"""Demonstration files that grow: nothing damaged is ever seen under a file's own name."""

from pathlib import Path

import numpy as np
import pytest

from dmpel_core.data import demonstration_parts
from dmpel_core.data.demonstration_parts import Parts
from dmpel_core.data.hdf5 import DemonstrationError, list_demonstrations, read_demonstration, read_task
from dmpel_core.errors import DmpelError
from dmpel_core.training.datasets import demonstration_files
from tests.core.test_hdf5 import TASK, make


def test_parts_become_one_file_in_order_of_episodes(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "task.hdf5", "s")
    for episode in (4, 0, 2):
        parts.add(episode, make(5 + episode, seed=episode))
    assert [entry["episode"] for entry in parts.kept()] == [0, 2, 4]
    parts.merge(TASK)
    assert list(list_demonstrations(parts.path).values()) == [5, 7, 9]
    np.testing.assert_array_equal(read_demonstration(parts.path, "demo_1").actions, make(7, seed=2).actions)
    assert read_task(parts.path) == TASK
    assert [path.name for path in tmp_path.iterdir()] == ["task.hdf5"]


def test_a_whole_file_can_grow_again(tmp_path: Path) -> None:
    Parts(tmp_path / "task.hdf5", "s").add(0, make(5))
    Parts(tmp_path / "task.hdf5", "s").merge(TASK)
    parts = Parts(tmp_path / "task.hdf5", "s")
    assert parts.is_whole()
    parts.add(1, make(6))
    assert not parts.is_whole()
    parts.merge(TASK)
    assert list(list_demonstrations(parts.path).values()) == [5, 6]


def test_an_unfinished_demonstration_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = Parts(tmp_path / "task.hdf5", "s")
    parts.add(0, make(5))

    def fail(*_: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(demonstration_parts, "write_demonstration", fail)
        with pytest.raises(RuntimeError):
            parts.add(1, make(5))
    assert [entry["episode"] for entry in Parts(tmp_path / "task.hdf5", "s").kept()] == [0]
    parts.add(1, make(6))
    assert [entry["num_samples"] for entry in parts.kept()] == [5, 6]


def test_parts_left_behind_by_a_merge_count_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = Parts(tmp_path / "task.hdf5", "s")
    parts.add(0, make(5))
    with monkeypatch.context() as patch:
        patch.setattr(demonstration_parts.shutil, "rmtree", lambda _: None)
        parts.merge(TASK)
    assert len(parts.kept()) == 1
    parts.merge(TASK)
    assert parts.is_whole()
    assert len(list_demonstrations(parts.path)) == 1


def test_other_settings_are_refused(tmp_path: Path) -> None:
    Parts(tmp_path / "task.hdf5", "seed 0").add(0, make(5))
    with pytest.raises(DemonstrationError, match="made with seed 0, not seed 1"):
        Parts(tmp_path / "task.hdf5", "seed 1")


def test_training_leaves_out_what_a_collection_has_not_merged(tmp_path: Path) -> None:
    (tmp_path / "a_demo.parts").mkdir()
    (tmp_path / "a_demo.parts" / "episode_00000.hdf5").touch()
    (tmp_path / "b_demo.hdf5").touch()
    assert demonstration_files([tmp_path]) == [tmp_path / "b_demo.hdf5"]
    with pytest.raises(DmpelError, match="no demonstrations at"):
        demonstration_files([tmp_path / "a_demo.parts"])
