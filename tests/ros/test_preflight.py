"""Who counts as a listener before the arm may move; the network is made up."""

from types import SimpleNamespace

import pytest
from geometry_msgs.msg import TwistStamped

from dmpel_ros.inbox import Inbox
from dmpel_ros.preflight import WATCHERS, Preflight

TWIST, FLOATS = "geometry_msgs/msg/TwistStamped", "std_msgs/msg/Float64MultiArray"


def findings(*listeners: tuple[str, str]) -> list[str]:
    """Return what a strict preflight says of one command topic with these listeners, by name and type."""
    infos = [SimpleNamespace(node_name=name, topic_type=kind) for name, kind in listeners]
    node = SimpleNamespace(resolve_topic_name=str, count_publishers=lambda _: 1, get_subscriptions_info_by_topic=lambda _: infos)
    senses = SimpleNamespace(topics={})
    return Preflight(node, senses, Inbox((), 0.1), {"/arm": TwistStamped}, strict=True).findings()


def test_a_controller_is_enough() -> None:
    assert findings(("servo_node", TWIST)) == []
    assert findings(("recorder", TWIST), ("servo_node", TWIST)) == []


@pytest.mark.parametrize("name", [*WATCHERS, "rosbag2_recorder", "rviz2", "_ros2cli_1234"])
def test_who_only_watches_is_no_listener(name: str) -> None:
    (said,) = findings((name, TWIST))
    assert "nobody listens" in said


def test_a_watcher_of_another_type_hides_nothing() -> None:
    assert findings(("foxglove_bridge", FLOATS), ("servo_node", TWIST)) == []
    (said,) = findings(("foxglove_bridge", TWIST), ("arm_controller", FLOATS))
    assert f"the controller reads {FLOATS}" in said
