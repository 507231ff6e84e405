"""The policy node as a managed node: what each transition does, and what keeps it from being configured or activated."""

import time

import pytest
from lifecycle_msgs.msg import Transition
from std_msgs.msg import String

from dmpel_core.errors import DmpelError
from dmpel_ros.outcome import Acted
from tests.ros.fakes import SIZE, FakeCatalogue
from tests.ros.policy_in_hand import ACTIVATE, CONFIGURE, DEACTIVATE, GRIPPER, NAMES, TWIST, Make, change, give, parts_of, status


def test_it_waits_for_each_transition_and_obeys_no_other(make: Make) -> None:
    node = make(autostart=False)
    give(node)
    for illegal in (ACTIVATE, DEACTIVATE, Transition.TRANSITION_CLEANUP):
        assert not change(node, illegal)
        assert node.state == "unconfigured"
    node._on_instruction(String(data="put it there"))
    assert change(node, CONFIGURE)
    assert (status(node)["state"], node.step()) == ("inactive", None)
    assert not change(node, CONFIGURE)
    assert change(node, ACTIVATE)
    assert isinstance(node.step(), Acted)  # the instruction that came too early was kept
    assert change(node, DEACTIVATE)
    assert parts_of(node.on(TWIST)[-1]) == (0.0,) * 6
    assert node.step() is None
    assert change(node, Transition.TRANSITION_CLEANUP)
    assert (node._parts, node._inbox.entries()) == (None, {})
    assert change(node, CONFIGURE)
    assert change(node, Transition.TRANSITION_INACTIVE_SHUTDOWN)
    assert node.state == "finalized"


@pytest.mark.fault
def test_an_action_that_is_computed_while_the_node_is_deactivated_is_dropped(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmpel_ros.policy_node.PATIENCE", 0.01)
    node = make()
    node._on_instruction(String(data="put it there"))
    node._parts.engine.action[0] = 0.5
    node._parts.engine.pause = lambda: change(node, DEACTIVATE)  # as the executor does while the tick hangs
    give(node)
    assert node.step() is None
    assert not {TWIST, GRIPPER} & set(node.topics())


def test_only_an_active_node_wakes_for_its_inputs(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    node = make(use_sim_time=True)
    give(node)
    woken: list[bool] = []
    monkeypatch.setattr(node._inbox, "wait", lambda ready, timeout: woken.append(ready()) or woken[-1])
    node._wait(time.perf_counter())
    change(node, DEACTIVATE)
    node._wait(time.perf_counter())
    assert woken == [True, False]  # it would spin on inputs that no tick takes


def test_configuring_warms_up_and_forgets_it(make: Make) -> None:
    engine = make()._parts.engine
    assert engine.observations[0].agentview.shape == (SIZE, SIZE, 3)
    assert engine.resets >= 1


def test_a_transition_that_raises_is_logged_and_the_node_can_be_configured_again(make: Make) -> None:
    node = make(autostart=False)
    catalogue, node._catalogue = node._catalogue, None
    assert not change(node, CONFIGURE)
    assert node.state == "unconfigured"
    node._catalogue = catalogue
    assert change(node, CONFIGURE)


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        ({"image_orientation": "upside down"}, "the library expects 'upside down', the robot gives 'upright'"),
        ({"joints": 6}, "joints: the library expects 6, the robot gives 7"),
        ({"rate_hz": 10}, "rate_hz: the library expects 10, the robot gives 20.0: set 'rate'"),
        ({"action": {"kind": "joint_positions"}}, "action's kind: the library expects 'joint_positions', the robot gives 'pose_delta'"),
        ({"cameras": {"overhead": [128, 128, 3]}}, "expects 'overhead', the robot gives agentview, eye_in_hand"),
        ({"cameras": {"agentview": [128, 128, 3]}}, "[128, 128, 3] pixels, the robot gives [32, 32, 3]"),
    ],
)
def test_a_library_for_another_robot_is_not_configured(make: Make, expected: dict, words: str) -> None:
    node = make(FakeCatalogue(**expected), autostart=False)
    assert not change(node, CONFIGURE)
    assert (node.state, status(node)["kind"]) == ("unconfigured", "refused")
    assert words in node.on("~/status")[-1].message


def test_activation_checks_what_has_come_and_names_all_of_it(make: Make) -> None:
    node = make(autostart=False)
    change(node, CONFIGURE)
    give(node, size=16, names=NAMES[:3])
    assert not change(node, ACTIVATE)
    message = node.on("~/status")[-1].message
    assert "/agentview/image_raw: the picture is 16x16, the policy was trained on 32x32" in message
    assert "/joint_states: joint states lack panda_joint1" in message
    give(node)
    assert change(node, ACTIVATE)


def test_a_strict_activation_needs_inputs_and_listeners(make: Make) -> None:
    node = make(autostart=False, strict_preflight=True)
    change(node, CONFIGURE)
    assert not change(node, ACTIVATE)
    message = node.on("~/status")[-1].message
    assert "/joint_states: nothing has come from no publisher: start the driver" in message
    assert f"{TWIST}: nobody listens: start the arm's controller" in message


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"output": "torque"}, "no output 'torque'; valid outputs: twist, positions, trajectory"),
        ({"box_low": [1.0, 0.0, 0.0]}, "the box is empty"),
        ({"action_limit": [1.0, 1.0]}, "'action_limit' must be 6 finite numbers"),
        ({"gripper_open": [1.0, 2.0]}, "'gripper_open' has 2 numbers and 'gripper_closed' 1"),
        ({"library": "nowhere"}, "no library 'nowhere'"),
        ({"gripper_topic": TWIST}, "'command_topic' and 'gripper_topic' are both"),
    ],
)
def test_parameters_that_make_no_sense_end_an_autostart(make: Make, values: dict, words: str) -> None:
    with pytest.raises(DmpelError, match=words):
        make(**values)
