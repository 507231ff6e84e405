"""What is told of routing."""

import numpy as np
import pytest

from dmpel_core.lifelong.switching import own_first, routing_figures, switching


def episode(strongest: list[int], actions: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Return an episode in which the first group chooses like this and all others slot 0; the arm moves along one axis."""
    used = np.tile([1.0, 0.5, 0.2], (len(strongest), 6, 1))
    used[:, 0] = 0.9 * np.eye(3)[strongest]
    moves = np.zeros((len(actions), 7))
    moves[:, 2] = actions
    moves[:, 6] = np.random.default_rng(0).choice([-1.0, 1.0], len(actions))  # fingers do not jerk the arm
    return used, moves


def test_switches_and_jerk_are_counted_by_hand() -> None:
    first = episode([0, 0, 1, 1, 2], [0.0, 0.0, 0.6, 1.2, 1.2])  # jerk of ticks 2, 3, 4: 0.6, 0, 0.6; switches at 2 and 4
    second = episode([2, 0, 0, 0], [0.0, 0.3, 0.3, 0.3])  # 0.3 and 0; a switch at 1, which has no jerk yet
    found = switching([first, second])
    assert found["first"] == [[0] * 6, [2, 0, 0, 0, 0, 0]]
    assert found["switches"] == [1.5, 0, 0, 0, 0, 0]
    assert found["jerk_at_switches"] == pytest.approx(0.6 / 6)
    assert found["jerk_elsewhere"] == pytest.approx(0.1 / 6, abs=1e-4)
    assert found["jerk_ticks"] == [2, 3]


def test_choices_do_not_change_over_the_end_of_an_episode() -> None:
    found = switching([episode([0] * 4, [0.1] * 4), episode([1] * 4, [0.9] * 4)])
    assert found["switches"] == [0] * 6
    assert found["jerk_at_switches"] is None
    assert found["jerk_elsewhere"] == 0


def test_an_episode_of_one_tick_tells_what_it_began_with() -> None:
    found = switching([episode([1], [0.5])])
    assert found["first"][0][0] == 1
    assert found["jerk_ticks"] == [0, 0]
    assert found["jerk_elsewhere"] is None


def test_the_figures_of_a_run_weigh_tasks_alike_and_jerks_by_ticks() -> None:
    long, short = switching([episode([0, 1] * 5, [0.0, 0.6] * 5)] * 3), switching([episode([2, 2, 0], [0.0, 0.0, 0.3])])
    tasks = [own_first(long, 0), own_first(short, 2)]
    figures = routing_figures(tasks)
    assert tasks[1]["first"] == [1, 0, 0, 0, 0, 0]
    assert figures["accuracy_at_start"] == pytest.approx((1 + 1 / 6) / 2, abs=1e-4)
    assert figures["switches_per_episode"] == pytest.approx((9 / 6 + 1 / 6) / 2, abs=1e-4)
    assert figures["jerk_at_switches"] == pytest.approx((24 * 0.2 + 1 * 0.05) / 25, abs=1e-4)
    assert figures["jerk_elsewhere"] is None


def test_a_task_without_a_slot_of_its_own_has_no_accuracy() -> None:
    told = switching([episode([1, 1, 1], [0.0, 0.0, 0.0])])
    lost = own_first(told, None)
    assert lost["first"] is None
    assert routing_figures([lost, own_first(told, 0)])["accuracy_at_start"] == pytest.approx(5 / 6, abs=1e-4)
    assert routing_figures([lost])["accuracy_at_start"] is None


def test_nothing_is_told_where_nothing_is_chosen() -> None:
    assert own_first(None, 0) is None
    assert routing_figures([None]) is None
