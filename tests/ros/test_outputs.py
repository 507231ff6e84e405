"""Commands for each kind of controller, and what they are when the arm is to hold."""

from typing import Any

import numpy as np
import pytest

from dmpel_core.errors import DmpelError
from dmpel_core.inference.engine import Tick
from dmpel_core.observation import Observation
from dmpel_ros.kinematics import Chain
from dmpel_ros.outcome import Acted
from dmpel_ros.outputs import Gripper, OutputSettings, Ranges, Scales, make_output
from dmpel_ros.policy_parameters import PANDA_DH, PANDA_JOINTS
from tests.ros.fakes import POSE

CHAIN = Chain.from_parameters(PANDA_DH, [0.0, 0.0, 0.2035], 7)
BLACK = np.zeros((4, 4, 3), np.uint8)
STAMP = 1_500_000_000


class Bench:
    """An output whose messages are kept."""

    def __init__(self, output: str, low: float = -9.0) -> None:
        self.sent: list[Any] = []
        ranges = Ranges(np.full(7, low), np.full(7, 9.0), 0.1)
        settings = OutputSettings(output, "base", 0.1, PANDA_JOINTS, Scales(0.0127, 0.099), ranges, CHAIN)
        self.output = make_output(settings, self.sent.append)

    def act(self, *delta: float, joints: np.ndarray = POSE) -> None:
        action = np.array([*delta, *[0.0] * (7 - len(delta))])
        tick = Tick(action, np.zeros((6, 0)), 1)
        self.output.act(Acted(tick, Observation(BLACK, BLACK, joints, np.zeros(2)), STAMP, 0.0, 0.0, 0.0))

    def targets(self) -> np.ndarray:
        return np.array([message.data for message in self.sent])


def test_a_twist_is_scaled_and_carries_frame_and_stamp() -> None:
    bench = Bench("twist")
    bench.act(1.0, 0.0, 0.0, 0.0, 0.0, -0.5)
    twist = bench.sent[0]
    assert (twist.twist.linear.x, twist.twist.angular.z) == (0.0127, -0.0495)
    assert (twist.header.frame_id, twist.header.stamp.nanosec) == ("base", 500_000_000)


def test_a_twist_holds_by_one_zero_and_then_silence() -> None:
    bench = Bench("twist")
    bench.output.hold(POSE, STAMP)
    assert bench.sent == []
    bench.act(1.0)
    for _ in range(3):
        bench.output.hold(POSE, STAMP)
    assert [twist.twist.linear.x for twist in bench.sent] == [0.0127, 0.0]


def test_joint_targets_move_the_tool_by_the_action() -> None:
    bench = Bench("positions")
    bench.act(0.5, -0.25)
    moved = CHAIN.position(bench.targets()[0]) - CHAIN.position(POSE)
    np.testing.assert_allclose(moved, [0.5 * 0.0127, -0.25 * 0.0127, 0.0], atol=5e-4)


def test_no_action_is_no_motion_however_much_the_arm_sags() -> None:
    bench = Bench("positions")
    for sag in (0.0, 0.01, 0.02, 0.03):
        bench.act(0.0, joints=POSE - sag)
    np.testing.assert_array_equal(bench.targets(), np.tile(POSE, (4, 1)))


def test_a_target_never_runs_away_from_an_arm_that_does_not_follow() -> None:
    bench = Bench("positions")
    for _ in range(100):
        bench.act(1.0)
    assert np.abs(bench.targets() - POSE).max() <= 0.1 + 1e-12


def test_a_target_stays_within_the_joints_ranges() -> None:
    bench = Bench("positions", low=-2.2)
    for _ in range(50):
        bench.act(-1.0)
    assert bench.targets().min() >= -2.2


def test_joints_hold_where_they_were_measured_first() -> None:
    bench = Bench("positions")
    bench.output.hold(POSE, STAMP)
    assert bench.sent == []  # nothing was moved yet, so there is nothing to stop
    bench.act(1.0)
    measured = POSE + 0.001
    bench.output.hold(None, STAMP)
    assert len(bench.sent) == 1  # where it is was not known
    for drift in (0.0, 0.01, 0.02):
        bench.output.hold(measured + drift, STAMP)
    np.testing.assert_array_equal(bench.targets()[1:], np.tile(measured, (3, 1)))
    bench.act(0.0, joints=POSE + 0.5)
    np.testing.assert_array_equal(bench.targets()[-1], POSE + 0.5)  # after a hold it starts from where the arm is


def test_a_trajectory_is_one_point_by_name_to_reach_at_once() -> None:
    bench = Bench("trajectory")
    bench.act(0.0)
    trajectory = bench.sent[0]
    assert trajectory.joint_names == PANDA_JOINTS
    assert (trajectory.header.stamp.sec, trajectory.header.stamp.nanosec) == (0, 0)
    assert [(list(point.positions), point.time_from_start.nanosec) for point in trajectory.points] == [(list(POSE), 100_000_000)]


@pytest.mark.parametrize(("action", "command"), [(-1.0, [0.04, 0.03]), (1.0, [0.0, 0.01]), (0.0, [0.02, 0.02])])
def test_the_gripper_goes_from_open_to_closed(action: float, command: list[float]) -> None:
    np.testing.assert_allclose(Gripper(np.array([0.04, 0.03]), np.array([0.0, 0.01])).command(action).data, command)


def test_a_gripper_without_fingers_is_refused() -> None:
    with pytest.raises(DmpelError, match="'gripper_open' has 0 numbers"):
        Gripper(np.zeros(0), np.zeros(0))
