"""Nodes whose publishers remember instead of sending, so that one thread and no network are enough to test them."""

from collections.abc import Callable
from typing import Any

import yaml
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node
from rclpy.parameter import Parameter

from dmpel_ros.bridge_node import BridgeNode
from dmpel_ros.locations import config_file
from dmpel_ros.policy_node import PolicyNode
from tests.ros.fakes import SIZE

OWN = {"parameter_events", "/parameter_events", "/rosout"}
"""Topics that rclpy publishes for itself."""


class Recorder:
    """In the place of a publisher."""

    def __init__(self, topic: str, sent: list[tuple[str, Any]], hooks: dict[str, Callable[[Any], None]]) -> None:
        self._topic, self._sent, self._hooks = topic, sent, hooks
        self.topic_name, self.connected = topic, 0

    def get_subscription_count(self) -> int:
        return self.connected

    def publish(self, message: Any) -> None:
        self._sent.append((self._topic, message))
        self._hooks.get(self._topic, lambda _: None)(message)


class Recording(Node):
    """Mixed in before a node: `sent` holds (topic, message) in order, `hooks` are called at once."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.sent: list[tuple[str, Any]] = []
        self.hooks: dict[str, Callable[[Any], None]] = {}
        super().__init__(*arguments, **options)

    def create_publisher(self, kind: Any, topic: str, *arguments: Any, **options: Any) -> Any:
        if topic in OWN:
            return super().create_publisher(kind, topic, *arguments, **options)
        return Recorder(topic, self.sent, self.hooks)

    def topics(self) -> list[str]:
        return [topic for topic, _ in self.sent]

    def on(self, topic: str) -> list[Any]:
        return [message for name, message in self.sent if name == topic]


class RecordingPolicy(Recording, PolicyNode):
    """The policy node."""


class RecordingBridge(Recording, BridgeNode):
    """The bridge."""


def overrides(**values: Any) -> list[Parameter]:
    return [Parameter(name, value=value) for name, value in values.items()]


def for_the_simulation(**values: Any) -> list[Parameter]:
    """Return what config/policy.yaml sets, with a fake library and these values above it."""
    shipped = yaml.safe_load(config_file("policy.yaml").read_text())["/**"]["ros__parameters"]
    return overrides(**(shipped | {"library": "/", "image_size": SIZE} | values))


def status_values(status: DiagnosticStatus) -> dict[str, str]:
    return {pair.key: pair.value for pair in status.values}
