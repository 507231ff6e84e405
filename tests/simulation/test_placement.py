"""Wide placements: as far as asked, free, at rest, and true to the instruction."""

import numpy as np
import pytest

from dmpel_core.simulation import placement
from dmpel_core.simulation.environment import Environment
from dmpel_core.simulation.libero_tasks import named_together
from dmpel_core.simulation.placement import widen

IDLE = np.array([0, 0, 0, 0, 0, 0, -1.0])


def _objects(environment: Environment) -> dict[str, int]:
    """Return where in a state each movable object's position begins."""
    return {name: 1 + environment.model.joint(f"{name}_joint0").qposadr[0] for name in environment.robosuite.objects_dict}


def _offsets(environment: Environment, state: np.ndarray, widened: np.ndarray) -> dict[str, np.ndarray]:
    """Return by how much each object moved in x and y, (2,) [m]."""
    return {name: widened[place : place + 2] - state[place : place + 2] for name, place in _objects(environment).items()}


def test_no_reach_returns_the_stored_state(bowl_on_plate: Environment) -> None:
    state = bowl_on_plate.task.initial_states[0]
    np.testing.assert_array_equal(widen(bowl_on_plate, state, np.random.default_rng(0), 0), state)


def test_objects_move_as_far_as_asked_and_differently(bowl_on_plate: Environment) -> None:
    state = bowl_on_plate.task.initial_states[0]
    offsets = [_offsets(bowl_on_plate, state, widen(bowl_on_plate, state, np.random.default_rng(seed), 0.07)) for seed in range(12)]
    for name in offsets[0]:
        moved = np.abs([offset[name] for offset in offsets])
        assert moved.max() < 0.07 + 0.005
        assert moved.max() > 0.03
        assert len({tuple(row) for row in moved.round(4)}) > 6


def test_the_same_generator_gives_the_same_placement(bowl_on_plate: Environment) -> None:
    state = bowl_on_plate.task.initial_states[0]
    first = widen(bowl_on_plate, state, np.random.default_rng(3), 0.1)
    bowl_on_plate.step(np.ones(7))
    np.testing.assert_array_equal(widen(bowl_on_plate, state, np.random.default_rng(3), 0.1), first)


def test_arm_fixtures_and_time_stay_and_all_is_at_rest(bowl_on_plate: Environment) -> None:
    state = bowl_on_plate.task.initial_states[4]
    widened = widen(bowl_on_plate, state, np.random.default_rng(4), 0.1)
    np.testing.assert_array_equal(bowl_on_plate.state(), widened)
    moving = np.zeros(len(state), bool)
    for place in _objects(bowl_on_plate).values():
        moving[place : place + 7] = True
    still = ~moving[: 1 + bowl_on_plate.model.nq]
    np.testing.assert_array_equal(widened[: len(still)][still], state[: len(still)][still])
    for _ in range(6):
        bowl_on_plate.step(IDLE)
    for place in _objects(bowl_on_plate).values():
        assert np.abs(bowl_on_plate.state()[place : place + 3] - widened[place : place + 3]).max() < 0.003


def test_objects_keep_clear_of_each_other(bowl_on_plate: Environment) -> None:
    for seed in range(8):
        state = bowl_on_plate.task.initial_states[seed]
        widened = widen(bowl_on_plate, state, np.random.default_rng(seed), 0.1)
        gaps, _ = placement._Table(bowl_on_plate, widened)._measure(widened, _objects(bowl_on_plate))
        assert all(gap > placement.CLEARANCE - 0.005 for gap in gaps.values()), gaps


def test_what_stands_on_another_moves_with_it_and_what_stands_on_a_fixture_stays(bowl_on_box: Environment) -> None:
    state = bowl_on_box.task.initial_states[0]
    widened = widen(bowl_on_box, state, np.random.default_rng(1), 0.1)
    offsets = _offsets(bowl_on_box, state, widened)
    assert np.abs(offsets["cookies_1"]).max() > 0.02
    np.testing.assert_allclose(offsets["akita_black_bowl_1"], offsets["cookies_1"], atol=0.015)  # it settles on the box
    np.testing.assert_allclose(offsets["akita_black_bowl_2"], 0, atol=0.015)  # on the cabinet
    height = {name: widened[place + 2] for name, place in _objects(bowl_on_box).items()}
    assert height["akita_black_bowl_1"] > height["cookies_1"]


def test_where_nothing_is_free_objects_stay(bowl_on_plate: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "CLEARANCE", 2.0)
    monkeypatch.setattr(placement._Table, "_is_free", lambda *_: False)
    state = bowl_on_plate.task.initial_states[0]
    offsets = _offsets(bowl_on_plate, state, widen(bowl_on_plate, state, np.random.default_rng(0), 0.1))
    assert max(np.abs(offset).max() for offset in offsets.values()) < 0.01


def test_objects_named_next_to_each_other_are_tied() -> None:
    facts = [
        ["on", "bowl_1", "main_table_between_plate_ramekin_region"],
        ["on", "bowl_2", "main_table_next_to_box_region"],
        ["on", "plate_1", "main_table_plate_region"],
        ["on", "rim_ramekin_1", "main_table_ramekin_region"],
        ["on", "cookies_1", "main_table_box_region"],
        ["on", "mug_1", "main_table_table_center"],
        ["open", "cabinet_1_top_region"],
    ]
    assert named_together(facts) == {("bowl_1", "plate_1"), ("bowl_1", "rim_ramekin_1"), ("bowl_2", "cookies_1")}
