"""What a library says of its actions against what the robot promises, in the form of today and of the first release."""

from dataclasses import replace
from typing import Any

import pytest
from rclpy.context import Context
from rclpy.node import Node

from dmpel_core.training.interface import OBSERVATION
from dmpel_ros import robot
from dmpel_ros.contract import ContractError, Promise, check
from dmpel_ros.parameters import declare
from dmpel_ros.policy_parameters import PARAMETERS

FIRST_RELEASE = {"action": "OSC_POSE delta in [-1, 1] (0.05 m, 0.5 rad), then gripper (-1 open, +1 close)"}


@pytest.fixture(scope="module")
def promise(context: Context) -> Promise:
    """What a robot with the default parameters promises."""
    node = Node("promising", context=context)
    declare(node, PARAMETERS)
    made = robot.promise(node)
    node.destroy_node()
    return made


@pytest.mark.parametrize("observation", [OBSERVATION, OBSERVATION | FIRST_RELEASE], ids=["today", "first release"])
def test_the_default_robot_fits_the_libraries_that_are_trained(observation: dict[str, Any], promise: Promise) -> None:
    check(observation, promise)


@pytest.mark.parametrize(
    ("field", "value", "parameter"),
    [
        ("kind", "joint_positions", "action_kind"),
        ("frame", "tool", "action_frame"),
        ("linear_m", 0.02, "action_linear"),
        ("angular_rad", 0.1, "action_angular"),
        ("chunked", True, "action_kind"),
    ],
)
def test_every_field_that_differs_is_named_with_both_sides_and_its_parameter(
    field: str, value: Any, parameter: str, promise: Promise
) -> None:
    said = {"action": OBSERVATION["action"] | {field: value}}
    with pytest.raises(ContractError, match=rf"action's {field}: .*expects .*, the robot gives .*'{parameter}'") as caught:
        check(OBSERVATION | said, promise)
    assert str(caught.value).count("action's") == 1


def test_the_first_releases_sentence_is_held_against_every_field(promise: Promise) -> None:
    with pytest.raises(ContractError, match=r"action's linear_m: the library expects 0\.05, the robot gives 0\.02"):
        check(OBSERVATION | FIRST_RELEASE, replace(promise, action={**promise.action, "linear_m": 0.02}))


def test_another_sentence_is_refused(promise: Promise) -> None:
    with pytest.raises(ContractError, match="expects 'whatever it takes', the robot gives 'pose_delta'"):
        check(OBSERVATION | {"action": "whatever it takes"}, promise)
