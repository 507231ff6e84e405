"""Faults injected into a policy node that runs as a process of its own, over DDS; docs/safety.md lists them.

Every test begins with an arm that moves and, where the fault can pass, ends with one that moves again without help.
Nothing is asserted about time: a robot that counts its own frames says how long is long enough.
"""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import TwistStamped
from rclpy.parameter import Parameter

from dmpel_core.experts.library import read_library
from dmpel_core.experts.parcel import pack_generation
from dmpel_ros import messages
from tests.ros.bench import Bench, on_bench
from tests.ros.fake_robot import PATIENCE, SOURCES, Break, FakeRobot
from tests.ros.small_library import make_small_library

pytestmark = pytest.mark.fault


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("faults")
    make_small_library(folder / "library")
    with on_bench(folder, folder / "library") as made:
        yield made


@pytest.fixture
def robot(bench: Bench) -> Iterator[FakeRobot]:
    """A robot whose arm moves."""
    bench.robot.instruct("move")
    bench.robot.moves()
    yield bench.robot
    bench.robot.breaks.clear()


@contextmanager
def broken(robot: FakeRobot, how: Break, *sources: str) -> Iterator[None]:
    robot.breaks.update(dict.fromkeys(sources or SOURCES, how))
    yield
    robot.breaks.clear()


def nothing(_: Any) -> None:
    return None


def with_stamp(offset: float) -> Break:
    def change(message: Any) -> Any:
        stamp = messages.to_nanoseconds(message.header.stamp) + round(offset * 1e9)
        message.header.stamp = messages.to_stamp(stamp)
        return message

    return change


class Repeat:
    """Sends the first message again and again, with its old stamp or the new ones."""

    def __init__(self, *, restamp: bool) -> None:
        self._first: dict[type, Any] = {}
        self._restamp = restamp

    def __call__(self, message: Any) -> Any:
        first = self._first.setdefault(type(message), message)
        if not self._restamp:
            return first
        message.data = first.data
        return message


def joints(change: Break) -> Break:
    def apply(message: Any) -> Any:
        change(message)
        return message

    return apply


def lose_a_joint(message: Any) -> None:
    message.name, message.position = message.name[1:], message.position[1:]


def spoil_a_joint(message: Any) -> None:
    message.position[3] = float("nan")


def in_degrees(message: Any) -> None:
    message.position = np.rad2deg(message.position).tolist()


def name_a_joint_twice(message: Any) -> None:
    message.name[1] = message.name[0]


def shuffle_and_add(message: Any) -> None:
    message.name, message.position = [*message.name[::-1], "wheel"], [*message.position[::-1], 77.0]


def forget_positions(message: Any) -> None:
    message.position = message.position[:4]


def as_depth(message: Any) -> Any:
    message.encoding = "32FC1"
    return message


def as_bgr(message: Any) -> Any:
    message.encoding = "bgr8"
    return message


def cut_short(message: Any) -> Any:
    message.data = message.data[:100]
    return message


def enlarge(message: Any) -> Any:
    return messages.to_image(np.zeros((480, 640, 3), np.uint8), messages.to_nanoseconds(message.header.stamp), "")


@pytest.mark.parametrize(
    ("how", "sources", "kind", "words"),
    [
        pytest.param(nothing, ["agentview"], "stale", "/agentview/image_raw is", id="fixed camera stops"),
        pytest.param(nothing, ["eye_in_hand"], "stale", "/eye_in_hand/image_raw is", id="wrist camera stops"),
        pytest.param(nothing, ["joints"], "stale", "/joint_states is", id="joint states stop"),
        pytest.param(nothing, SOURCES, "stale", "see that the driver runs", id="everything stops"),
        pytest.param(Repeat(restamp=False), ["agentview"], "stale", "/agentview/image_raw is", id="camera repeats a stamp"),
        pytest.param(Repeat(restamp=True), ["agentview"], "frozen", "agentview has not changed", id="camera freezes"),
        pytest.param(with_stamp(60.0), SOURCES, "future", "ahead of the clock", id="stamps in the future"),
        pytest.param(with_stamp(-60.0), SOURCES, "stale", "60", id="clock jumps back"),
        pytest.param(with_stamp(-0.3), ["eye_in_hand"], "skew", "behind the newest: /eye_in_hand", id="one camera lags"),
        pytest.param(joints(lose_a_joint), ["joints"], "message", "lack panda_joint1", id="joint missing"),
        pytest.param(joints(spoil_a_joint), ["joints"], "message", "not a finite number", id="joint not a number"),
        pytest.param(joints(in_degrees), ["joints"], "message", "sends radians", id="joints in degrees"),
        pytest.param(joints(name_a_joint_twice), ["joints"], "message", "a joint twice", id="joint named twice"),
        pytest.param(joints(forget_positions), ["joints"], "message", "9 joints and give 4", id="positions missing"),
        pytest.param(as_depth, ["agentview"], "message", "encoding is '32FC1'", id="wrong encoding"),
        pytest.param(enlarge, ["agentview"], "message", "640x480", id="wrong size"),
        pytest.param(cut_short, ["eye_in_hand"], "message", "100 bytes", id="picture cut short"),
    ],
)
def test_bad_input_holds_the_arm_until_it_is_good_again(robot: FakeRobot, how: Break, sources: list[str], kind: str, words: str) -> None:
    with broken(robot, how, *sources):
        robot.holds(kind, words)
    robot.moves()


@pytest.mark.parametrize(
    ("how", "sources"),
    [
        pytest.param(joints(shuffle_and_add), ["joints"], id="joints in another order with others"),
        pytest.param(as_bgr, ["agentview"], id="colours in another order"),
    ],
)
def test_what_is_only_unusual_is_acted_on(robot: FakeRobot, how: Break, sources: list[str]) -> None:
    with broken(robot, how, *sources):
        robot.frames_pass(3)
        robot.moves()


@pytest.mark.parametrize(
    ("instruction", "kind", "words"),
    [
        pytest.param("not a number", "action", "not finite", id="action not a number"),
        pytest.param("infinite", "action", "not finite", id="action infinite"),
        pytest.param("out of range", "action", "an action of 50", id="action out of range"),
        pytest.param("refuse", "engine", "the graph does not fit", id="engine fails"),
        pytest.param("slow", "late", "250 ms are allowed", id="engine slow"),
        pytest.param("", "instruction", "empty", id="instruction empty"),
        pytest.param("make coffee", "instruction", "cannot follow 'make coffee'", id="instruction unknown"),
        pytest.param("x" * 5000, "instruction", "5000 characters", id="instruction huge"),
    ],
)
def test_a_broken_policy_holds_the_arm_until_it_works_again(robot: FakeRobot, instruction: str, kind: str, words: str) -> None:
    robot.instruct(instruction)
    robot.holds(kind, words)
    robot.instruct("move")
    robot.moves()


def test_an_engine_that_hangs_is_told_by_the_executor(robot: FakeRobot) -> None:
    robot.instruct("hang")
    robot.holds("engine", "has been computing one tick for")
    robot.instruct("move")
    robot.moves()


def test_a_stop_is_obeyed_before_it_is_answered_and_only_a_clear_ends_it(robot: FakeRobot) -> None:
    assert robot.call("stop").success
    robot.holds("stopped")
    robot.instruct("move")
    robot.holds("stopped")
    assert robot.call("clear").success
    robot.moves()


def test_deactivation_in_the_middle_of_ticks_ends_every_command(robot: FakeRobot) -> None:
    assert robot.change("deactivate")
    robot.wait(lambda: robot.state == "inactive", "the policy is still active")
    robot.holds("")
    assert robot.change("activate")
    robot.moves()


def test_illegal_transitions_are_refused_and_change_nothing(robot: FakeRobot) -> None:
    assert [robot.change(name) for name in ("configure", "activate", "cleanup")] == [False] * 3
    robot.moves()


def test_a_second_commander_keeps_the_policy_from_activating(robot: FakeRobot) -> None:
    robot.change("deactivate")
    rival = robot.create_publisher(TwistStamped, "/servo_node/delta_twist_cmds", 1)
    try:
        robot.wait(lambda: not robot.change("activate") or not robot.change("deactivate"), "the policy activates beside another")
        robot.wait(lambda: robot.kind == "refused", "the refusal is not told")
        assert "another node publishes commands" in robot.status.message
    finally:
        robot.destroy_publisher(rival)
    robot.wait(lambda: robot.change("activate"), "the policy cannot be activated")
    robot.moves()


def test_loading_and_rolling_back_do_not_disturb_the_motion(robot: FakeRobot) -> None:
    told = json.loads(robot.call("list").message)
    assert told["generations"]["2"] == ["skill 1", "skill 2"]
    for service, generation in (("roll_back", "2"), ("roll_back", "1"), ("load", "1")):
        assert robot.call(service).success
        robot.wait(lambda generation=generation: robot.library.get("generation") == generation, "the generation is not told")
        robot.moves()
    load(robot, 3)


def load(robot: FakeRobot, generation: int) -> Any:
    robot.answer(robot.parameters.set_parameters([Parameter("generation", value=generation)]))
    return robot.call("load")


def test_an_expert_file_is_added_while_the_arm_moves(bench: Bench, robot: FakeRobot) -> None:
    make_small_library(bench.library.parent / "sender", experts=4)
    file = bench.library / "four.expert"
    whole = pack_generation(read_library(bench.library.parent / "sender"))
    for content, taken in ((whole[:-10], False), (whole, True)):
        file.write_bytes(content)
        robot.answer(robot.parameters.set_parameters([Parameter("expert_file", value=str(file))]))
        assert robot.call("add").success == taken
        robot.moves()
    robot.wait(lambda: robot.library.get("generation") == "4", "the generation is not told")
    assert load(robot, 3).success
    robot.moves()


def test_an_expert_damaged_on_disk_is_refused_while_the_arm_moves(bench: Bench, robot: FakeRobot) -> None:
    load(robot, 2)
    expert = next((bench.library / "experts").glob("0003-*"))
    whole = expert.read_bytes()
    expert.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    answer = load(robot, 3)
    assert not answer.success
    assert answer.message.endswith("generation 2 stays in use")
    robot.moves()
    expert.write_bytes(whole)
    assert load(robot, 3).success
    robot.moves()


def test_a_storm_of_parameters_and_requests_does_not_stop_it(robot: FakeRobot) -> None:
    for _ in range(50):  # more than a service queues, so not every one is answered
        robot.parameters.set_parameters([Parameter("rate", value=30.0), Parameter("generation", value=3)])
    for name in ("list", "load", "reset") * 5:
        robot._triggers[name].call_async(robot._triggers[name].srv_type.Request())
    robot.moves()
    robot.wait(lambda: robot.call("list").success, "the policy no longer answers")
    refused = robot.answer(robot.parameters.set_parameters([Parameter("rate", value=30.0)])).results[0]
    assert not refused.successful
    robot.moves()


def test_faults_in_a_row_stop_it_until_cleared(bench: Bench) -> None:
    robot = restart(bench, max_faults=60)
    with broken(robot, nothing, "agentview"):
        robot.holds("stopped", "60 faulty ticks in a row")
    robot.holds("stopped")
    robot.call("clear")
    robot.moves()


def restart(bench: Bench, **parameters: Any) -> FakeRobot:
    """End the policy that runs and start one with other parameters, up to an arm that moves."""
    if bench.process.poll() is None:
        bench.end()
    bench.robot.instruct("move")  # latched: the new policy would find the old one's instruction
    bench.start(**parameters)
    bench.bring_up()
    bench.robot.moves()
    return bench.robot


def test_a_controller_of_another_kind_keeps_the_policy_from_activating(bench: Bench) -> None:
    bench.end()
    bench.start(output="positions")
    assert bench.robot.change("configure")
    bench.robot.frames_pass(2)
    assert not bench.robot.change("activate")
    bench.robot.wait(lambda: bench.robot.kind == "refused", "the refusal is not told")
    assert (
        "the controller reads geometry_msgs/msg/TwistStamped, the node publishes std_msgs/msg/Float64MultiArray"
        in bench.robot.status.message
    )


def test_a_library_for_another_robot_is_not_configured(bench: Bench) -> None:
    bench.end()
    bench.start(image_orientation="upside_down")
    assert not bench.robot.change("configure")
    bench.robot.wait(lambda: bench.robot.kind == "refused", "the refusal is not told")
    assert "expects 'upright', the robot gives 'upside_down'" in bench.robot.status.message


def test_an_engine_that_crashes_ends_the_node_and_leaves_silence(bench: Bench) -> None:
    robot = restart(bench)
    robot.instruct("crash")
    assert bench.process.wait(PATIENCE) == 1
    robot.frames_pass(1)
    commands = len(robot.twists)
    robot.frames_pass(5)
    assert len(robot.twists) == commands


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=["terminated", "interrupted", "killed"])
def test_an_end_in_the_middle_of_ticks_leaves_silence(bench: Bench, number: int) -> None:
    robot = restart(bench)
    assert bench.end(number) == (-signal.SIGKILL if number == signal.SIGKILL else 0)
    robot.frames_pass(1)
    commands = len(robot.twists)
    robot.frames_pass(5)
    assert len(robot.twists) == commands
