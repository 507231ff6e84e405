"""Cameras, joint states and controllers of a robot that is not there, with a switch for everything that can break."""

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import TwistStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.node import Node
from rclpy.parameter_client import AsyncParameterClient
from rclpy.task import Future
from std_msgs.msg import Float64MultiArray, String
from std_srvs.srv import Trigger

from dmpel_ros import messages, qos
from dmpel_ros.bridge_node import JOINTS
from tests.ros.fakes import POSE, SIZE
from tests.ros.recording import status_values

PATIENCE = 100.0
"""How long anything may take on a busy machine [s]; nothing is asserted about time."""

PERIOD = 0.05
SOURCES = ("agentview", "eye_in_hand", "joints")
TRANSITIONS = {
    name: getattr(Transition, f"TRANSITION_{name.upper()}")
    for name in ("configure", "activate", "deactivate", "cleanup", "active_shutdown")
}

Break = Callable[[Any], Any]
"""Takes a message and returns the one to send in its place, or None for none."""


class FakeRobot(Node):
    """Publishes 20 times a second what it sees, and moves its first joint by every twist."""

    def __init__(self, **options: Any) -> None:
        super().__init__("robot", **options)
        self.changed = threading.Condition()
        self.joints, self.frames, self.received = POSE.copy(), 0, Counter[str]()
        self.twists: list[tuple[float, ...]] = []
        self.status = DiagnosticStatus()
        self.library: dict[str, str] = {}
        self.breaks: dict[str, Break] = {}
        self._connect()
        self.create_timer(PERIOD, self._publish)

    def _connect(self) -> None:
        kinds = {"agentview": "/agentview/image_raw", "eye_in_hand": "/eye_in_hand/image_raw"}
        self._out = {name: self.create_publisher(messages.Image, topic, qos.SENSOR) for name, topic in kinds.items()}
        self._out["joints"] = self.create_publisher(messages.JointState, "/joint_states", qos.SENSOR)
        self._instruction = self.create_publisher(String, "/policy/instruction", qos.LATCHED)
        self.create_subscription(TwistStamped, "/servo_node/delta_twist_cmds", self._on_twist, qos.COMMAND)
        self.create_subscription(Float64MultiArray, "/gripper_controller/commands", lambda _: self._count("gripper"), qos.COMMAND)
        self.create_subscription(DiagnosticStatus, "/policy/status", self._on_status, qos.LATCHED)
        self.create_subscription(DiagnosticStatus, "/policy/library", self._on_library, qos.LATCHED)
        names = ("reset", "stop", "clear", "load", "add", "roll_back", "list")
        self._triggers = {name: self.create_client(Trigger, f"/policy/{name}") for name in names}
        self._change = self.create_client(ChangeState, "/policy/change_state")
        self.parameters = AsyncParameterClient(self, "/policy")

    def _count(self, what: str) -> None:
        with self.changed:
            self.received[what] += 1
            self.changed.notify_all()

    def _on_twist(self, message: TwistStamped) -> None:
        linear, angular = message.twist.linear, message.twist.angular
        with self.changed:
            self.twists.append((linear.x, linear.y, linear.z, angular.x, angular.y, angular.z))
            self.joints[0] = (self.joints[0] + 0.2 * linear.x + 1.0) % 2.0 - 1.0
            self.changed.notify_all()

    def _on_status(self, message: DiagnosticStatus) -> None:
        with self.changed:
            self.status = message
            self.changed.notify_all()

    def _on_library(self, message: DiagnosticStatus) -> None:
        with self.changed:
            self.library = status_values(message)
            self.changed.notify_all()

    def _publish(self) -> None:
        self.frames += 1
        stamp = self.get_clock().now().nanoseconds
        pictures = np.full((SIZE, SIZE, 3), self.frames % 256, np.uint8)
        sent = {name: messages.to_image(pictures, stamp, name) for name in ("agentview", "eye_in_hand")}
        positions = np.append(self.joints, [0.04, 0.04])
        for name, message in (sent | {"joints": messages.to_joint_state(JOINTS, positions, stamp)}).items():
            broken = self.breaks.get(name, lambda good: good)(message)
            if broken is not None:
                self._out[name].publish(broken)
        self._count("frames")

    # What a test asks for.

    def wait(self, ready: Callable[[], bool], missing: str) -> None:
        with self.changed:
            assert self.changed.wait_for(ready, PATIENCE), f"{missing}; the policy says: {self.status.message}"

    @property
    def kind(self) -> str:
        return status_values(self.status).get("kind", "")

    @property
    def state(self) -> str:
        return status_values(self.status).get("state", "")

    def instruct(self, text: str) -> None:
        self._instruction.publish(String(data=text))

    def call(self, name: str) -> Trigger.Response:
        return self.answer(self._triggers[name].call_async(Trigger.Request()))

    def change(self, transition: str) -> bool:
        request = ChangeState.Request(transition=Transition(id=TRANSITIONS[transition]))
        return bool(self.answer(self._change.call_async(request)).success)

    def answer(self, future: Future) -> Any:
        def wake(_: Future) -> None:
            with self.changed:
                self.changed.notify_all()

        future.add_done_callback(wake)
        self.wait(future.done, "a service has not answered")
        return future.result()

    def frames_pass(self, number: int) -> None:
        """Wait until so many further observations were published."""
        until = self.received["frames"] + number
        self.wait(lambda: self.received["frames"] >= until, "the robot itself stands still")

    def moves(self) -> None:
        """Wait until the policy says that it acts and the arm has moved three more times."""
        self.wait(lambda: self.kind == "acting", "the policy does not act")
        until = len(self.twists) + 3
        self.wait(lambda: len(self.twists) >= until and any(self.twists[-1]), "the arm does not move")

    def holds(self, kind: str, words: str = "") -> None:
        """Wait until the policy says that it holds for this reason, then see that it commands no motion."""
        self.wait(lambda: self.kind == kind and words in self.status.message, f"the policy does not hold for '{kind}: {words}'")
        self.frames_pass(1)  # the stop that belongs to this hold may still be on its way
        commands, where, grips = len(self.twists), self.joints.copy(), self.received["gripper"]
        self.frames_pass(5)
        assert not any(any(twist) for twist in self.twists[commands:])
        assert self.received["gripper"] == grips
        np.testing.assert_array_equal(self.joints, where)
