"""Which generations may be loaded while the node runs, and what becomes of those that may not."""

import json
import struct
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dmpel_core.experts.library import generations, read_library
from dmpel_core.experts.parcel import pack_generation
from dmpel_ros.catalogue import LibraryCatalogue
from dmpel_ros.contract import Promise
from dmpel_ros.skills import Permission, Skills
from tests.ros.fakes import SIZE, FakeEngine
from tests.ros.small_library import make_small_library

PROMISE = Promise(
    dict.fromkeys(("agentview", "eye_in_hand"), (SIZE, SIZE, 3)),
    image_orientation="upright",
    joints=7,
    gripper=2,
    action={"kind": "pose_delta", "frame": "base", "linear_m": 0.05, "angular_rad": 0.5},
    rate_hz=20.0,
)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    make_small_library(tmp_path / "library")
    return tmp_path / "library"


def skills_of(library: Path, engine: FakeEngine, *, loading: bool = True) -> Skills:
    return Skills(engine, LibraryCatalogue(), PROMISE, Permission(loading, library), library, 3)


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


def test_load_roll_back_and_list(library: Path, engine: FakeEngine) -> None:
    skills = skills_of(library, engine)
    assert skills.load(library, 1) == (True, "generation 1 is loaded and takes over at the next tick")
    assert (engine.generation, skills.number) == (1, 1)
    assert skills.load(library, None)[0]
    assert skills.number == 3
    assert skills.roll_back() == (True, "generation 2 is loaded and takes over at the next tick")
    success, text = skills.contents()
    told = json.loads(text)
    assert success
    assert (told["running"], told["selected"], told["generations"]["2"]) == (2, 3, ["skill 1", "skill 2"])
    assert set(told["generations"]) == {"0", "1", "2", "3"}


def test_there_is_nothing_before_the_first_generation(library: Path, engine: FakeEngine) -> None:
    skills = skills_of(library, engine)
    assert [skills.roll_back()[0] for _ in range(3)] == [True] * 3
    assert skills.roll_back() == (False, "generation 0 was made from none; generation 0 stays in use")


@pytest.mark.fault
def test_nothing_is_loaded_without_permission(library: Path, engine: FakeEngine) -> None:
    for answer in (skills_of(library, engine, loading=False).load(library, 1), skills_of(library, engine, loading=False).roll_back()):
        assert not answer[0]
        assert "'allow_loading'" in answer[1]
    assert engine.generation == 3


@pytest.mark.fault
def test_a_library_outside_of_the_root_is_refused_links_and_dots_included(library: Path, engine: FakeEngine, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    make_small_library(outside)
    (library / "link").symlink_to(outside)
    for place in (outside, library / ".." / "outside", library / "link"):
        success, message = skills_of(library, engine).load(place, None)
        assert not success
        assert "'library_root' allows" in message
    assert engine.generation == 3


@pytest.mark.fault
def test_a_second_load_is_refused_while_one_is_under_way(library: Path, engine: FakeEngine) -> None:
    skills = skills_of(library, engine)
    engine.may_finish_loading.clear()
    first: list[tuple[bool, str]] = []
    loading = threading.Thread(target=lambda: first.append(skills.load(library, 1)))
    loading.start()
    assert engine.loading.wait(10.0)
    assert skills.load(library, 2) == (False, "another generation is being loaded: ask again when that is done")
    engine.may_finish_loading.set()
    loading.join()
    assert (first[0][0], engine.generation) == (True, 1)


def flip_a_bit(data: bytes) -> bytes:
    return data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]


@pytest.mark.fault
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (flip_a_bit, "sha256"),
        (lambda data: data[:-10], "bytes"),
        (lambda data: struct.pack("<Q", 2**60) + data[8:], "sha256"),
        (lambda data: b"", "bytes"),
    ],
    ids=["bit-flipped", "truncated", "huge header", "empty"],
)
def test_a_damaged_expert_is_not_loaded_and_nothing_is_lost(
    library: Path, engine: FakeEngine, damage: Callable[[bytes], bytes], words: str
) -> None:
    skills = skills_of(library, engine)
    expert = next((library / "experts").glob("0003-*"))
    whole = expert.read_bytes()
    expert.write_bytes(damage(whole))
    success, message = skills.load(library, 3)
    assert not success
    assert words in message
    assert message.endswith("generation 3 stays in use")
    assert skills.load(library, 2)[0]  # of which it is no part
    expert.write_bytes(whole)
    assert skills.load(library, 3)[0]


@pytest.mark.fault
def test_an_expert_of_another_backbone_is_not_loaded(library: Path, engine: FakeEngine, tmp_path: Path) -> None:
    make_small_library(tmp_path / "other", seed=1)
    expert = next((library / "experts").glob("0003-*"))
    expert.write_bytes((tmp_path / "other" / "experts" / expert.name).read_bytes())
    assert not skills_of(library, engine).load(library, 3)[0]
    (library / "backbone.safetensors").write_bytes((tmp_path / "other" / "backbone.safetensors").read_bytes())
    assert not skills_of(library, engine).load(library, 2)[0]
    assert engine.generation == 3


@pytest.mark.fault
def test_a_generation_that_does_not_exist_is_named_with_those_that_do(library: Path, engine: FakeEngine) -> None:
    assert "has no generation 9, only 0, 1, 2, 3" in skills_of(library, engine).load(library, 9)[1]


@pytest.fixture
def parcel(library: Path) -> Path:
    """Return the fourth expert as a file below the library, which has three."""
    make_small_library(library.parent / "sender", experts=4)
    file = library / "incoming" / "four.expert"
    file.parent.mkdir()
    file.write_bytes(pack_generation(read_library(library.parent / "sender")))
    return file


def test_an_expert_file_is_added_and_loaded_and_the_pointer_on_disk_stays(library: Path, engine: FakeEngine, parcel: Path) -> None:
    skills = skills_of(library, engine)
    assert skills.add(parcel) == (True, "generation 4 is loaded and takes over at the next tick")
    assert (engine.generation, skills.number, read_library(library).generation) == (4, 4, 3)
    assert [expert.name for expert in read_library(library, 4).experts][-1] == "skill 4"
    assert skills.roll_back() == (True, "generation 3 is loaded and takes over at the next tick")
    assert skills.add(parcel)[0], "a second time it is there already"


@pytest.mark.fault
def test_a_damaged_or_foreign_expert_file_changes_nothing(library: Path, engine: FakeEngine, parcel: Path, tmp_path: Path) -> None:
    whole, skills = parcel.read_bytes(), skills_of(library, engine)
    make_small_library(tmp_path / "other", experts=4, seed=1)
    foreign = pack_generation(read_library(tmp_path / "other"))
    for content, words in (
        (flip_a_bit(whole), "sha256"),
        (whole[:-10], "safetensors"),
        (foreign, "another backbone"),
        (b"", "safetensors"),
    ):
        parcel.write_bytes(content)
        success, message = skills.add(parcel)
        assert not success
        assert words in message
        assert message.endswith("generation 3 stays in use")
        assert generations(library) == (0, 1, 2, 3)
    parcel.write_bytes(whole)
    assert skills.add(parcel)[0]


@pytest.mark.fault
def test_an_expert_file_needs_permission_and_the_root(library: Path, engine: FakeEngine, parcel: Path, tmp_path: Path) -> None:
    assert "'allow_loading'" in skills_of(library, engine, loading=False).add(parcel)[1]
    outside = tmp_path / "four.expert"
    outside.write_bytes(parcel.read_bytes())
    assert "'library_root' allows" in skills_of(library, engine).add(outside)[1]
    assert generations(library) == (0, 1, 2, 3)


def test_an_expert_file_that_the_robot_does_not_fit_is_named_and_does_not_run(library: Path, engine: FakeEngine, parcel: Path) -> None:
    skills = Skills(engine, LibraryCatalogue(), replace(PROMISE, rate_hz=10.0), Permission(loading=True, root=library), library, 3)
    success, message = skills.add(parcel)
    assert not success
    assert "is generation 4 of the library now, but it does not run" in message
    assert message.endswith("generation 3 stays in use")
    assert engine.generation == 3
