"""Tasks as the installed benchmark has them, and what is said about tasks that it has not."""

import numpy as np
import pytest

from dmpel_core.simulation.libero_tasks import SUITES as LIBERO
from dmpel_core.simulation.libero_tasks import parse_goal
from dmpel_core.simulation.tasks import (
    PERTURBATIONS,
    SUITES,
    TaskError,
    find_task,
    instructions,
    load_task,
    perturbed,
    task_names,
)


def test_suites_are_complete() -> None:
    assert [len(task_names(suite)) for suite in SUITES] == [10, 10, 10, 10, 90, 3]
    assert all(len(set(task_names(suite))) == len(task_names(suite)) for suite in SUITES)


@pytest.mark.parametrize("suite", SUITES)
def test_every_task_has_fifty_states_and_a_goal(suite: str) -> None:
    for index in range(len(task_names(suite))):
        task = load_task(suite, index)
        assert task.initial_states.ndim == 2
        assert len(task.initial_states) == 50
        assert np.isfinite(task.initial_states).all()
        assert task.goal
        assert all(len(predicate) in {2, 3} for predicate in task.goal)
        assert ("(:goal" in task.bddl_text) == (suite in LIBERO)


def test_a_known_task() -> None:
    task = load_task("libero_goal", 8)
    assert task.instruction == "put the bowl on the plate"
    assert task.goal == (("on", "akita_black_bowl_1", "plate_1"),)
    assert task.initial_states.shape == (50, 79)


def test_instructions_leave_the_scene_out() -> None:
    assert load_task("libero_10", 2).instruction == "turn on the stove and put the moka pot on it"
    assert not any("scene" in text for suite in SUITES for text in instructions(suite))


def test_states_cannot_be_changed_by_accident() -> None:
    with pytest.raises(ValueError, match="read-only"):
        load_task("libero_goal", 8).initial_states[0, 0] = 1


def test_find_task_ignores_case_and_spaces() -> None:
    assert find_task("libero_goal", " Put the bowl  on the PLATE ") is load_task("libero_goal", 8)


def test_unknown_names_list_the_valid_ones() -> None:
    with pytest.raises(TaskError, match="libero_spatial, libero_object, libero_goal"):
        load_task("libero_gaol", 0)
    with pytest.raises(TaskError, match="no task 10; valid indices: 0 to 9"):
        load_task("libero_goal", 10)
    with pytest.raises(TaskError, match="no task -1"):
        load_task("libero_goal", -1)
    with pytest.raises(TaskError, match="8: put the bowl on the plate"):
        find_task("libero_goal", "put the plate on the bowl")


def test_one_instruction_in_several_scenes_asks_for_the_index() -> None:
    repeated = next(text for text in instructions("libero_90") if instructions("libero_90").count(text) > 1)
    with pytest.raises(TaskError, match="several scenes"):
        find_task("libero_90", repeated)


def test_goals_with_and_without_conjunction() -> None:
    assert parse_goal("(define (:goal (And (On A B) (Turnon C))))") == (("on", "a", "b"), ("turnon", "c"))
    assert parse_goal("(define (:language x) (:goal (Open A)))") == (("open", "a"),)
    with pytest.raises(TaskError, match="found 0"):
        parse_goal("(define (:language x))")


@pytest.mark.parametrize("kind", PERTURBATIONS)
@pytest.mark.parametrize("suite", LIBERO[:4])
def test_every_task_has_its_perturbations(suite: str, kind: str) -> None:
    for index in range(10):
        plain, changed = load_task(suite, index), load_task(perturbed(suite, kind), index)
        assert (len(changed.initial_states), changed.name) == (50, plain.name)
        assert changed.bddl_text != plain.bddl_text
        assert (changed.instruction == plain.instruction) == (kind in {"object", "swap"})
        assert changed.instruction == changed.instruction.lower()


def test_a_suite_without_perturbations_says_which_have_them() -> None:
    assert perturbed("libero_90", "") == "libero_90"
    with pytest.raises(TaskError, match="libero_90 has no tasks with the perturbation 'swap'; those with it: libero_spatial_object"):
        perturbed("libero_90", "swap")
