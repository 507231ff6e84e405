"""The bridge: simulated time, actions by stamp, holding the pose; a hook on its own topics stands for the policy."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import TwistStamped
from rclpy.context import Context
from rclpy.parameter import Parameter
from std_msgs.msg import Float64MultiArray, Header
from std_srvs.srv import Trigger

from dmpel_ros import messages
from dmpel_ros.bridge_node import JOINTS, PERIOD
from dmpel_ros.episode import Episode, Stage
from tests.ros.fakes import GOAL_TICKS, POSE, SIZE, FakeArena, build_fake
from tests.ros.recording import RecordingBridge, overrides, status_values

LAST = "/eye_in_hand/image_raw"
"""The last topic of an observation."""


class Asker:
    """In the place of an answer that a service callback awaits."""

    def __init__(self) -> None:
        self.answer: tuple[bool, str] | None = None

    def give(self, answer: tuple[bool, str]) -> None:
        self.answer = answer


@pytest.fixture
def stage() -> Stage:
    return Stage(SIZE, 2, build_fake)


@pytest.fixture
def bridge(context: Context, stage: Stage) -> Iterator[RecordingBridge]:
    made = RecordingBridge(stage, context=context, parameter_overrides=overrides(real_time_factor=0.0, action_timeout=0.001, horizon=8))
    yield made
    made.destroy_node()


def begin(bridge: RecordingBridge, **parameters: Any) -> tuple[bool, str]:
    bridge.set_parameters([Parameter(name, value=value) for name, value in parameters.items()])
    asker = Asker()
    bridge._resets.append(asker)
    bridge._begin()
    assert asker.answer is not None
    return asker.answer


def play(bridge: RecordingBridge) -> Episode:
    """Tick until the episode is over."""
    episode = bridge._episode
    assert episode is not None
    while bridge._episode is not None:
        bridge._tick(episode)
    return episode


def answering(
    bridge: RecordingBridge, late: int = 0, deltas: tuple[float, ...] = (0.5, 0.0, 0.0, 0.0, 0.0, 2.0), gripper: float = 1.0
) -> Callable[[Any], None]:
    """Return a hook that answers every observation, `late` [ns] before its stamp."""

    def answer(picture: Any) -> None:
        stamp = messages.to_nanoseconds(picture.header.stamp) - late
        bridge._on_gripper(Float64MultiArray(data=[gripper]))
        twist = TwistStamped(header=Header(stamp=messages.to_stamp(stamp)))
        linear, angular = twist.twist.linear, twist.twist.angular
        linear.x, linear.y, linear.z, angular.x, angular.y, angular.z = deltas
        bridge._on_twist(twist)

    return answer


def arena(bridge: RecordingBridge) -> FakeArena:
    return bridge._stage._arenas["libero_goal", 0]


def test_answered_observations_lead_to_success(bridge: RecordingBridge) -> None:
    bridge.hooks[LAST] = answering(bridge)
    assert begin(bridge) == (True, "1")
    episode = play(bridge)
    assert (episode.outcome, episode.ticks, episode.missed) == ("success", GOAL_TICKS, 0)
    np.testing.assert_array_equal(arena(bridge).actions[0], (0.5, 0, 0, 0, 0, 1.0, 1.0))  # clipped to what a controller takes
    outcomes = [status.message for status in bridge.on("~/episode")]
    assert outcomes == ["running", "success"]
    values = status_values(bridge.on("~/episode")[-1])
    assert (values["episode"], values["ticks"], values["missed_actions"], values["instruction"]) == ("1", "5", "0", "do task 0")


def test_without_actions_the_pose_is_held_and_misses_are_counted(bridge: RecordingBridge) -> None:
    begin(bridge)
    episode = play(bridge)
    assert (episode.outcome, episode.ticks, episode.missed) == ("failure", 8, 8)
    np.testing.assert_array_equal(arena(bridge).actions, [(0, 0, 0, 0, 0, 0, -1.0)] * 8)


def test_holding_keeps_the_gripper(bridge: RecordingBridge) -> None:
    bridge.hooks[LAST] = answering(bridge)
    begin(bridge)
    bridge._tick(bridge._episode)
    bridge.hooks.clear()
    bridge._tick(bridge._episode)
    np.testing.assert_array_equal(arena(bridge).actions[-1], (0, 0, 0, 0, 0, 0, 1.0))


@pytest.mark.parametrize("fault", [{"late": PERIOD}, {"deltas": (float("nan"), 0.0, 0.0, 0.0, 0.0, 0.0)}])
def test_late_and_broken_actions_are_not_carried_out(bridge: RecordingBridge, fault: dict) -> None:
    bridge.hooks[LAST] = answering(bridge, **fault)
    begin(bridge)
    assert play(bridge).missed == 8


COMMANDS = ("/gripper_controller/commands", "/servo_node/delta_twist_cmds")


def demonstrate(bridge: RecordingBridge) -> Trigger.Response:
    return bridge._on_demonstrate(Trigger.Request(), Trigger.Response())


def test_the_scripted_expert_commands_over_the_arms_own_topics_until_it_has_let_go(bridge: RecordingBridge) -> None:
    bridge.hooks |= dict(zip(COMMANDS, (bridge._on_gripper, bridge._on_twist), strict=True))
    bridge.count_subscribers = lambda topic: 0
    begin(bridge, horizon=20)
    assert demonstrate(bridge).success
    episode = play(bridge)
    assert (episode.outcome, episode.missed) == ("success", 1)  # the last tick, at which it had nothing more to do
    np.testing.assert_array_equal(arena(bridge).actions, [(0.3, 0, 0, 0, 0, 0, 1.0)] * GOAL_TICKS + [(0.3, 0, 0, 0, 0, 0, -1.0)] * 2
                                  + [(0, 0, 0, 0, 0, 0, -1.0)])  # fmt: skip
    stamps = [messages.to_nanoseconds(twist.header.stamp) for twist in bridge.on(COMMANDS[1])]
    assert stamps == [messages.to_nanoseconds(picture.header.stamp) for picture in bridge.on(LAST)[: len(stamps)]]


def test_the_expert_waits_until_everybody_hears_it(bridge: RecordingBridge) -> None:
    bridge.count_subscribers = lambda topic: 1
    begin(bridge)
    demonstrate(bridge)
    bridge._tick(bridge._episode)
    assert not bridge.on(COMMANDS[1])
    for publisher in (bridge._demonstrator._arm, bridge._demonstrator._gripper):
        publisher.connected = 1
    bridge._tick(bridge._episode)
    assert len(bridge.on(COMMANDS[1])) == 1


def test_the_expert_leaves_with_the_episode(bridge: RecordingBridge) -> None:
    assert not demonstrate(bridge).success  # there is none
    begin(bridge)
    demonstrate(bridge)
    bridge._tick(bridge._episode)
    begin(bridge)
    assert bridge._demonstrator is None
    assert play(bridge).missed == 8


def test_simulated_time_goes_with_the_steps_and_never_back(bridge: RecordingBridge) -> None:
    bridge.hooks[LAST] = answering(bridge)
    for _ in range(2):
        begin(bridge)
        play(bridge)
        bridge._publish()
    times = [messages.to_nanoseconds(clock.clock) for clock in bridge.on("/clock")]
    assert set(np.diff(times)) == {0, PERIOD}
    stamps = [messages.to_nanoseconds(state.header.stamp) for state in bridge.on("/joint_states")]
    assert stamps == times  # what is seen at t is published at t


def test_an_observation_has_both_pictures_and_a_pandas_joints(bridge: RecordingBridge) -> None:
    begin(bridge)
    bridge._publish()
    state = bridge.on("/joint_states")[0]
    assert tuple(state.name) == JOINTS
    np.testing.assert_allclose(state.position, [*POSE, 0.04, 0.04])  # a driver publishes openings
    assert messages.from_image(bridge.on("/agentview/image_raw")[0], SIZE).mean() == 100
    assert messages.from_image(bridge.on(LAST)[0], SIZE).mean() == 200


def test_blank_episodes_have_black_pictures_and_real_joints(bridge: RecordingBridge) -> None:
    begin(bridge, blank=True)
    bridge._publish()
    assert messages.from_image(bridge.on("/agentview/image_raw")[0], SIZE).max() == 0
    assert bridge.on("/joint_states")[0].position[1] == POSE[1]


def test_a_task_that_does_not_exist_is_refused_and_nothing_runs(bridge: RecordingBridge) -> None:
    success, message = begin(bridge, task=99)
    assert not success
    assert "no task 99" in message
    assert bridge._episode is None


def test_the_environments_used_last_are_kept(stage: Stage, bridge: RecordingBridge) -> None:
    arenas = []
    for task in (0, 1, 0, 2, 0):
        begin(bridge, task=task)
        arenas.append(bridge._episode.arena)
    assert arenas[0] is arenas[2] is arenas[4]
    assert arenas[1].closed
    assert not arenas[0].closed
    stage.close()
    assert arenas[0].closed


def test_between_episodes_nothing_is_stepped(bridge: RecordingBridge) -> None:
    bridge._idle()
    assert bridge.topics() == ["/clock"]
    bridge.hooks[LAST] = answering(bridge)
    begin(bridge)
    ticks = play(bridge).ticks
    bridge._idle()
    assert len(arena(bridge).actions) == ticks
