"""Spinning beside the main thread."""

import threading

import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_msgs.msg import String

from dmpel_ros import qos
from dmpel_ros.background import run_node, spinning, until_shutdown


@pytest.fixture
def node(domain: int) -> Node:
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    return Node("spun", context=context)


def test_what_a_callback_raises_ends_the_node_and_is_raised_in_the_main_thread(node: Node) -> None:
    def fail() -> None:
        raise LookupError("no such thing")

    node.create_timer(0.01, fail)
    with pytest.raises(LookupError, match="no such thing"):
        spin_until_ended(node)
    node.destroy_node()


def spin_until_ended(node: Node) -> None:
    with spinning(node) as executor:
        while node.context.ok():
            executor.wake()


def test_an_executor_is_shut_down_when_its_thread_has_left_it(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[bool] = []
    shut_down = SingleThreadedExecutor.shutdown

    def watched(executor: SingleThreadedExecutor, timeout_sec: float | None = None) -> bool:
        left.append(not any(thread.name == "executor" for thread in threading.enumerate()))
        return shut_down(executor, timeout_sec)

    monkeypatch.setattr(SingleThreadedExecutor, "shutdown", watched)
    with spinning(node):
        assert any(thread.name == "executor" for thread in threading.enumerate())
    assert left == [True]
    node.context.try_shutdown()
    node.destroy_node()


def test_a_shutdown_in_the_middle_of_publishing_is_no_fault(node: Node) -> None:
    publisher = node.create_publisher(String, "~/text", qos.COMMAND)
    with until_shutdown(node.context):
        node.context.try_shutdown()
        publisher.publish(String())
        pytest.fail("publishing without a context must raise")
    node.destroy_node()


def test_a_shutdown_in_the_middle_of_a_callback_is_no_fault(node: Node) -> None:
    publisher = node.create_publisher(String, "~/text", qos.COMMAND)
    raised: list[Exception] = []

    def publish() -> None:
        node.context.try_shutdown()
        try:
            publisher.publish(String())
        except RuntimeError as fault:
            raised.append(fault)
            raise

    node.create_timer(0.01, publish)
    spin_until_ended(node)
    assert len(raised) == 1
    node.destroy_node()


def test_a_shutdown_while_a_node_is_built_is_no_fault() -> None:
    def build() -> Node:
        rclpy.get_default_context().try_shutdown()
        return Node("too_late")

    assert run_node("too_late", build, None) == 0


def test_other_faults_are_not_hidden(node: Node) -> None:
    with pytest.raises(RuntimeError, match="something else"), until_shutdown(node.context):
        raise RuntimeError("something else")
    node.context.try_shutdown()
    node.destroy_node()
