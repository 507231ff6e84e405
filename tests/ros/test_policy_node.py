"""The policy node: what it publishes for what it is given."""

import json
import time

import numpy as np
import pytest
import rclpy
from rclpy.context import Context
from rclpy.exceptions import InvalidParameterValueException
from rclpy.parameter import Parameter
from std_msgs.msg import String

from dmpel_core.groups import GROUPS
from dmpel_ros import messages
from dmpel_ros.outcome import Acted, Held
from dmpel_ros.policy_node import main
from dmpel_ros.policy_parameters import ENGINE, PARAMETERS
from dmpel_ros.routing import ENTROPY
from tests.ros.fakes import POSE, FakeCatalogue, FakeEngine
from tests.ros.policy_in_hand import GRIPPER, NAMES, POSITIONS, TWIST, Make, give, parts_of, status
from tests.ros.recording import RecordingPolicy, for_the_simulation, status_values


def test_the_engine_sees_pictures_and_joints_in_its_own_order(node: RecordingPolicy) -> None:
    give(node)
    node.step()
    seen = node._parts.engine.observations[-1]
    assert (seen.agentview.mean(), seen.eye_in_hand.mean()) == (10, 20)
    np.testing.assert_allclose(seen.joints, POSE)
    np.testing.assert_allclose(seen.gripper, [0.03, -0.04])


def test_an_action_is_the_gripper_then_the_twist_with_the_observations_stamp(node: RecordingPolicy) -> None:
    node._parts.engine.action[:] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 1.0)
    stamp = give(node)
    node.step()
    assert [topic for topic in node.topics() if topic in {GRIPPER, TWIST}] == [GRIPPER, TWIST]
    twist = node.on(TWIST)[0]
    assert (messages.to_nanoseconds(twist.header.stamp), twist.header.frame_id) == (stamp, "panda_link0")
    np.testing.assert_allclose(parts_of(twist), (0.1, 0.2, 0.3, 0.4, 0.5, 0.6))
    assert list(node.on(GRIPPER)[0].data) == [1.0]


def test_the_engine_is_loaded_as_the_parameters_say_and_catches_up_after_each_action(make: Make) -> None:
    node = make(threads=2, engine="onnx", route_every=5)
    node._on_instruction(String(data="put it there"))
    defaults = {parameter.name: parameter.default for parameter in ENGINE}
    assert node._parts.engine.wanted == defaults | {"threads": 2, "engine": "onnx", "route_every": 5, "signed_by": None}
    give(node)
    node.step()
    node._parts.engine.action[:] = np.nan
    give(node)
    node.step()
    assert (len(node._parts.engine.observations), node._parts.engine.caught_up) == (3, 1)  # one to warm up, one held


def test_a_tick_reports_its_timing_and_routing(node: RecordingPolicy) -> None:
    stamp = give(node)
    node.step()
    record = messages.from_record(node.on("~/timing")[0])
    assert record["stamp_s"] == pytest.approx(stamp / 1e9)
    assert record["generation"] == 3
    assert record["compute_ms"] > record["inputs_ms"] > 0
    assert [record[f"{stage}_ms"] for stage in ("image", "temporal")] == [4.0, 3.0]
    assert np.isnan([record[f"{stage}_ms"] for stage in ("text", "router", "mixing")]).all()  # this engine does not tell
    values, (generation, groups, columns) = messages.from_table(node.on("~/routing")[0])
    assert (generation, groups, columns) == (("generation 3",), GROUPS, ("skill-0", "skill-1", "skill-2", ENTROPY))
    np.testing.assert_allclose(values[0, :, :3], 1 / 3)
    np.testing.assert_allclose(values[0, :, 3], np.log2(3), rtol=1e-6)


def test_the_cadence_is_measured_from_action_to_action(node: RecordingPolicy) -> None:
    began = time.perf_counter()
    for _ in range(3):
        give(node)
        node.step()
    ended = time.perf_counter()
    node._reset(node._parts)
    give(node)
    node.step()  # the first of a new episode
    records = [messages.from_record(message) for message in node.on("~/timing")]
    assert [np.isnan(record["interval_ms"]) for record in records] == [True, False, False, True]
    assert 0 < sum(record["interval_ms"] for record in records[1:3]) < 1e3 * (ended - began)
    assert {record["target_ms"] for record in records} == {1e3 * node._period}


DEGREES = np.array([0.04, *np.rad2deg(POSE[::-1]), 99.0, 0.03])


@pytest.mark.parametrize(
    ("fault", "kind", "reason"),
    [
        ({"size": 16}, "message", "/agentview/image_raw: the picture is 16x16"),
        ({"names": NAMES[:5]}, "message", "lack panda_joint1, panda_joint2, panda_joint3, panda_finger_joint1"),
        ({"positions": DEGREES}, "message", "see that the driver sends radians"),
        ({"age": 6_000_000_000}, "stale", "5000 ms are allowed"),
        ({"age": -6_000_000_000}, "future", "ms ahead of the clock"),
    ],
)
def test_bad_input_stops_the_arm_is_reported_and_is_recovered_from(node: RecordingPolicy, fault: dict, kind: str, reason: str) -> None:
    give(node)
    node.step()
    before = len(node.on(GRIPPER))
    give(node, **fault)
    held = node.step()
    assert isinstance(held, Held)
    assert held.kind == kind
    node.step()
    assert [parts_of(twist) for twist in node.on(TWIST)[1:]] == [(0.0,) * 6]  # one zero, then silence
    assert len(node.on(GRIPPER)) == before
    assert (status(node)["kind"], status(node)["state"]) == (kind, "active")
    node._report_diagnostics()
    shown = node.on("/diagnostics")[0].status[0]
    assert reason in shown.message
    assert status_values(shown)[f"holds_{kind}"] == "2"
    give(node)
    assert isinstance(node.step(), Acted)
    node._report_diagnostics()
    assert node.on("/diagnostics")[-1].status[0].message == "acting"
    assert status(node)["kind"] == "acting"


def test_the_status_is_told_again_when_another_input_is_to_blame_and_not_for_another_number(node: RecordingPolicy) -> None:
    for age in (6_000_000_000, 7_000_000_000):
        give(node, age=age)
        node.step()
    told = len(node.on("~/status"))
    stamp = node.get_clock().now().nanoseconds
    node._inbox.put(node._topics["joints"], messages.to_joint_state(NAMES, POSITIONS, stamp), stamp)
    node.step()
    assert len(node.on("~/status")) == told + 1
    assert "/joint_states" not in node.on("~/status")[-1].message
    give(node, age=8_000_000_000)
    node.step()
    give(node, age=9_000_000_000)
    node.step()
    assert len(node.on("~/status")) == told + 2


def test_nothing_is_commanded_before_the_first_action(node: RecordingPolicy) -> None:
    give(node, size=16)
    node.step()
    assert not {TWIST, GRIPPER} & set(node.topics())


def test_limits_that_bite_are_counted(make: Make) -> None:
    node = make(action_limit=[0.1] * 6)
    node._on_instruction(String(data="put it there"))
    node._parts.engine.action[1] = 0.5
    give(node)
    node.step()
    assert node.on(TWIST)[0].twist.linear.y == 0.1
    node._report_diagnostics()
    assert status_values(node.on("/diagnostics")[-1].status[0])["limited_by_value"] == "1"


def test_on_a_robot_it_ticks_on_deadlines_until_the_shutdown(domain: int, capsys: pytest.CaptureFixture[str]) -> None:
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    values = for_the_simulation(max_picture_age=5.0, max_joints_age=5.0, rate=100.0)
    node = RecordingPolicy(FakeEngine, FakeCatalogue(), context=context, parameter_overrides=values)
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
    assert "policy: 3 actions at 100 Hz" in capsys.readouterr().out
    node.destroy_node()


# --- skills


def test_the_library_in_use_is_told(node: RecordingPolicy) -> None:
    give(node)
    node.step()
    values = status_values(node.on("~/library")[-1])
    assert values["generation"] == "3"
    assert json.loads(values["experts"]) == ["skill-0", "skill-1", "skill-2"]
    assert values["instruction"] == "put it there"


def test_a_load_changes_the_next_tick_and_what_is_told(node: RecordingPolicy) -> None:
    node.set_parameters([Parameter("generation", value=4)])
    assert node._load_wanted(node._parts) == (True, "generation 4 is loaded and takes over at the next tick")
    give(node)
    node.step()
    assert messages.from_record(node.on("~/timing")[-1])["generation"] == 4
    assert status_values(node.on("~/library")[-1])["generation"] == "4"


def test_rolling_back_runs_the_generation_before_and_the_parameter_says_so(node: RecordingPolicy) -> None:
    assert node._roll_back(node._parts) == (True, "generation 2 is loaded and takes over at the next tick")
    assert node.get_parameter("generation").value == 2
    assert node._parts.engine.generation == 2


def test_an_expert_file_is_added_where_the_parameter_names_one(node: RecordingPolicy) -> None:
    success, message = node._add_wanted(node._parts)
    assert (success, "'expert_file'" in message) == (False, True)
    node.set_parameters([Parameter("expert_file", value="four.expert")])
    assert node._add_wanted(node._parts) == (True, "generation 4 is loaded and takes over at the next tick")
    assert node.get_parameter("generation").value == 4
    assert node._parts.engine.generation == 4


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("generation", 99, "generation 99 does not exist"),
        ("generation", 77, "rate_hz: the library expects 50.0, the robot gives 20.0"),
        ("library", "nowhere", "no library 'nowhere'"),
    ],
)
def test_a_load_that_fails_leaves_the_engine_running(node: RecordingPolicy, name: str, value: int | str, fault: str) -> None:
    node.set_parameters([Parameter(name, value=value)])
    success, message = node._load_wanted(node._parts)
    assert not success
    assert fault in message
    assert message.endswith("generation 3 stays in use")
    give(node)
    assert isinstance(node.step(), Acted)


# --- parameters


def test_every_parameter_says_what_it_is(node: RecordingPolicy) -> None:
    for row in PARAMETERS:
        assert node.describe_parameter(row.name).description


def test_parameters_keep_to_their_range_and_read_only_ones_stay(node: RecordingPolicy, make: Make) -> None:
    with pytest.raises(InvalidParameterValueException):
        make(rate=1000.0)
    assert not node.set_parameters([Parameter("rate", value=30.0)])[0].successful


def test_a_library_that_is_not_there_ends_the_node_with_a_message(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--ros-args", "-p", "library:=nowhere", "-p", "autostart:=true"], FakeEngine) == 2
    assert "no library 'nowhere'" in capsys.readouterr().err
