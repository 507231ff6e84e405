"""A managed node that survives what rclpy of Jazzy does not, and that can start itself."""

import traceback
from typing import Any

from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from dmpel_core.errors import DmpelError


class ManagedNode(LifecycleNode):
    """A lifecycle node whose transitions fail with a message and never end the process."""

    def __init__(self, name: str, **options: Any) -> None:
        """Start unconfigured; `options` go to rclpy's Node."""
        self._fault: DmpelError | None = None  # why the last transition was refused
        super().__init__(name, **options)

    @property
    def state(self) -> str:
        """The lifecycle state's name, such as inactive; that of a transition while one is under way."""
        return str(self._state_machine.current_state[1])

    def start(self) -> None:
        """Configure and activate.

        Raises:
            DmpelError: One of them failed.
        """
        for trigger in (self.trigger_configure, self.trigger_activate):
            reached = trigger()
            self.on_changed()
            if reached != TransitionCallbackReturn.SUCCESS:
                raise self._fault or DmpelError(f"the node stays {self.state}: its log says what was raised")

    def on_changed(self) -> None:
        """Called after every transition, refused ones included; `state` is the new one."""

    # Jazzy's rclpy lets an illegal request, such as to configure twice, end the node (https://github.com/ros2/rclpy/issues/1209,
    # mended after Jazzy). The names below are those of rclpy's private methods.

    def _LifecycleNodeMixin__on_change_state(self, request: Any, response: Any) -> Any:  # noqa: N802
        try:
            response = super()._LifecycleNodeMixin__on_change_state(request, response)
        except rclpy_implementation.RCLError as error:
            wanted = request.transition.label or request.transition.id
            self.get_logger().error(f"transition {wanted} is refused in state {self.state}: {error}")
            response.success = False
        self.on_changed()
        return response

    def _LifecycleNodeMixin__execute_callback(self, state: int, previous: LifecycleState) -> TransitionCallbackReturn:  # noqa: N802
        """Call a transition's callback; rclpy's own drops what it raises without a word."""
        try:
            return self._callbacks[state](previous)
        except Exception:  # noqa: BLE001 - whatever was raised leads to the error state, and is told
            if self.context.ok():  # otherwise a shutdown came in the middle of it
                self.get_logger().error(f"a transition from {previous.label} raised:\n{traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR


__all__ = ["LifecycleState", "ManagedNode", "TransitionCallbackReturn"]
