"""What is checked against the live topics before the arm may be moved; every finding names both sides and the remedy."""

from collections.abc import Iterator

from rclpy.node import Node

from dmpel_ros.inbox import Inbox
from dmpel_ros.messages import MessageError
from dmpel_ros.senses import Senses

WATCHERS = ("recorder", "rosbag2", "foxglove_bridge", "rviz", "_ros2cli")
"""How the names of nodes begin that listen to commands and move no arm."""


class Preflight:
    """Compares one node's inputs and outputs with what is on the network."""

    def __init__(self, node: Node, senses: Senses, inbox: Inbox, commands: dict[str, type], *, strict: bool) -> None:
        """Check a node.

        Args:
            node: The node, which sees the network.
            senses: Reads its inputs.
            inbox: Holds the newest message of each input.
            commands: Type of each command topic that it publishes on.
            strict: Whether an input or a listener that is not there yet is a finding.
        """
        self._node, self._senses, self._inbox, self._commands, self._strict = node, senses, inbox, commands, strict

    def findings(self) -> list[str]:
        """Return everything that speaks against activation."""
        found: list[str] = []
        for source, topic in self._senses.topics.items():
            found.extend(self._input(source, topic))
        for topic, kind in self._commands.items():
            found.extend(self._command(topic, kind))
        return found

    def _input(self, source: str, topic: str) -> Iterator[str]:
        entry = self._inbox.entries().get(topic)
        offered = {info.topic_type for info in self._node.get_publishers_info_by_topic(self._node.resolve_topic_name(topic))}
        wanted = _type_name(self._senses.kind(source))
        if offered - {wanted}:
            others = ", ".join(sorted(offered - {wanted}))
            yield f"{topic}: the robot publishes {others}, the node reads {wanted}: set '{source}_topic' or 'compressed_pictures'"
        elif entry is not None:
            yield from self._content(source, entry.message)
        elif self._strict:
            yield f"{topic}: nothing has come from {len(offered) or 'no'} publisher: start the driver, or set '{source}_topic'"

    def _content(self, source: str, message: object) -> Iterator[str]:
        try:
            self._senses.read(source, message)
        except MessageError as error:
            yield str(error)

    def _command(self, topic: str, kind: type) -> Iterator[str]:
        resolved, wanted = self._node.resolve_topic_name(topic), _type_name(kind)
        listening = self._node.get_subscriptions_info_by_topic(resolved)
        listened = {info.topic_type for info in listening if not info.node_name.startswith(WATCHERS)}
        if listened - {wanted}:
            yield f"{topic}: the controller reads {', '.join(sorted(listened - {wanted}))}, the node publishes {wanted}: set 'output'"
        elif not listened and self._strict:
            yield f"{topic}: nobody listens: start the arm's controller, or set the topic"
        if self._node.count_publishers(resolved) > 1:
            yield f"{topic}: another node publishes commands: stop it, an arm can follow one at a time"


def _type_name(kind: type) -> str:
    """Return `package/msg/Name` of a message class."""
    package, folder, _ = kind.__module__.split(".", 2)
    return f"{package}/{folder}/{kind.__name__}"
