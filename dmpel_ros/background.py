"""Spinning beside the main thread, and services whose answer takes long.

The executor runs in a thread of its own and does nothing but store messages; the loop that must keep time owns the
main thread. A timer in the executor would share its thread with every callback, and the multi-threaded executor
loses messages under load.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import rclpy
from rclpy.context import Context
from rclpy.exceptions import NotInitializedException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.task import Future

from dmpel_core.errors import DmpelError


def _spin(executor: SingleThreadedExecutor, ended: threading.Event, faults: list[Exception]) -> None:
    try:
        while executor.context.ok() and not ended.is_set():
            executor.spin_once()
    except ExternalShutdownException:
        return
    except Exception as fault:  # noqa: BLE001 - whatever a callback raised is raised again in the main thread
        if isinstance(fault, RuntimeError) and not executor.context.ok():
            return  # a callback was publishing when the shutdown came
        # A node that receives nothing more must not go on: end it, and let the main thread say what broke.
        faults.append(fault)
        executor.context.try_shutdown()


@contextmanager
def spinning(*nodes: Node) -> Iterator[SingleThreadedExecutor]:
    """Spin nodes of one context in a background thread for as long as the block runs; a callback's exception is raised at its end."""
    executor = SingleThreadedExecutor(context=nodes[0].context)
    for node in nodes:
        executor.add_node(node)
    ended, faults = threading.Event(), list[Exception]()
    thread = threading.Thread(target=_spin, args=(executor, ended, faults), name="executor", daemon=True)
    thread.start()
    try:
        yield executor
    finally:
        # The thread must have left first: shutting down destroys what it may be about to wait for, which ends in a segmentation fault.
        ended.set()
        executor.create_task(lambda: None)  # it returns from its wait for something to do, and not for being woken alone
        thread.join(timeout=2.0)
        executor.shutdown(timeout_sec=0.0)
        if faults:
            raise faults[0]


def run_node(name: str, build: Callable[[], Any], arguments: list[str] | None) -> int:
    """Build a node with a `run` and run it until it is interrupted; return the exit status: 2 and one line for what a user can mend."""
    rclpy.init(args=arguments)
    try:
        with until_shutdown(rclpy.get_default_context()):
            node = build()
        if rclpy.ok():
            with spinning(node):
                node.run()
    except DmpelError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, ExternalShutdownException, NotInitializedException):  # the last: shut down before it was built
        return 0
    finally:
        rclpy.try_shutdown()
    return 0


@contextmanager
def until_shutdown(context: Context) -> Iterator[None]:
    """Build a node or run a loop that publishes; a shutdown may come in the middle of it, and what it breaks is no fault."""
    try:
        yield
    except RuntimeError:
        if context.ok():
            raise


class Answer:
    """An answer that another thread gives, for a service callback that awaits it.

    The callback must be a coroutine in a callback group of its own: in the default group it would keep every other
    callback of the node waiting.
    """

    def __init__(self, node: Node) -> None:
        """Make an open answer for a callback of the node, which must be spinning."""
        self._executor = node.executor
        self.future = Future(executor=self._executor)

    def give(self, value: Any) -> None:
        """Give the answer and wake the executor, which may be asleep with nothing else to do."""
        if not self.future.done():
            self.future.set_result(value)
            self._executor.wake()


def in_thread(node: Node, work: Callable[[], Any]) -> Future:
    """Run `work` in a new thread and return the future of its result; `work` must not raise."""
    answer = Answer(node)
    threading.Thread(target=lambda: answer.give(work()), name="worker", daemon=True).start()
    return answer.future
