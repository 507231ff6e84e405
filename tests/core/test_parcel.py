"""An expert as one file: a library that has the rest takes it whole, and everything else leaves the library as it was."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dmpel_core import cli
from dmpel_core.experts import install as install_command
from dmpel_core.experts import pack as pack_command
from dmpel_core.experts.library import (
    Library,
    LibraryError,
    Limits,
    create_library,
    generations,
    keep_graphs,
    read_library,
    select_generation,
)
from dmpel_core.experts.manifest import to_text
from dmpel_core.experts.parcel import install, pack_generation
from dmpel_core.experts.signature import read_public_key, sign
from dmpel_core.experts.tensors import pack, unpack
from tests.core.keys import make_keys
from tests.core.small_library import contents, make_library, teach

DRAWER, STOVE, BOWL = "open the drawer", "turn on the stove", "lift the bowl"


@pytest.fixture
def sender(tmp_path: Path) -> Library:
    """A library of two experts."""
    return teach(teach(make_library(tmp_path / "sender"), DRAWER), STOVE, 2)


@pytest.fixture
def robot(sender: Library, tmp_path: Path) -> Library:
    """A copy of it from before the second one was learned."""
    folder = tmp_path / "robot"
    make_library(folder)
    return teach(read_library(folder), DRAWER)


@pytest.fixture
def parcel(sender: Library, tmp_path: Path) -> Path:
    file = tmp_path / "stove.expert"
    file.write_bytes(pack_generation(sender))
    return file


def test_a_file_brings_the_generation_whole_and_leaves_the_one_in_use(robot: Library, sender: Library, parcel: Path) -> None:
    before = contents(robot.path)
    added = install(robot.path, parcel)
    assert added.manifest == sender.manifest
    assert read_library(robot.path, 2).manifest == sender.manifest
    assert read_library(robot.path).generation == 1
    after = contents(robot.path)
    assert {name: after[name] for name in before} == before
    chosen = contents(select_generation(robot.path, 2).path)
    assert {name: chosen[name] for name in contents(sender.path)} == contents(sender.path)


def test_it_holds_the_new_expert_and_nothing_of_the_old_ones(sender: Library, parcel: Path) -> None:
    factors = (sender.path / sender.experts[0].factors.path).read_bytes()
    assert factors not in parcel.read_bytes()
    assert (sender.path / sender.experts[1].factors.path).read_bytes() in parcel.read_bytes()


def test_graphs_travel_with_it(robot: Library, sender: Library, tmp_path: Path) -> None:
    with_graphs = keep_graphs(sender.path, {"act": b"graph"})
    (tmp_path / "stove.expert").write_bytes(pack_generation(with_graphs))
    assert install(robot.path, tmp_path / "stove.expert").graphs() == {"act": b"graph"}


def test_a_second_time_changes_nothing(robot: Library, parcel: Path) -> None:
    install(robot.path, parcel)
    before = contents(robot.path)
    assert install(robot.path, parcel).generation == 2
    assert contents(robot.path) == before


def refused(library: Library, file: Path, words: str, limits: Limits | None = None) -> None:
    """Assert that a file is refused with these words and that no byte of the library changes."""
    before = contents(library.path)
    with pytest.raises(LibraryError, match=words):
        install(library.path, file, limits)
    assert contents(library.path) == before


@pytest.mark.fault
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-9],
        lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
        lambda data: b"\xff" * 8 + data[8:],
        lambda data: b"",
        lambda data: b"PK\x03\x04" + data,
    ],
    ids=["truncated", "bit-flipped", "huge header", "empty", "another format"],
)
def test_a_damaged_expert_file_leaves_the_library_as_it_was(robot: Library, parcel: Path, damage: Callable[[bytes], bytes]) -> None:
    parcel.write_bytes(damage(parcel.read_bytes()))
    refused(robot, parcel, r"stove\.expert|sha256|truncated")


@pytest.mark.fault
def test_an_expert_file_of_another_backbone_is_refused(robot: Library, parcel: Path, tmp_path: Path) -> None:
    weights = robot.backbone()
    weights["image.6.q"] = weights["image.6.q"] + 1
    other = create_library(
        tmp_path / "third", backbone=weights, policy=robot.policy, modules=robot.modules, text_encoder=robot.text_encoder,
        observation=robot.observation,
    )  # fmt: skip
    refused(teach(other, DRAWER), parcel, "belongs to another backbone")


def test_a_library_without_the_generations_before_it_is_refused(parcel: Path, tmp_path: Path) -> None:
    refused(
        make_library(tmp_path / "empty"), parcel, "follows generation 1 with 'open the drawer'.*has generations 0 and none that is the same"
    )
    refused(teach(make_library(tmp_path / "other"), BOWL, 3), parcel, "send those in between first")


def test_a_number_that_is_taken_is_refused(robot: Library, parcel: Path) -> None:
    refused(teach(robot, BOWL, 4), parcel, "has another one of that number, whose newest expert is 'lift the bowl'")


def test_a_library_without_experts_is_not_packed(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="has no expert to pack"):
        pack_generation(make_library(tmp_path / "empty"))


@pytest.mark.fault
def test_only_signed_expert_files_where_that_is_asked_for(robot: Library, sender: Library, parcel: Path, tmp_path: Path) -> None:
    private, public = make_keys(tmp_path / "keys", "ours")
    limits = Limits(signed_by=read_public_key(public))
    refused(robot, parcel, "is not signed", limits)
    sign(sender.path, sender.manifest, private)
    parcel.write_bytes(pack_generation(sender))
    assert install(robot.path, parcel, limits).generation == 2
    assert read_library(robot.path, 2, limits).manifest == sender.manifest


def test_what_else_a_file_holds_is_not_written(robot: Library, sender: Library, tmp_path: Path) -> None:
    inside = unpack(pack_generation(sender), Limits(), "parcel")
    inside["../outside"] = inside["experts/9999.safetensors"] = np.zeros(3, np.uint8)
    (tmp_path / "more.expert").write_bytes(pack(inside, sender.manifest.backbone.sha256))
    install(robot.path, tmp_path / "more.expert")
    assert not (tmp_path / "outside").exists()
    assert not (robot.path / "experts/9999.safetensors").exists()


def test_the_commands_pack_and_install(
    robot: Library, sender: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    class Point:
        def __init__(self, module: object) -> None:
            self.load = lambda: module

    monkeypatch.setattr(cli, "commands", lambda: {"pack": Point(pack_command), "install": Point(install_command)})
    file = tmp_path / "stove.expert"
    assert cli.main(["pack", str(sender.path), "--output", str(file)]) == 0
    assert cli.main(["install", str(robot.path), str(file)]) == 0
    assert "generation 2, experts: open the drawer, turn on the stove" in capsys.readouterr().out
    assert generations(robot.path) == (0, 1, 2)
    assert read_library(robot.path).generation == 2
    file.write_bytes(b"")
    assert cli.main(["install", str(robot.path), str(file)]) == 2


def test_a_manifest_alone_is_refused(robot: Library, sender: Library, tmp_path: Path) -> None:
    text = np.frombuffer(to_text(sender.manifest), np.uint8)
    (tmp_path / "thin.expert").write_bytes(pack({"manifest.json": text}, sender.manifest.backbone.sha256))
    refused(robot, tmp_path / "thin.expert", "is missing")
