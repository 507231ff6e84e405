"""What the expert does about a goal: the order of its parts, and real tasks that no other test needs."""

import numpy as np
import pytest

from dmpel_core.simulation.environment import Environment
from dmpel_core.simulation.expert.expert import in_order
from dmpel_core.simulation.expert.scene import Scene
from dmpel_core.simulation.recording import record_episode
from dmpel_core.simulation.tasks import load_task
from dmpel_core.skills.vocabulary import PHASES


def undisturbed(environment: Environment, state: int = 0, longest: int = 250) -> list[str]:
    """Have the expert solve the task from a stored state at its first try, and return its phases by name."""
    start = environment.task.initial_states[state]
    found = record_episode(environment, start, attempt=0, disturb=lambda action, *_: action, longest=longest)
    assert found.phases is not None
    return [PHASES[number] for number in found.phases]


def still_holds(environment: Environment) -> bool:
    """Say whether the goal is reached after a second in which the arm rests with open fingers."""
    for _ in range(20):
        environment.step(np.append(np.zeros(6), -1.0))
    return environment.success()


@pytest.mark.parametrize(
    "ordered",
    [
        (("in", "bowl_2", "tray_1_region"), ("on", "bowl_1", "bowl_2"), ("on", "cup_1", "bowl_1")),
        (("open", "top_region"), ("in", "bowl_1", "top_region"), ("close", "top_region")),
        (("in", "mug_1", "microwave_1_heating_region"), ("close", "microwave_1")),
        (("close", "bottom_region"), ("open", "top_region")),
        (("turnon", "stove_1"), ("on", "pot_1", "stove_1_cook_region")),
    ],
    ids=["what carries first", "drawer", "microwave", "out of the way", "turned on"],
)
def test_a_goal_is_reached_in_an_order_that_can_be(ordered: tuple[tuple[str, ...], ...]) -> None:
    assert in_order(ordered) == list(ordered)
    assert in_order(ordered[::-1]) == list(ordered)


def test_two_things_upon_each_other_are_moved_in_some_order() -> None:
    circle = (("on", "bowl_1", "bowl_2"), ("on", "bowl_2", "bowl_1"))
    assert in_order(circle) == list(circle)


def test_book_leans_in_the_back_compartment_and_stays_there() -> None:
    with Environment(load_task("libero_10", 5)) as environment:
        phases = undisturbed(environment)
        assert still_holds(environment)
        tilt = np.arccos(Scene(environment.model, environment.data).rotation("black_book_1")[2, 2])
    assert phases[-1] in ("release", "retreat")
    assert 15 < np.rad2deg(tilt) < 25


def test_a_stove_that_is_fully_on_is_turned_off_and_stays_off() -> None:
    with Environment(load_task("libero_90", 39)) as environment:
        phases = undisturbed(environment, 4)
        assert still_holds(environment)
    assert "turn" in phases


def test_mug_is_put_into_the_microwave_and_the_door_is_closed_behind_it() -> None:
    with Environment(load_task("libero_10", 9)) as environment:
        scene = Scene(environment.model, environment.data)
        beside = scene.position("porcelain_mug_1")[:2]
        undisturbed(environment, longest=400)
        assert environment.success()
        assert environment.data.joint("microwave_1_microjoint").qpos[0] > -0.005
        assert scene.rotation("white_yellow_mug_1")[2, 2] > 0.99
        np.testing.assert_allclose(scene.position("porcelain_mug_1")[:2], beside, atol=0.002)
