"""The library on disk: round trip, immutability, rollback."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dmpel_core.experts.library import LibraryError, Limits, add_expert, create_library, generations, read_library, select_generation
from tests.core.small_library import MODULES, contents, make_library, parts, teach


def assert_same(found: dict[str, np.ndarray], given: dict[str, np.ndarray]) -> None:
    """Same names, types, shapes and numbers."""
    assert found.keys() == given.keys()
    for name, array in given.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_round_trip(tmp_path: Path) -> None:
    written = teach(teach(make_library(tmp_path), "Put the bowl on the plate", 1), "open a drawer", 2)
    library = read_library(tmp_path)
    assert library == written
    assert (library.generation, library.parent) == (2, 1)
    assert library.policy == {"width": 4, "layers": [1, 2]}
    assert library.modules == MODULES
    assert library.observation["joints"] == 7
    assert [expert.name for expert in library.experts] == ["Put the bowl on the plate", "open a drawer"]
    assert library.experts[0].instructions == ("Put the bowl on the plate", "please Put the bowl on the plate")
    assert library.experts[0].factors.path == "experts/0001-put-the-bowl-on-the-plate.safetensors"
    assert library.experts[1].provenance["metrics"] == {"loss": 0.5}
    for index in (0, 1):
        given = parts(index + 1, index + 1)
        assert_same(library.factors(index), given["factors"])
        assert_same(library.replay(index), given["replay"])
    assert_same(library.router(), parts(2, 2)["router"])
    assert_same(library.backbone(), make_library(tmp_path / "again").backbone())


def test_arrays_can_be_written_to(tmp_path: Path) -> None:
    backbone = make_library(tmp_path).backbone()
    assert all(array.flags.writeable for array in backbone.values())


def test_the_backbone_alone_has_no_router(tmp_path: Path) -> None:
    library = make_library(tmp_path)
    assert (library.generation, library.parent, library.experts, library.router()) == (0, None, (), {})


def test_later_experts_change_no_old_byte(tmp_path: Path) -> None:
    library = teach(make_library(tmp_path), "first")
    before = contents(tmp_path)
    teach(library, "second", 2)
    after = contents(tmp_path)
    assert {name for name in before if after[name] != before[name]} == {"manifest.json"}
    assert after["manifests/0001.json"] == before["manifest.json"]


def test_the_same_experts_make_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        teach(teach(make_library(tmp_path / name), "first"), "second", 2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_transposed_arrays_keep_their_numbers(tmp_path: Path) -> None:
    given = {"w": np.arange(6, dtype=np.float32).reshape(2, 3).T, "scalar": np.float32(2.5)[()].reshape(())}
    library = create_library(tmp_path, backbone=given, policy={}, modules=[], text_encoder={}, observation={})
    assert_same(library.backbone(), given)


def test_rollback_is_a_pointer(tmp_path: Path) -> None:
    teach(teach(make_library(tmp_path), "first"), "second", 2)
    before = contents(tmp_path)
    assert select_generation(tmp_path, 1).generation == 1
    assert read_library(tmp_path).generation == 1
    assert read_library(tmp_path, 2).experts[1].name == "second"
    assert select_generation(tmp_path, 2) == read_library(tmp_path)
    after = contents(tmp_path)
    assert after.keys() - before.keys() == {"manifests/0002.json"}
    assert all(after[name] == before[name] for name in before)


def test_a_branch_after_a_rollback_takes_a_new_number(tmp_path: Path) -> None:
    teach(teach(make_library(tmp_path), "first"), "second", 2)
    branch = teach(select_generation(tmp_path, 1), "other", 3)
    assert (branch.generation, branch.parent) == (3, 1)
    assert [expert.name for expert in branch.experts] == ["first", "other"]
    assert [expert.name for expert in read_library(tmp_path, 2).experts] == ["first", "second"]
    assert generations(tmp_path) == (0, 1, 2, 3)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda path: make_library(path), "holds a library already"),
        (lambda path: teach(read_library(path), "first"), "'first' stands there twice"),
        (lambda path: select_generation(path, 7), "has no generation 7, only 0, 1"),
        (lambda path: read_library(path / "nowhere"), "is not a library"),
        (lambda path: read_library(path, limits=Limits(experts=0)), "more than the cap of 0"),
    ],
)
def test_refuses_and_leaves_all_as_it_was(tmp_path: Path, call: Callable[[Path], object], words: str) -> None:
    teach(make_library(tmp_path), "first")
    before = contents(tmp_path)
    with pytest.raises(LibraryError, match=words):
        call(tmp_path)
    assert contents(tmp_path)["manifest.json"] == before["manifest.json"]
    assert read_library(tmp_path).generation == 1


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda factors: factors.pop("head.mean.A"), "'head.mean.A' is missing"),
        (lambda factors: factors.update(extra=np.zeros(1, np.float32)), "'extra' is of no module"),
        (lambda factors: factors.update({"head.mean.A": np.zeros((1, 5), np.float32)}), r"the module list wants floats \(5, 1\)"),
        (lambda factors: factors.update({"head.mean.A": np.zeros((5, 1), np.int64)}), "the module list wants floats"),
        (lambda factors: factors.update({"head.mean.A": np.zeros((5, 1))}), "of type 'F64', expected one of F32"),
        (lambda factors: factors.update({"head.mean.A": np.full((5, 1), np.nan, np.float32)}), "NaN or infinity"),
    ],
)
def test_a_bad_expert_is_never_written(tmp_path: Path, spoil: Callable[[dict], object], words: str) -> None:
    library = make_library(tmp_path)
    before = contents(tmp_path)
    given = parts(1, 1)
    spoil(given["factors"])
    with pytest.raises(LibraryError, match=words):
        add_expert(library, name="bad", instructions=["bad"], skill="put", provenance={"dataset": "", "seed": 0, "metrics": {}}, **given)
    assert contents(tmp_path) == before


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    make_library(tmp_path)
    hold = (
        "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", hold, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(LibraryError, match="being written by another process"):
            teach(read_library(tmp_path), "first")
        other.communicate()
    assert teach(read_library(tmp_path), "first").generation == 1
