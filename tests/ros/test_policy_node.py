"""The policy node: what it publishes for what it is given."""

import json
import time
from collections.abc import Iterator

import numpy as np
import pytest
import rclpy
from rclpy.context import Context
from rclpy.exceptions import InvalidParameterValueException
from rclpy.parameter import Parameter
from std_msgs.msg import String

from dmpel_core.groups import GROUPS
from dmpel_ros import messages
from dmpel_ros.control import Acted, Held
from dmpel_ros.policy_node import INPUTS, PARAMETERS, PolicyNode, main
from tests.ros.fakes import SIZE, FakeEngine
from tests.ros.recording import RecordingPolicy, overrides, status_values

GRIPPER, TWIST = "/gripper_controller/commands", "/servo_node/delta_twist_cmds"
NAMES = ["panda_finger_joint2", *(f"panda_joint{i}" for i in range(7, 0, -1)), "wheel", "panda_finger_joint1"]
POSITIONS = np.array([0.04, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 99.0, 0.03])


@pytest.fixture
def node(context: Context) -> Iterator[RecordingPolicy]:
    made = RecordingPolicy(
        FakeEngine, context=context, parameter_overrides=overrides(library="/", image_size=SIZE, max_observation_age=5.0)
    )
    made._on_instruction(String(data="put it there"))
    made._control.apply_requests()
    yield made
    made.destroy_node()


def give(node: PolicyNode, age: int = 0, size: int = SIZE, names: list[str] = NAMES) -> int:
    """Hand the node one observation of the given age [ns] and return its stamp [ns]."""
    stamp = node.get_clock().now().nanoseconds - age
    for camera, brightness in (("agentview", 10), ("eye_in_hand", 20)):
        picture = messages.to_image(np.full((size, size, 3), brightness, np.uint8), stamp, "camera")
        node._inbox.put(INPUTS[camera], picture, stamp)
    node._inbox.put(INPUTS["joints"], messages.to_joint_state(names, POSITIONS[: len(names)], stamp), stamp)
    return stamp


def test_the_engine_sees_pictures_and_joints_in_its_own_order(node: RecordingPolicy) -> None:
    give(node)
    node.step()
    seen = node._engine.observations[-1]
    assert (seen.agentview.mean(), seen.eye_in_hand.mean()) == (10, 20)
    np.testing.assert_allclose(seen.joints, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    np.testing.assert_allclose(seen.gripper, [0.03, -0.04])


def test_an_action_is_the_gripper_then_the_twist_with_the_observations_stamp(node: RecordingPolicy) -> None:
    node._engine.action[:] = (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 1.0)
    stamp = give(node)
    node.step()
    assert [topic for topic in node.topics() if topic in {GRIPPER, TWIST}] == [GRIPPER, TWIST]
    twist = node.on(TWIST)[0]
    assert (messages.to_nanoseconds(twist.header.stamp), twist.header.frame_id) == (stamp, "panda_link0")
    parts = (
        twist.twist.linear.x,
        twist.twist.linear.y,
        twist.twist.linear.z,
        twist.twist.angular.x,
        twist.twist.angular.y,
        twist.twist.angular.z,
    )
    np.testing.assert_allclose(parts, (0.1, 0.2, 0.3, 0.4, 0.5, 0.6))
    assert list(node.on(GRIPPER)[0].data) == [1.0]


def test_a_tick_reports_its_timing_and_routing(node: RecordingPolicy) -> None:
    stamp = give(node)
    node.step()
    record = messages.from_record(node.on("~/timing")[0])
    assert record["stamp_s"] == pytest.approx(stamp / 1e9)
    assert record["generation"] == 3
    assert record["compute_ms"] > 0
    values, groups, experts = messages.from_table(node.on("~/routing")[0])
    assert (groups, experts) == (GROUPS, ("skill-0", "skill-1", "skill-2"))
    np.testing.assert_allclose(values, 1 / 3)


@pytest.mark.parametrize(
    ("fault", "kind", "reason"),
    [
        ({"size": 16}, "message", "16x16"),
        ({"names": NAMES[:5]}, "message", "lack panda_joint1, panda_joint2, panda_joint3, panda_finger_joint1"),
        ({"age": 6_000_000_000}, "stale", "6000 ms old"),
    ],
)
def test_bad_input_moves_nothing_is_reported_and_is_recovered_from(node: RecordingPolicy, fault: dict, kind: str, reason: str) -> None:
    give(node, **fault)
    held = node.step()
    assert isinstance(held, Held)
    assert held.kind == kind
    assert not node.on(TWIST)
    assert not node.on(GRIPPER)
    node._report_diagnostics()
    status = node.on("/diagnostics")[0].status[0]
    assert reason in status.message
    assert status_values(status)[f"holds_{kind}"] == "1"
    give(node)
    assert isinstance(node.step(), Acted)
    node._report_diagnostics()
    assert node.on("/diagnostics")[-1].status[0].message == "acting"


def test_on_a_robot_it_ticks_on_deadlines_until_the_shutdown(domain: int) -> None:
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    values = overrides(library="/", image_size=SIZE, max_observation_age=5.0, rate=100.0)
    node = RecordingPolicy(FakeEngine, context=context, parameter_overrides=values)
    node._on_instruction(String(data="put it there"))
    give(node)

    def shut_down_after_three(_: object) -> None:
        if len(node.on(TWIST)) == 3:
            context.try_shutdown()

    node.hooks[TWIST] = shut_down_after_three
    began = time.perf_counter()
    node.run()
    assert len(node.on(TWIST)) == 3
    assert time.perf_counter() - began >= 0.03  # one period before each tick
    assert status_values(node.on("~/library")[-1])["instruction"] == "put it there"
    node.destroy_node()


def test_the_library_in_use_is_told(node: RecordingPolicy) -> None:
    node._report_library()
    values = status_values(node.on("~/library")[-1])
    assert values["generation"] == "3"
    assert json.loads(values["experts"]) == ["skill-0", "skill-1", "skill-2"]
    assert values["instruction"] == "put it there"


def test_a_load_changes_the_next_tick_and_what_is_told(node: RecordingPolicy) -> None:
    node.set_parameters([Parameter("generation", value=4)])
    assert node._load() == (True, "generation 4 is loaded and takes over at the next tick")
    give(node)
    node.step()
    assert messages.from_record(node.on("~/timing")[-1])["generation"] == 4
    assert status_values(node.on("~/library")[-1])["generation"] == "4"


@pytest.mark.parametrize(
    ("name", "value", "fault"), [("generation", 99, "generation 99 does not exist"), ("library", "nowhere", "no library 'nowhere'")]
)
def test_a_load_that_fails_leaves_the_engine_running(node: RecordingPolicy, name: str, value: int | str, fault: str) -> None:
    node.set_parameters([Parameter(name, value=value)])
    success, message = node._load()
    assert not success
    assert fault in message
    assert message.endswith("generation 3 stays in use")
    give(node)
    assert isinstance(node.step(), Acted)


def test_every_parameter_says_what_it_is(node: RecordingPolicy) -> None:
    for row in PARAMETERS:
        assert node.describe_parameter(row.name).description


def test_parameters_keep_to_their_range_and_read_only_ones_stay(node: RecordingPolicy, context: Context) -> None:
    with pytest.raises(InvalidParameterValueException):
        RecordingPolicy(FakeEngine, context=context, parameter_overrides=overrides(library="/", rate=1000.0))
    assert not node.set_parameters([Parameter("rate", value=30.0)])[0].successful


def test_a_library_that_is_not_there_ends_the_node_with_a_message(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--ros-args", "-p", "library:=nowhere"], FakeEngine) == 2
    assert "no library 'nowhere'" in capsys.readouterr().err
