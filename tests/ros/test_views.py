"""The Foxglove layout and the RViz configuration: every topic and service that they name is one of ours, of the right type."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import yaml
from rclpy.context import Context
from rclpy.node import Node

from dmpel_ros.bridge_node import BridgeNode
from dmpel_ros.episode import Stage
from dmpel_ros.locations import config_file
from dmpel_ros.policy_node import PolicyNode
from dmpel_ros.recorder import RecorderNode
from tests.ros.fakes import SIZE, FakeCatalogue, FakeEngine, build_fake
from tests.ros.recording import for_the_simulation, overrides

DISPLAYS = {"rviz_default_plugins/Image": "Image", "rviz_default_plugins/TwistStamped": "TwistStamped"}


@pytest.fixture(scope="module")
def nodes(context: Context, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Node]]:
    """The three nodes as they are configured for the simulation."""
    folder = str(tmp_path_factory.mktemp("recordings"))
    with ExitStack() as stack:
        made = [
            PolicyNode(FakeEngine, FakeCatalogue(), context=context, parameter_overrides=for_the_simulation()),
            BridgeNode(Stage(SIZE, 2, build_fake), context=context),
            RecorderNode(context=context, parameter_overrides=overrides(folder=folder)),
        ]
        for node in made:
            stack.callback(node.destroy_node)
        stack.callback(made[2].close)
        yield made


@pytest.fixture(scope="module")
def published(nodes: list[Node]) -> dict[str, type]:
    return {publisher.topic_name: publisher.msg_type for node in nodes for publisher in node.publishers}


@pytest.fixture(scope="module")
def panels() -> dict[str, dict[str, Any]]:
    return json.loads(config_file("foxglove.json").read_text())["configById"]


def field(kind: type, path: str) -> Any:
    """Follow a message path such as twist.linear.x or data[1] from a type; fail where there is no such field."""
    message = kind()
    for name, index in re.findall(r"(\w+)(\[\d*:?\d*\])?", path):
        message = getattr(message, name)
        assert not index or hasattr(message, "__len__")
    return message


def test_every_topic_of_the_layout_is_published_with_the_fields_that_are_plotted(panels: Any, published: dict[str, type]) -> None:
    plotted = [path["value"] for panel in panels.values() for path in panel.get("paths", ())]
    for value in plotted:
        topic, _, path = value.partition(".")
        field(published[topic], path)
    shown = {panel["imageMode"]["imageTopic"] for name, panel in panels.items() if name.startswith("Image!")}
    told = {panel["topicPath"] for name, panel in panels.items() if name.startswith("RawMessages!")}
    told |= {panel["topicToRender"] for name, panel in panels.items() if name.startswith("DiagnosticSummary!")}
    assert {published[topic].__name__ for topic in shown} == {"Image"}
    assert told <= published.keys()
    assert len(plotted) >= 4
    assert len(shown | told) >= 7


def test_every_button_calls_a_service_and_the_instruction_goes_where_it_is_read(panels: Any, nodes: list[Node]) -> None:
    offered = {node.resolve_service_name(service.srv_name) for node in nodes for service in node.services}
    called = {panel["serviceName"] for name, panel in panels.items() if name.startswith("CallService!")}
    assert {"/policy/stop", "/policy/load"} <= called <= offered
    said = panels["Publish!instruction"]
    heard = {each.topic_name: each.msg_type for each in nodes[0].subscriptions}
    assert said["datatype"] == f"std_msgs/msg/{heard[said['topicName']].__name__}"
    field(heard[said["topicName"]], *json.loads(said["value"]))


def test_every_panel_has_its_place(panels: Any) -> None:
    def leaves(part: Any) -> list[str]:
        return [part] if isinstance(part, str) else leaves(part["first"]) + leaves(part["second"])

    assert sorted(leaves(json.loads(config_file("foxglove.json").read_text())["layout"])) == sorted(panels)


def test_every_display_of_rviz_shows_a_published_topic_of_its_type(published: dict[str, type]) -> None:
    displays = yaml.safe_load(config_file("dmpel.rviz").read_text())["Visualization Manager"]["Displays"]
    shown = {display["Topic"]["Value"]: display["Class"] for display in displays if "Topic" in display}
    assert {topic: published[topic].__name__ for topic in shown} == {topic: DISPLAYS[kind] for topic, kind in shown.items()}
    assert len(shown) == 3
