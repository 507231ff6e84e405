"""What happens when a process dies: a LIBERO task in MuJoCo, the policy and the bridge as processes.

The tests run in this order: the second one leaves no policy.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.context import Context
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger

from dmpel_ros import messages, qos
from dmpel_ros.background import spinning
from dmpel_ros.bridge_node import FIRST_TIME
from dmpel_ros.policy_parameters import PANDA_JOINTS
from dmpel_ros.processes import Processes, private_network
from dmpel_ros.session import ros_arguments
from tests.ros.fake_robot import PATIENCE
from tests.ros.recording import status_values
from tests.ros.small_library import make_small_library

pytestmark = pytest.mark.fault

STOPPING, DRIFT = 0.05, 0.005
"""How far a joint may go until the arm has come to rest, and how far after that [rad]."""

BRAKING = 8
"""Steps in which the arm comes to rest: the action that was on its way, then its controller's damping."""

BUILDING = 120.0
"""How long the first reset may take [s]: it builds the environment."""


SIMULATION = ros_arguments("simulation.yaml", horizon=100_000, action_timeout=0.1)


class Watcher(Node):
    """Sees the arm's joints and the policy's status, and starts the episode."""

    def __init__(self, context: Context) -> None:
        super().__init__("watcher", context=context)
        self._changed = threading.Condition()
        self.path: list[np.ndarray] = []
        self.times: list[int] = []
        self.status = DiagnosticStatus()
        self.create_subscription(JointState, "/joint_states", self._on_joints, qos.SENSOR)
        self.create_subscription(Clock, "/clock", self._on_clock, qos.SENSOR)
        self.create_subscription(DiagnosticStatus, "/policy/status", self._on_status, qos.LATCHED)
        self.instruction = self.create_publisher(String, "/policy/instruction", qos.LATCHED)
        self.reset = self.create_client(Trigger, "/simulation/reset")

    def _on_joints(self, message: JointState) -> None:
        with self._changed:
            self.path.append(messages.from_joint_state(message, PANDA_JOINTS))
            self._changed.notify_all()

    def _on_clock(self, message: Clock) -> None:
        with self._changed:
            self.times.append(messages.to_nanoseconds(message.clock))
            self._changed.notify_all()

    def _on_status(self, message: DiagnosticStatus) -> None:
        with self._changed:
            self.status = message
            self._changed.notify_all()

    def wait(self, ready: Callable[[], bool], patience: float = PATIENCE) -> None:
        with self._changed:
            assert self._changed.wait_for(ready, patience), f"the policy says: {self.status.message}"

    def steps(self, number: int) -> None:
        until = len(self.path) + number
        self.wait(lambda: len(self.path) >= until)

    def kind(self) -> str:
        return status_values(self.status).get("kind", "")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Processes, Watcher]]:
    """An episode in which the arm moves."""
    tmp_path = tmp_path_factory.mktemp("simulation")
    make_small_library(tmp_path / "library", size=128)
    with ExitStack() as stack:
        environment = stack.enter_context(private_network())
        path = os.pathsep.join([str(Path(__file__).parents[2]), environment.get("PYTHONPATH", "")])
        processes = Processes(tmp_path, {**environment, "PYTHONPATH": path})
        stack.callback(processes.stop)
        library = tmp_path / "library"
        processes.start("policy", "tests.ros.scripted_policy", ros_arguments("policy.yaml", use_sim_time=True, library=library))
        processes.start("simulation", "dmpel_ros.bridge_node", SIMULATION)
        context = Context()
        rclpy.init(context=context, domain_id=int(environment["ROS_DOMAIN_ID"]))
        stack.callback(context.try_shutdown)
        watcher = Watcher(context)
        stack.callback(watcher.destroy_node)
        stack.enter_context(spinning(watcher))
        watcher.instruction.publish(String(data="move"))
        assert watcher.reset.wait_for_service(PATIENCE)
        begun = watcher.reset.call_async(Trigger.Request())
        watcher.wait(lambda: begun.done() and watcher.kind() == "acting", BUILDING)
        start = watcher.path[-1]
        watcher.wait(lambda: bool(np.abs(watcher.path[-1] - start).max() > STOPPING))
        yield processes, watcher


def test_the_policy_says_that_the_simulation_has_ended_and_goes_on_with_a_new_one(running: tuple[Processes, Watcher]) -> None:
    processes, watcher = running
    processes._running["simulation"].kill()
    processes._running["simulation"].wait()
    watcher.wait(lambda: watcher.kind() == "clock")
    assert "the simulation is paused or has ended" in watcher.status.message
    processes.start("simulation", "dmpel_ros.bridge_node", SIMULATION)
    watcher.wait(lambda: watcher.count_publishers("/joint_states") > 0 and watcher.times[-1] == FIRST_TIME)
    begun = watcher.reset.call_async(Trigger.Request())
    watcher.path.clear()
    watcher.wait(lambda: begun.done() and watcher.kind() == "acting" and len(watcher.path) > 5, BUILDING)  # though its clock jumped back


def test_the_simulated_arm_stays_where_it_is_when_the_policy_is_killed(running: tuple[Processes, Watcher]) -> None:
    processes, watcher = running
    processes._running["policy"].kill()
    processes._running["policy"].wait()
    held = len(watcher.path)
    watcher.steps(40)
    path = np.array(watcher.path[held - 1 :])
    stopping, drift = np.abs(path[:BRAKING] - path[0]).max(), np.abs(path[BRAKING:] - path[BRAKING]).max()
    assert stopping < STOPPING
    assert drift < DRIFT
