"""Labels in demonstration files."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from dmpel_core.data.hdf5 import TaskRecord, read_demonstration, write_demonstration, write_task_attributes
from dmpel_core.errors import DmpelError
from dmpel_core.skills import command
from dmpel_core.skills.confusion import accuracy, confusion, table
from dmpel_core.skills.labels import ANNOTATED, CORRECTED, TRUE, UNSAID, best_labels, correct, read_labels, stored_skill, write_annotations
from dmpel_core.skills.results import keep
from dmpel_core.skills.vocabulary import PHASES, SkillError
from tests.skills.arguments import run
from tests.skills.scripted import carried


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Two demonstrations with the expert's own phases, under names in another order than ours."""
    return write(tmp_path / "task_demo.hdf5", PHASES[::-1])


def write(path: Path, names: tuple[str, ...], **attributes: str) -> Path:
    drawing = carried()
    numbers = np.array([names.index(phase) for phase in drawing.phases()], np.uint8) if names else None
    demonstration = replace(drawing.demonstration(), phases=numbers, phase_names=names)
    with h5py.File(path, "w") as opened:
        data = opened.create_group("data")
        for number in range(2):
            write_demonstration(data.create_group(f"demo_{number}"), demonstration)
        write_task_attributes(data, TaskRecord("put the bowl on the plate"))
        data.attrs.update(attributes)
    return path


def test_annotating_adds_labels_and_changes_nothing_else(file: Path) -> None:
    before = read_demonstration(file, "demo_0")
    assert run(command, str(file)) == 0
    after = read_demonstration(file, "demo_0")
    np.testing.assert_array_equal(after.phases, before.phases)
    np.testing.assert_array_equal(after.agentview, before.agentview)
    with h5py.File(file) as opened:
        assert list(opened["data/demo_1"][ANNOTATED].attrs["names"]) == list(PHASES)
    assert stored_skill(file) == "pick-place"
    assert not list(file.parent.glob("*.unfinished"))


def test_a_file_that_records_after_the_action_gets_a_label_for_every_action(tmp_path: Path) -> None:
    path = write(tmp_path / "libero_demo.hdf5", (), observation_timing="after_action")
    assert run(command, str(path)) == 0
    labels = read_labels(path, "demo_0", ANNOTATED)
    assert labels is not None
    assert len(labels) == len(carried().rows)
    assert len(read_demonstration(path, "demo_0")) == len(labels) - 1


def test_true_labels_are_read_by_name_whatever_their_numbers(file: Path) -> None:
    labels = read_labels(file, "demo_0", TRUE)
    assert [PHASES[index] for index in labels] == carried().phases()


def test_a_persons_word_survives_annotating_again_and_counts_most(file: Path) -> None:
    assert run(command, str(file), "--correct", "demo_0:3:5=wait", "--correct", "demo_0:4:6=open") == 0
    for _ in range(2):
        assert run(command, str(file)) == 0
    said = read_labels(file, "demo_0", CORRECTED)
    assert [PHASES[index] for index in said[3:6]] == ["wait", "open", "open"]
    assert (said == UNSAID).sum() == len(said) - 3
    best = best_labels(file, "demo_0")
    assert [PHASES[index] for index in best[2:7]] == ["reach", "wait", "open", "open", "reach"]
    assert best_labels(file, "demo_1")[3] == PHASES.index("reach")


def test_the_skill_that_a_file_names_is_kept(file: Path) -> None:
    write_annotations(file, {}, "push")
    assert run(command, str(file)) == 0
    assert stored_skill(file) == "push"


@pytest.mark.parametrize(
    ("wish", "fault"),
    [
        ("demo_0:3:5=dance", "no phase 'dance'"), ("demo_7:3:5=wait", "no demonstration 'demo_7'; it has demo_0, demo_1"),
        ("demo_0:3:500=wait", "has ticks 0 to"), ("demo_0:5:5=wait", "not 5 to 4"), ("demo_0=wait", "is not DEMONSTRATION:FIRST:END=PHASE"),
    ],
)  # fmt: skip
def test_a_correction_that_makes_no_sense_changes_nothing(file: Path, wish: str, fault: str) -> None:
    before = file.read_bytes()
    with pytest.raises(SkillError, match=fault):
        run(command, str(file), "--correct", wish)
    assert file.read_bytes() == before


def test_comparing_prints_the_confusion_keeps_the_accuracy_and_writes_no_label(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = file.read_bytes()
    assert run(command, str(file), "--compare", "--results", str(tmp_path / "results/skills.json")) == 0
    out = capsys.readouterr().out
    assert "found" in out
    assert "transport" in out
    assert '"annotator_accuracy": 0.' in (tmp_path / "results/skills.json").read_text()
    assert file.read_bytes() == before


def test_comparing_needs_the_experts_phases(tmp_path: Path) -> None:
    with pytest.raises(SkillError, match="`dmpel collect` writes them"):
        run(command, str(write(tmp_path / "task_demo.hdf5", ())), "--compare")


def test_labels_without_names_and_unknown_skills_are_refused(file: Path) -> None:
    with h5py.File(file, "r+") as opened:
        opened["data/demo_0/phases"].attrs["names"] = ["reach"]
        opened["data"].attrs["skill"] = "dance"
    with pytest.raises(SkillError, match="but names for 1"):
        read_labels(file, "demo_0", TRUE)
    with pytest.raises(SkillError, match="no skill 'dance'"):
        stored_skill(file)


def test_a_correction_of_labels_of_another_length_is_refused(file: Path) -> None:
    with pytest.raises(SkillError, match="3 labels for the"):
        write_annotations(file, {"demo_0": np.zeros(3, np.uint8)}, "push")
    correct(file, "demo_0", slice(0, 1), "wait")


def test_accuracy_is_the_diagonal() -> None:
    counts = confusion(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2]))
    assert counts[0, 1] == 1
    assert accuracy(counts) == 0.75
    assert [line.split()[0] for line in table(counts)] == ["true", "reach", "align", "grasp"]


def test_figures_are_added_to_those_that_are_there(tmp_path: Path) -> None:
    place = tmp_path / "a" / "skills.json"
    keep(place, {"a": 1, "b": 2})
    keep(place, {"b": 3})
    assert '"a": 1' in place.read_text()
    assert '"b": 3' in place.read_text()
    place.write_text("[]")
    with pytest.raises(DmpelError, match="expected an object"):
        keep(place, {})
