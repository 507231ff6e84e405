"""robosuite's own tasks: their states say all that differs, their steps are robosuite's, the expert solves them, the bridge takes them."""

from collections.abc import Iterator

import numpy as np
import pytest

from dmpel_core.errors import DmpelError
from dmpel_core.simulation.environment import Environment
from dmpel_core.simulation.evidence import yielding_joint
from dmpel_core.simulation.expert.perturbation import Perturbation
from dmpel_core.simulation.placement import widen
from dmpel_core.simulation.recording import expert_actions, record_episode, settle
from dmpel_core.simulation.stills import Settings as StillSettings
from dmpel_core.simulation.stills import make_stills
from dmpel_core.simulation.tasks import find_task, instructions, load_task, task_names
from dmpel_core.skills.vocabulary import PHASES
from dmpel_ros.episode import Settings, Stage

LIFT, CAN, DOOR = range(3)


@pytest.fixture(scope="module")
def lift() -> Iterator[Environment]:
    with Environment(load_task("robosuite", LIFT)) as environment:
        yield environment


@pytest.fixture(scope="module")
def can() -> Iterator[Environment]:
    with Environment(load_task("robosuite", CAN), render=False) as environment:
        yield environment


@pytest.fixture(scope="module")
def door() -> Iterator[Environment]:
    with Environment(load_task("robosuite", DOOR), render=False) as environment:
        yield environment


@pytest.fixture(params=["lift", "can", "door"])
def environment(request: pytest.FixtureRequest) -> Environment:
    return request.getfixturevalue(request.param)


def play(environment: Environment, actions: np.ndarray) -> np.ndarray:
    """Return the state after the actions, (D,)."""
    for action in actions:
        environment.step(action)
    return environment.state()


def test_the_suite_is_one_of_the_suites() -> None:
    assert task_names("robosuite") == ("lift", "can", "door")
    assert instructions("robosuite") == ("lift the cube", "put the can in its bin", "open the door")
    assert find_task("robosuite", "Open the door") is load_task("robosuite", DOOR)
    assert load_task("robosuite", CAN).problem == "PickPlaceCan"


@pytest.mark.parametrize(
    ("index", "thing", "pose"),
    [
        (LIFT, slice(10, 17), [-0.0148, -0.024, 0.832, 0.893, 0.0, 0.0, 0.4501]),
        (CAN, slice(31, 38), [0.0473, -0.3338, 0.861, 0.7387, 0.0, 0.0, 0.674]),
        (DOOR, slice(23, 30), [-0.1173, -0.3456, 1.1, 0.6639, 0.0, 0.0, -0.7478]),
    ],
)
def test_the_states_are_always_the_same_fifty(index: int, thing: slice, pose: list[float]) -> None:
    states = load_task("robosuite", index).initial_states
    np.testing.assert_allclose(states[0, thing], pose, atol=1e-4)
    assert len({tuple(row) for row in states[:, thing].round(4)}) == 50
    load_task.cache_clear()
    np.testing.assert_array_equal(load_task("robosuite", index).initial_states, states)


def test_a_state_says_where_everything_is(environment: Environment) -> None:
    name, body = next(iter(environment.world.movable.items()))
    state = environment.task.initial_states[7]
    environment.reset(environment.task.initial_states[8])
    environment.reset(state)
    np.testing.assert_array_equal(environment.state(), state)
    np.testing.assert_array_equal(environment.data.xpos[body], state[environment.pose_address(body) :][:3])
    np.testing.assert_allclose(environment.joints(), state[1:8])
    assert environment.model.body(body).name == f"{name}_main"
    assert settle(environment) == 5  # nothing falls or springs apart
    assert not environment.success()


def test_episodes_forget_the_ones_before(environment: Environment) -> None:
    states, actions = environment.task.initial_states, np.random.default_rng(0).uniform(-1, 1, (6, 7))
    environment.reset(states[3])
    first = play(environment, actions)
    environment.reset(states[4])
    play(environment, -actions)
    environment.reset(states[3])
    np.testing.assert_array_equal(play(environment, actions), first)


def test_steps_are_those_of_robosuite(lift: Environment) -> None:
    state, actions = lift.task.initial_states[3], np.random.default_rng(0).uniform(-1, 1, (6, 7))
    lift.reset(state)
    ours = play(lift, actions)
    lift.reset(state)
    for action in actions:
        lift.robosuite.step(action)
    np.testing.assert_array_equal(lift.state(), ours)


def test_the_expert_solves_every_task(environment: Environment) -> None:
    environment.reset(environment.task.initial_states[40])
    settle(environment)
    actions = []
    for action in expert_actions(environment):
        actions.append(action)
        environment.step(action)
    assert environment.success()
    assert len(actions) < 200
    assert np.abs(actions).max() <= 1


def test_a_lifted_cube_is_held_until_the_end(lift: Environment) -> None:
    found = record_episode(lift, lift.task.initial_states[0], attempt=0, disturb=Perturbation(0.0, np.random.default_rng(0)), longest=250)
    assert found.phases is not None
    assert list(dict.fromkeys(PHASES[number] for number in found.phases)) == ["reach", "grasp", "lift", "wait"]
    assert found.actions[-1, 6] == 1
    assert found.agentview is not None
    assert found.agentview.shape == (len(found), 128, 128, 3)
    red = (found.agentview[0].astype(int) * [1, -1, -1]).sum(axis=2) > 0
    assert 64 < np.argwhere(red)[:, 0].mean() < 80  # upright: the table fills the lower part, the cube is just below the middle


def test_wide_placements_move_the_thing_and_nothing_else(environment: Environment) -> None:
    state = environment.task.initial_states[5]
    address = environment.pose_address(next(iter(environment.world.movable.values())))
    widened = [widen(environment, state, np.random.default_rng(seed), 0.08) for seed in range(4)]
    np.testing.assert_array_equal(environment.state(), widened[-1])
    offsets = np.array([wide[address : address + 3] - state[address : address + 3] for wide in widened])
    assert 0.03 < np.abs(offsets[:, :2]).max() < 0.085
    assert np.abs(offsets[:, 2]).max() < 0.015
    assert len({tuple(row) for row in offsets.round(3)}) > 2
    np.testing.assert_array_equal([wide[1:10] for wide in widened], [state[1:10]] * 4)


def test_the_door_moves_on_its_hinge(door: Environment) -> None:
    assert yielding_joint(door) == door.model.joint("Door_hinge").id


def test_still_pictures_of_a_door_are_refused_with_the_remedy(door: Environment) -> None:
    with pytest.raises(DmpelError, match=r"'open the door' does not begin with picking .* leave the task out of --tasks"):
        make_stills(door, StillSettings(layouts=1, each=1), lambda: None)


def test_the_bridges_stage_demonstrates_a_task() -> None:
    stage = Stage(size=32, kept=1)
    episode = stage.begin(Settings("robosuite", LIFT, 41, reach=0.0, seed=0, blank=False, horizon=250))
    assert episode.instruction == "lift the cube"
    assert episode.observe().agentview.shape == (32, 32, 3)
    episode.demonstrated = True
    while episode.outcome == "running":
        episode.advance(episode.ask_expert())
    stage.close()
    assert episode.outcome == "success"
