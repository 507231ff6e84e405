"""The environment steps as LIBERO's own does, forgets everything at a reset and judges the goal."""

import numpy as np
import pytest

from dmpel_core.simulation.environment import Environment, SimulationError

IDLE = np.array([0, 0, 0, 0, 0, 0, -1.0])


def _actions(count: int) -> np.ndarray:
    """Return actions that move everything and switch the gripper."""
    return np.random.default_rng(0).uniform(-1, 1, (count, 7))


def _episode(environment: Environment, state: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Return the states after each action."""
    environment.reset(state)
    states = []
    for action in actions:
        environment.step(action)
        states.append(environment.state())
    return np.array(states)


def test_reset_restores_the_stored_state(bowl_on_plate: Environment) -> None:
    state = bowl_on_plate.task.initial_states[7]
    bowl_on_plate.reset(state)
    np.testing.assert_array_equal(bowl_on_plate.state(), state)


def test_same_actions_give_the_same_states_whatever_was_before(bowl_on_plate: Environment) -> None:
    states, actions = bowl_on_plate.task.initial_states, _actions(12)
    first = _episode(bowl_on_plate, states[3], actions)
    _episode(bowl_on_plate, states[4], -actions)
    np.testing.assert_array_equal(_episode(bowl_on_plate, states[3], actions), first)


def test_steps_are_those_of_robosuite(bowl_on_plate: Environment) -> None:
    state, actions = bowl_on_plate.task.initial_states[3], _actions(6)
    ours = _episode(bowl_on_plate, state, actions)
    bowl_on_plate.reset(state)
    for action in actions:
        bowl_on_plate.robosuite.step(action)
    np.testing.assert_array_equal(bowl_on_plate.state(), ours[-1])


def test_a_step_takes_a_twentieth_of_a_second(bowl_on_plate: Environment) -> None:
    state = bowl_on_plate.task.initial_states[0]
    times = _episode(bowl_on_plate, state, _actions(3))[:, 0]
    np.testing.assert_allclose(times - state[0], [0.05, 0.10, 0.15], atol=1e-9)


def test_actions_move_the_hand_where_they_say(bowl_on_plate: Environment) -> None:
    site = bowl_on_plate.data.site("gripper0_grip_site")
    for axis in range(3):
        bowl_on_plate.reset(bowl_on_plate.task.initial_states[0])
        before = site.xpos.copy()
        for _ in range(6):
            bowl_on_plate.step(np.eye(7)[axis] * 0.5)
        moved = site.xpos - before
        assert moved[axis] > 0.02
        assert np.abs(np.delete(moved, axis)).max() < 0.01


def test_gripper_opens_and_closes(bowl_on_plate: Environment) -> None:
    bowl_on_plate.reset(bowl_on_plate.task.initial_states[0])
    widths = []
    for command in (-1.0, 1.0):
        for _ in range(12):
            bowl_on_plate.step(np.array([0, 0, 0, 0, 0, 0, command]))
        widths.append(float(np.abs(bowl_on_plate.gripper()).sum()))
    assert widths[0] > 0.07
    assert widths[1] < 0.01


def test_joints_are_read_by_name(bowl_on_plate: Environment) -> None:
    bowl_on_plate.reset(bowl_on_plate.task.initial_states[5])
    joints = [bowl_on_plate.data.joint(f"robot0_joint{number}").qpos[0] for number in range(1, 8)]
    np.testing.assert_array_equal(bowl_on_plate.joints(), joints)
    kept = bowl_on_plate.joints()
    bowl_on_plate.step(_actions(1)[0])
    np.testing.assert_array_equal(kept, joints)  # a copy, not a view of the simulator's memory


def test_the_goal_is_judged_by_the_predicates(bowl_on_plate: Environment) -> None:
    state = bowl_on_plate.task.initial_states[0].copy()
    bowl_on_plate.reset(state)
    assert not bowl_on_plate.success()
    bowl, plate = (1 + bowl_on_plate.model.joint(f"{name}_1_joint0").qposadr[0] for name in ("akita_black_bowl", "plate"))
    state[bowl : bowl + 2] = state[plate : plate + 2]
    state[bowl + 2] = state[plate + 2] + 0.03
    bowl_on_plate.reset(state)
    for _ in range(6):
        bowl_on_plate.step(IDLE)
    assert bowl_on_plate.success()


def test_states_and_actions_that_do_not_fit_are_refused(bowl_on_plate: Environment) -> None:
    with pytest.raises(SimulationError, match=r"\(79,\), got \(80,\)"):
        bowl_on_plate.reset(np.zeros(80))
    with pytest.raises(SimulationError, match="7 finite numbers"):
        bowl_on_plate.step(np.zeros(6))
    with pytest.raises(SimulationError, match="7 finite numbers"):
        bowl_on_plate.step(np.full(7, np.nan))


def test_without_rendering_there_is_nothing_to_see(bowl_on_box: Environment) -> None:
    with pytest.raises(SimulationError, match="render=True"):
        bowl_on_box.observe()
    felt = bowl_on_box.observe(blind=True)
    assert felt.agentview.shape == felt.eye_in_hand.shape == (128, 128, 3)
    assert not felt.agentview.any()
    assert not felt.eye_in_hand.any()
    np.testing.assert_array_equal(felt.joints, bowl_on_box.joints())


def test_building_leaves_the_callers_random_numbers_alone(bowl_on_box: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    from dmpel_core.simulation import scene

    monkeypatch.setattr(scene, "_build", lambda task: np.random.random(100))  # noqa: NPY002  as LIBERO draws
    before = np.random.get_state()[1]  # noqa: NPY002  as above
    scene.build_scene(bowl_on_box.task, reduce_meshes=True, cache=True)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002  as above
