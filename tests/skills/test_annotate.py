"""The annotator on demonstrations whose phases are known exactly."""

from collections.abc import Callable

import numpy as np
import pytest

from dmpel_core.skills.annotate import annotate
from dmpel_core.skills.motion import motion_of, rotations, runs, since
from dmpel_core.skills.vocabulary import PHASES, SKILLS, SkillError, phase_index, skill_of
from tests.skills.scripted import OPENED, Drawing, carried, pressed, pulled, slid, twisted

LATE = 3
"""Ticks by which an edge between two phases may be off."""


@pytest.mark.parametrize(
    ("draw", "skill"), [(carried, "pick-place"), (pulled, "open"), (twisted, "turn"), (slid, "push"), (pressed, "close")]
)
def test_every_kind_of_task_is_told_but_for_a_few_ticks_at_the_edges(draw: Callable[[], Drawing], skill: str) -> None:
    drawing = draw()
    found = [PHASES[index] for index in annotate(motion_of(drawing.demonstration()), skill)]
    true = drawing.phases()
    order = [phase for phase, before in zip(found, ["", *found], strict=False) if phase != before]
    assert [phase for phase in order if phase != "retreat"] == [phase for phase in dict.fromkeys(true) if phase != "retreat"]
    wrong = sum(here != there for here, there in zip(found, true, strict=True))
    assert wrong <= LATE * len(order)


def test_two_things_carried_one_after_the_other_are_told_both() -> None:
    drawing = carried()
    drawing.to("reach", 0.4, 0.0, 0.3).to("reach", 0.4, 0.0, 0.12).to("grasp", 0.4, 0.0, 0.02).fingers("grasp", closing=True, opening=0.02)
    drawing.to("lift", 0.4, 0.0, 0.12).to("transport", 0.4, 0.3, 0.2)
    found = [PHASES[index] for index in annotate(motion_of(drawing.demonstration()), "pick-place")]
    assert [found.count(phase) > 5 for phase in ("grasp", "lift", "transport", "place")] == [True] * 4
    assert found[-1] == "transport"
    assert "lift" in found[: len(carried().rows)]


def test_a_grasp_that_missed_is_no_lift() -> None:
    drawing = Drawing(np.array([0.0, 0.0, 0.3]))
    drawing.to("reach", 0.2, 0.0, 0.12).to("grasp", 0.2, 0.0, 0.02).fingers("grasp", closing=True, opening=0.0, ticks=12)
    drawing.fingers("grasp", closing=False, opening=OPENED).to("reach", 0.2, 0.0, 0.2)
    found = {PHASES[index] for index in annotate(motion_of(drawing.demonstration()), "pick-place")}
    assert not found & {"lift", "transport", "place"}


def test_what_the_simulator_saw_counts_more_than_the_fingers() -> None:
    motion = motion_of(pressed().demonstration())
    drawer = np.where(np.arange(len(motion)) < 35, 0.1, 0.05)
    seen = type(motion)(motion.position, motion.rotation, motion.closing, motion.holding, drawer)
    found = [PHASES[index] for index in annotate(seen, "close")]
    assert found.index("close") == 35


def test_rotations_are_those_of_the_formula() -> None:
    turned = rotations(np.array([[0.0, 0.0, np.pi / 2], [0.0, 0.0, 0.0], [np.pi, 0.0, 0.0]]))
    np.testing.assert_allclose(turned[0] @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(turned[1], np.eye(3))
    np.testing.assert_allclose(turned[2] @ [0, 0, 1], [0, 0, -1], atol=1e-12)


def test_runs_and_since() -> None:
    flags = np.array([0, 1, 1, 0, 1], bool)
    assert runs(flags) == [(1, 3), (4, 5)]
    assert (since(flags), since(~flags), since(np.ones(3, bool))) == (4, 5, 0)


@pytest.mark.parametrize(
    ("instruction", "skill"),
    [
        ("put the bowl on the plate", "pick-place"), ("open the middle drawer of the cabinet", "open"), ("turn on the stove", "turn"),
        ("push the plate to the front of the stove", "push"), ("open the top drawer and put the bowl inside", "pick-place"),
        ("put the butter in the top drawer of the cabinet and close it", "close"), ("sing", "other"),
    ],
)  # fmt: skip
def test_an_instruction_names_its_skill(instruction: str, skill: str) -> None:
    assert skill_of(instruction) == skill
    assert skill in SKILLS


def test_a_word_outside_of_the_vocabulary_is_refused_with_the_words_there_are() -> None:
    with pytest.raises(SkillError, match=r"no phase 'dance'; the phases are reach, align"):
        phase_index("dance")
