"""The guard's limits as laws over random actions."""

import numpy as np
import pytest

from dmpel_ros import guard
from dmpel_ros.guard import Guard, Limits

RNG = np.random.default_rng(0)
JOINTS = np.zeros(7)


def limits(action: float = 1.0, change: float = 2.0, jerk: float = 4.0, ramp: int = 0, box: float = 9.0) -> Limits:
    return Limits(np.full(6, action), np.full(6, change), np.full(6, jerk), ramp, np.full(3, -box), np.full(3, box), reach=0.05)


def restrained(made: Guard, actions: np.ndarray) -> np.ndarray:
    return np.array([made.restrain(action, JOINTS)[0] for action in actions])


@pytest.fixture
def actions() -> np.ndarray:
    return RNG.uniform(-1.0, 1.0, (200, 7))


def still(_: np.ndarray) -> np.ndarray:
    return np.zeros(3)


def test_open_limits_change_no_bit_of_any_action_in_range(actions: np.ndarray) -> None:
    made = Guard(limits(), still)
    for action in actions:
        bounded, bitten = made.restrain(action, JOINTS)
        assert bounded.tobytes() == action.tobytes()
        assert bitten == ()


def test_no_limit_is_ever_exceeded(actions: np.ndarray) -> None:
    bounded = restrained(Guard(limits(action=0.5, change=0.2), still), actions)[:, :6]
    assert np.abs(bounded).max() <= 0.5
    assert np.abs(np.diff(bounded, axis=0, prepend=np.zeros((1, 6)))).max() <= 0.2 + 1e-12


def test_jerk_is_bounded_where_value_and_box_do_not_stop_it(actions: np.ndarray) -> None:
    bounded = restrained(Guard(limits(action=9.0, jerk=0.1), still), actions)[:, :6]
    assert np.abs(np.diff(bounded, n=2, axis=0, prepend=np.zeros((2, 6)))).max() <= 0.1 + 1e-12


def test_a_constant_action_is_reached_in_the_end() -> None:
    wanted = np.array([0.4, -0.4, 0.3, 0.2, 0.1, -0.3, 1.0])
    reached = restrained(Guard(limits(action=0.5, change=0.1, jerk=0.05, ramp=10), still), np.tile(wanted, (60, 1)))
    np.testing.assert_allclose(reached[-1], wanted)


def test_motion_ramps_in_and_again_after_a_rest() -> None:
    made = Guard(limits(ramp=4), still)
    first = restrained(made, np.ones((6, 7)))
    np.testing.assert_allclose(first[:, 0], [0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    np.testing.assert_array_equal(first[:, 6], 1.0)  # the gripper does not wait
    made.rest()
    assert restrained(made, np.ones((1, 7)))[0, 0] == pytest.approx(0.2)


def test_the_tool_stops_at_the_walls_of_its_box_and_may_come_back() -> None:
    place = np.array([0.0, 0.0, 0.0])
    made = Guard(limits(box=0.1), lambda joints: place)
    outwards, inwards = np.array([1.0, 0, 0, 0, 0, 0, 0]), np.array([-1.0, 0, 0, 0, 0, 0, 0])
    assert made.restrain(outwards, JOINTS)[1] == ()
    for position, share in ((0.075, 0.5), (0.1, 0.0), (0.3, 0.0)):
        place[0] = position
        bounded, bitten = made.restrain(outwards, JOINTS)
        assert bounded[0] == pytest.approx(share)
        assert bitten == ("box",)
        assert made.restrain(inwards, JOINTS)[0][0] == -1.0


def test_a_tool_that_follows_never_leaves_its_box() -> None:
    place = np.zeros(3)
    made = Guard(limits(box=0.12), lambda joints: place)
    for action in RNG.uniform(-1.0, 1.0, (500, 7)):
        place += 0.05 * made.restrain(action, JOINTS)[0][:3]
        assert np.abs(place).max() <= 0.12 + 1e-9


def test_what_bit_is_named() -> None:
    made = Guard(limits(action=0.5, change=0.2), still)
    assert made.restrain(np.full(7, 0.1), JOINTS)[1] == ()
    assert made.restrain(np.full(7, 0.9), JOINTS)[1] == ("change",)


@pytest.mark.parametrize(("value", "words"), [(np.nan, "not finite"), (np.inf, "not finite"), (1.5, "an action of 1.5")])
def test_numbers_of_a_broken_policy_are_faults(value: float, words: str) -> None:
    action = np.zeros(7)
    assert guard.fault(action) is None
    action[2] = value
    assert words in str(guard.fault(action))
