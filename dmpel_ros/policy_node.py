"""The policy node: cameras, joint states and an instruction in, twist and gripper commands out, once per tick.

The main thread ticks: on wall-clock deadlines on a robot, on complete observations in simulated time. The executor's
thread only stores messages. Input that is missing, stale or broken never moves the arm: the node publishes nothing,
says why on /diagnostics, and goes on by itself when the input is back; the arm's controller holds the pose.
"""

import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import TwistStamped
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Float32MultiArray, Float64MultiArray, String
from std_srvs.srv import Trigger

from dmpel_core.errors import DmpelError
from dmpel_core.groups import GROUPS
from dmpel_core.inference.engine import Engine
from dmpel_core.observation import Observation
from dmpel_ros import messages, qos
from dmpel_ros.background import in_thread, run_node, until_shutdown
from dmpel_ros.control import Acted, Controller, Held
from dmpel_ros.inbox import Inbox, Inputs
from dmpel_ros.locations import find_library
from dmpel_ros.parameters import Parameter, declare, read
from dmpel_ros.statistics import TickStatistics

PARAMETERS = (
    Parameter("library", "", "Folder of the library to run; absolute, or relative to the working directory or to the package."),
    Parameter("generation", -1, "Generation of the library to run; -1 takes the one that the library's manifest selects.", -1, 1_000_000),
    Parameter("threads", 1, "Threads that the engine computes with.", 1, 64, read_only=True),
    Parameter("rate", 20.0, "Ticks per second [Hz]; the policy was trained at one rate.", 1.0, 100.0, read_only=True),
    Parameter("image_size", 128, "Width and height of both pictures [pixels].", 16, 1024, read_only=True),
    Parameter("max_observation_age", 0.1, "Oldest observation that is acted on [s].", 0.001, 10.0, read_only=True),
    Parameter("max_input_skew", 0.04, "Largest difference between the stamps of one observation's inputs [s].", 0.0, 1.0, read_only=True),
    Parameter("arm_joints", [f"panda_joint{i}" for i in range(1, 8)], "Names of the seven arm joints, base first.", read_only=True),
    Parameter("finger_joints", ["panda_finger_joint1", "panda_finger_joint2"], "Names of the two finger joints.", read_only=True),
    Parameter(
        "finger_signs", [1.0, -1.0], "Sign of each finger's position in the training data, where drivers publish openings.", read_only=True
    ),
    Parameter("command_frame", "panda_link0", "Frame that the twist is expressed in.", read_only=True),
)

TIMING_FIELDS = ("stamp_s", "compute_ms", "observation_age_ms", "overrun", "generation")

INPUTS = {"agentview": "/agentview/image_raw", "eye_in_hand": "/eye_in_hand/image_raw", "joints": "/joint_states"}

LoadEngine = Callable[[Path, int | None, int], Engine]


def load_library(library: Path, generation: int | None, threads: int) -> Engine:
    """Load an engine; the import is here because a node with another engine needs none of it."""
    from dmpel_core.inference import load_engine

    return load_engine(library, generation, threads)


class PolicyNode(Node):
    """Runs one library on one arm."""

    def __init__(self, load: LoadEngine = load_library, **options: object) -> None:
        """Declare, load the library, connect; `options` go to rclpy's Node."""
        super().__init__("policy", **options)
        declare(self, PARAMETERS)
        self._period = 1.0 / read(self, "rate")
        self._simulated = read(self, "use_sim_time")
        self._engine = load(*self._wanted_library(), read(self, "threads"))
        self._inbox = Inbox(tuple(INPUTS.values()), read(self, "max_input_skew"))
        self._control = Controller(self._engine, self._inbox, self._observation, self._now, read(self, "max_observation_age"))
        self._statistics = TickStatistics()
        self._loading = threading.Lock()
        self._reported_generation = -1
        self._held: Held | None = None
        self._read_model_constants()
        self._advertise()
        self._subscribe()
        self._report_library()

    def _read_model_constants(self) -> None:
        self._size = read(self, "image_size")
        self._arm, self._fingers = list(read(self, "arm_joints")), list(read(self, "finger_joints"))
        self._signs = np.asarray(read(self, "finger_signs"))
        self._frame = read(self, "command_frame")

    def _wanted_library(self) -> tuple[Path, int | None]:
        generation = read(self, "generation")
        return find_library(read(self, "library")), None if generation < 0 else generation

    def _advertise(self) -> None:
        self._gripper = self.create_publisher(Float64MultiArray, "/gripper_controller/commands", qos.COMMAND)
        self._twist = self.create_publisher(TwistStamped, "/servo_node/delta_twist_cmds", qos.COMMAND)
        self._routing = self.create_publisher(Float32MultiArray, "~/routing", qos.REPORT)
        self._timing = self.create_publisher(Float64MultiArray, "~/timing", qos.REPORT)
        self._library = self.create_publisher(DiagnosticStatus, "~/library", qos.LATCHED)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", qos.REPORT)

    def _subscribe(self) -> None:
        for name, kind in (("agentview", Image), ("eye_in_hand", Image), ("joints", JointState)):
            topic = INPUTS[name]
            self.create_subscription(
                kind,
                topic,
                lambda message, topic=topic: self._inbox.put(topic, message, messages.to_nanoseconds(message.header.stamp)),
                qos.SENSOR,
            )
        self.create_subscription(String, "~/instruction", self._on_instruction, qos.LATCHED)
        self.create_service(Trigger, "~/reset", self._on_reset)
        self.create_service(Trigger, "~/load", self._on_load, callback_group=MutuallyExclusiveCallbackGroup())
        # On a clock of its own, because simulated time stands still exactly when somebody wants to know why.
        self.create_timer(1.0, self._report_diagnostics, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _now(self) -> int:
        return self.get_clock().now().nanoseconds

    def _on_instruction(self, message: String) -> None:
        self._control.request_instruction(message.data)

    def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._control.request_reset()
        response.success, response.message = True, "the observation window is forgotten before the next tick"
        return response

    async def _on_load(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success, response.message = await in_thread(self, self._load)
        return response

    def _load(self) -> tuple[bool, str]:
        """Load what the parameters name, beside the running ticks; return success and what to answer."""
        with self._loading:
            try:
                library, generation = self._wanted_library()
                self._engine.load(library, generation)
            except DmpelError as error:
                return False, f"{error}; generation {self._engine.generation} stays in use"
        return (
            True,
            f"{'the selected generation' if generation is None else f'generation {generation}'} is loaded and takes over at the next tick",
        )

    def _observation(self, inputs: Inputs) -> Observation:
        received = inputs.messages
        joints = messages.from_joint_state(received[INPUTS["joints"]], self._arm + self._fingers)
        agentview, eye_in_hand = (messages.from_image(received[INPUTS[camera]], self._size) for camera in ("agentview", "eye_in_hand"))
        return Observation(agentview, eye_in_hand, joints[: len(self._arm)], joints[len(self._arm) :] * self._signs)

    def run(self) -> None:
        """Tick until the context is shut down."""
        deadline = time.perf_counter()
        with until_shutdown(self.context):
            while self.context.ok():
                deadline = max(deadline + self._period, time.perf_counter())
                due = self._wait(deadline)
                if self._control.apply_requests():
                    self._report_library()
                if due:
                    self.step()

    def _wait(self, deadline: float) -> bool:
        """Sleep until it is time to tick; return False when there is nothing to tick on because simulated time rests."""
        remaining = deadline - time.perf_counter()
        if not self._simulated:
            self._inbox.wait(lambda: not self.context.ok(), remaining)
            return self.context.ok()
        if self._inbox.wait(self._control.unseen, remaining):
            return True
        inputs = self._inbox.inputs()
        if inputs is None:
            self._inbox.wait(self._control.unseen, self._period)  # a set may be half arrived: one more period before this counts as a fault
            return True
        return self._now() - inputs.stamp > 1e9 * read(self, "max_observation_age")

    def step(self) -> Acted | Held:
        """Do one tick: act and publish, or hold and remember why."""
        outcome = self._control.tick()
        if isinstance(outcome, Held):
            self._hold(outcome)
        else:
            self._publish(outcome)
        return outcome

    def _hold(self, held: Held) -> None:
        self._statistics.held(held.kind)
        if self._held is None or self._held.kind != held.kind:
            self.get_logger().warning(f"holding: {held.reason}")
        self._held = held

    def _publish(self, acted: Acted) -> None:
        """Publish the gripper first: the twist carries the stamp, so whoever has the twist has the whole action."""
        action = acted.tick.action
        self._gripper.publish(Float64MultiArray(data=[float(action[6])]))
        twist = TwistStamped()
        twist.header.stamp, twist.header.frame_id = messages.to_stamp(acted.stamp), self._frame
        linear, angular = twist.twist.linear, twist.twist.angular
        linear.x, linear.y, linear.z, angular.x, angular.y, angular.z = map(float, action[:6])
        self._twist.publish(twist)
        self._report_tick(acted)

    def _report_tick(self, acted: Acted) -> None:
        compute = time.perf_counter() - acted.began
        overrun = compute > self._period
        self._held = None
        self._statistics.acted(1e3 * compute, 1e3 * acted.age, overrun)
        record = (acted.stamp / 1e9, 1e3 * compute, 1e3 * acted.age, float(overrun), float(acted.tick.generation))
        self._timing.publish(messages.to_record(record, TIMING_FIELDS))
        names = self._engine.expert_names
        if acted.tick.coefficients.shape[1] == len(names):  # not so for the one tick during which a load changes the names
            self._routing.publish(messages.to_table(acted.tick.coefficients, GROUPS, names))
        if acted.tick.generation != self._reported_generation:
            self._report_library()

    def _report_library(self) -> None:
        """Tell, latched, which library and instruction are in use."""
        engine = self._engine
        self._reported_generation = engine.generation
        values = {
            "generation": str(engine.generation),
            "experts": json.dumps(list(engine.expert_names)),
            "instruction": self._control.instruction,
        }
        self._library.publish(
            _status(
                DiagnosticStatus.OK, "policy: library", f"generation {engine.generation} with {len(engine.expert_names)} experts", values
            )
        )

    def _report_diagnostics(self) -> None:
        held = self._held
        level, message = (DiagnosticStatus.OK, "acting") if held is None else (DiagnosticStatus.WARN, f"holding: {held.reason}")
        values = {"generation": str(self._engine.generation), "instruction": self._control.instruction} | self._statistics.values()
        report = DiagnosticArray(status=[_status(level, "policy: control loop", message, values)])
        report.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(report)


def _status(level: bytes, name: str, message: str, values: dict[str, str]) -> DiagnosticStatus:
    pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
    return DiagnosticStatus(level=level, name=name, message=message, hardware_id="dmpel", values=pairs)


def main(arguments: list[str] | None = None, load: LoadEngine = load_library) -> int:
    """Run the node until it is interrupted; return the exit status."""
    return run_node("policy_node", lambda: PolicyNode(load), arguments)


if __name__ == "__main__":
    sys.exit(main())
