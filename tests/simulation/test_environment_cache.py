"""Compiled models on disk: written whole, read back the same, made again when damaged."""

from pathlib import Path

import mujoco
import numpy as np
import pytest

from dmpel_core.simulation import model_cache
from dmpel_core.simulation.model_cache import cached_path, compile_model, compiling

XML = "<mujoco><worldbody><body pos='1 2 3'><freejoint/><geom name='ball' size='0.1'/></body></worldbody></mujoco>"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DMPEL_CACHE", str(tmp_path))
    return tmp_path


def _forbid_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(xml: str, reduce_meshes: bool) -> mujoco.MjModel:
        raise AssertionError("compiled although the model was on disk")

    monkeypatch.setattr(model_cache, "_compile", refuse)


def test_the_second_time_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    first = compile_model(XML, reduce_meshes=True, cache=True)
    _forbid_compiling(monkeypatch)
    again = compile_model(XML, reduce_meshes=True, cache=True)
    assert again.geom("ball").id == first.geom("ball").id
    np.testing.assert_array_equal(again.body_pos, first.body_pos)


def test_nothing_but_the_model_is_left_on_disk(folder: Path) -> None:
    compile_model(XML, reduce_meshes=True, cache=True)
    assert [path for path in folder.rglob("*") if path.is_file()] == [cached_path(XML, reduce_meshes=True)]


def test_without_cache_nothing_is_written(folder: Path) -> None:
    compile_model(XML, reduce_meshes=True, cache=False)
    assert not [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "other"])
def test_a_damaged_file_is_made_again(damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compile_model(XML, reduce_meshes=True, cache=True)
    path = cached_path(XML, reduce_meshes=True)
    whole = path.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    path.write_bytes({"empty": b"", "cut": whole[:middle], "flipped": flipped, "other": b"no model"}[damage])
    assert compile_model(XML, reduce_meshes=True, cache=True).ngeom == 1
    _forbid_compiling(monkeypatch)
    assert compile_model(XML, reduce_meshes=True, cache=True).ngeom == 1


def test_the_name_tells_settings_and_scenes_apart() -> None:
    names = {cached_path(XML, reduce_meshes=True), cached_path(XML, reduce_meshes=False), cached_path(XML + " ", reduce_meshes=True)}
    assert len(names) == 3


def test_a_folder_that_cannot_be_written_costs_only_time(folder: Path) -> None:
    (folder / "models").write_text("a file where a folder should be")
    assert compile_model(XML, reduce_meshes=True, cache=True).ngeom == 1


def test_robosuite_compiles_through_the_cache_only_meanwhile(folder: Path) -> None:
    from robosuite.utils.binding_utils import MjSim

    with compiling(reduce_meshes=True, cache=True):
        assert MjSim.from_xml_string(XML).model.ngeom == 1
    assert cached_path(XML, reduce_meshes=True).is_file()
    other = XML.replace("ball", "egg")
    MjSim.from_xml_string(other)
    assert not cached_path(other, reduce_meshes=True).exists()
