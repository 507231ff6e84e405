"""The policy node: cameras, joint states and an instruction in, arm and gripper commands out, once per tick.

A managed node: configuring reads the library and warms up, activating checks the robot and lets it move, deactivating
holds, cleaning up frees. The main thread ticks: on wall-clock deadlines on a robot, on complete observations in simulated
time. The executor's thread only stores messages and answers services. Input that is missing, stale or broken never
moves the arm: the node holds, says why on ~/status and /diagnostics, and goes on by itself when the input is back.
"""

import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.parameter import Parameter
from std_msgs.msg import String
from std_srvs.srv import Trigger

from dmpel_core.errors import DmpelError
from dmpel_ros import qos, robot
from dmpel_ros.assembly import Assembly, assemble
from dmpel_ros.background import in_thread, run_node, until_shutdown
from dmpel_ros.catalogue import Catalogue, LibraryCatalogue
from dmpel_ros.condition import Condition, Situation, condition
from dmpel_ros.contract import ContractError
from dmpel_ros.engines import LoadEngine, load_library
from dmpel_ros.inbox import Inbox
from dmpel_ros.lifecycle import LifecycleState, ManagedNode, TransitionCallbackReturn
from dmpel_ros.locations import find_library
from dmpel_ros.messages import MessageError
from dmpel_ros.outcome import Acted, Held
from dmpel_ros.parameters import declare, read
from dmpel_ros.policy_parameters import ENGINE, PARAMETERS
from dmpel_ros.skills import Answer
from dmpel_ros.telemetry import Telemetry
from dmpel_ros.watch import Watch

NUMBER = re.compile(r"\d+(\.\d+)?")

SOURCES = ("agentview", "eye_in_hand", "joints")

PATIENCE = 2.0
"""How long a request waits for the tick that is under way [s]; one that hangs finds the arm stopped when it ends."""

NOT_CONFIGURED = (False, "the node is not configured: ask for the transition `configure` first")


class PolicyNode(ManagedNode):
    """Runs one library on one arm."""

    def __init__(self, load: LoadEngine = load_library, catalogue: Catalogue | None = None, **options: object) -> None:
        """Declare, and start where the parameter `autostart` says so; `options` go to rclpy's Node.

        Raises:
            DmpelError: It should start and cannot.
        """
        super().__init__("policy", **options)
        declare(self, PARAMETERS)
        self._load, self._catalogue = load, catalogue
        self._period, self._simulated = 1.0 / read(self, "rate"), read(self, "use_sim_time")
        self._topics = {source: read(self, f"{source}_topic") for source in SOURCES}
        self._inbox = Inbox(tuple(self._topics.values()), read(self, "max_input_skew"))
        self._telemetry = Telemetry(self, self._period, self._simulated)
        self._watch = Watch(self, read(self, "alarm_ticks"), read(self, "alarm"))
        self._stepping = threading.Lock()  # held for one tick
        self._telling = threading.Lock()  # both threads tell, and the last word must be the latest
        self._parts: Assembly | None = None
        self._active = threading.Event()
        self._early_instruction: str | None = None
        self._outcome: Acted | Held | None = None
        self._tick_began: float | None = None
        self._told: tuple[object, ...] = ()
        self._reported_generation = -1
        self._offer_services()
        self._tell()
        if read(self, "autostart"):
            self.start()

    def _offer_services(self) -> None:
        self.create_subscription(String, "~/instruction", self._on_instruction, qos.LATCHED)
        self.create_publisher(String, "~/instruction", qos.LATCHED)  # never used: Foxglove's bridge publishes as others do on a topic
        self.create_service(Trigger, "~/reset", self._answering(self._reset))
        self.create_service(Trigger, "~/stop", self._answering(self._stop))
        self.create_service(Trigger, "~/clear", self._answering(self._clear))
        for name, work in (("load", self._load_wanted), ("add", self._add_wanted), ("roll_back", self._roll_back), ("list", self._list)):
            self.create_service(Trigger, f"~/{name}", self._answering_later(work), callback_group=MutuallyExclusiveCallbackGroup())
        # On a clock of its own, because simulated time stands still exactly when somebody wants to know why.
        self.create_timer(1.0, self._report_diagnostics, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _now(self) -> int:
        return self.get_clock().now().nanoseconds

    # Transitions, in the executor's thread.

    def on_configure(self, _: LifecycleState) -> TransitionCallbackReturn:
        """Read the library, compare it with the robot's parameters, warm up, connect."""
        try:
            wanted, signed_by = self._wanted_library(), robot.signed_by(self)
            self._parts = assemble(
                self,
                lambda: self._load(*wanted, {row.name: read(self, row.name) for row in ENGINE} | {"signed_by": signed_by}),
                self._catalogue or LibraryCatalogue(signed_by),
                wanted,
                self._inbox,
                self._topics,
                self._now,
            )
        except DmpelError as error:
            return self._refuse(error)
        if self._early_instruction is not None:
            self._parts.control.request("instruction", self._early_instruction)
        self._fault = self._early_instruction = None
        with self._between_ticks():
            self._report_library(self._parts)
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, _: LifecycleState) -> TransitionCallbackReturn:
        """Check the live topics, then let the arm move."""
        parts = self._parts
        assert parts is not None
        findings = parts.preflight.findings()
        if findings:
            return self._refuse(ContractError("the arm stays still: " + "; ".join(findings)))
        for what in ("rest", "reset", "clear"):
            parts.control.request(what)
        self._apply_requests()
        with self._stepping:
            self._fault = self._outcome = None
            self._active.set()
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, _: LifecycleState) -> TransitionCallbackReturn:
        """Hold; when this is answered no further action is published."""
        self._active.clear()
        with self._between_ticks():
            self._hold_arm()
        return TransitionCallbackReturn.SUCCESS

    def on_cleanup(self, _: LifecycleState) -> TransitionCallbackReturn:
        """Free the library and disconnect."""
        self._free()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, _: LifecycleState) -> TransitionCallbackReturn:
        """Hold, then free."""
        self._free()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, _: LifecycleState) -> TransitionCallbackReturn:
        """Hold, then free; the node can be configured again."""
        self._free()
        return TransitionCallbackReturn.SUCCESS

    def _free(self) -> None:
        was_active = self._active.is_set()
        self._active.clear()
        with self._between_ticks():
            if was_active:
                self._hold_arm()
            parts, self._parts, self._outcome = self._parts, None, None
        if parts is not None:
            parts.connections.close()
        self._inbox.clear()

    def _refuse(self, fault: DmpelError) -> TransitionCallbackReturn:
        self._fault = fault
        return TransitionCallbackReturn.FAILURE

    @contextmanager
    def _between_ticks(self) -> Iterator[None]:
        """Let the tick that is under way end first, unless it hangs."""
        ended = self._stepping.acquire(timeout=PATIENCE)
        try:
            yield
        finally:
            if ended:
                self._stepping.release()

    # Requests, in the executor's thread or a worker's.

    def _on_instruction(self, message: String) -> None:
        if self._parts is None:
            self._early_instruction = message.data
        else:
            self._parts.control.request("instruction", message.data)

    def _answering(self, work: Callable[[Assembly], str]) -> Callable[[Trigger.Request, Trigger.Response], Trigger.Response]:
        """Return a service callback that does quick work on the configured node."""

        def answer(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            parts = self._parts
            response.success, response.message = NOT_CONFIGURED if parts is None else (True, work(parts))
            return response

        return answer

    def _answering_later(self, work: Callable[[Assembly], Answer]) -> Callable[..., object]:
        """Return a service callback that has its work done by a thread of its own."""

        async def answer(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            parts = self._parts
            response.success, response.message = NOT_CONFIGURED if parts is None else await in_thread(self, lambda: work(parts))
            return response

        return answer

    def _reset(self, parts: Assembly) -> str:
        parts.control.request("reset")
        self._watch.reset()
        return "the observation window is forgotten before the next tick"

    def _stop(self, parts: Assembly) -> str:
        parts.control.request("stop", "somebody called ~/stop; call ~/clear to go on")
        with self._between_ticks():
            return "no further action is published until ~/clear"

    def _clear(self, parts: Assembly) -> str:
        parts.control.request("clear")
        self._watch.reset()
        return "the next tick acts if it can"

    def _wanted_library(self) -> tuple[Path, int | None]:
        generation = read(self, "generation")
        return find_library(read(self, "library")), None if generation < 0 else generation

    def _load_wanted(self, parts: Assembly) -> Answer:
        """Load what the parameters name, beside the running ticks."""
        try:
            wanted = self._wanted_library()
        except DmpelError as error:
            return False, f"{error}; generation {parts.skills.number} stays in use"
        return parts.skills.load(*wanted)

    def _add_wanted(self, parts: Assembly) -> Answer:
        """Take the expert file that the parameter names into the running library and load it."""
        file = read(self, "expert_file")
        if not file:
            return False, f"no file is named: set the parameter 'expert_file'; generation {parts.skills.number} stays in use"
        return self._noted(parts, parts.skills.add(Path(file)))

    def _roll_back(self, parts: Assembly) -> Answer:
        return self._noted(parts, parts.skills.roll_back())

    def _noted(self, parts: Assembly, answer: Answer) -> Answer:
        """Let the parameter say which generation was loaded."""
        success, message = answer
        if success:
            self.set_parameters([Parameter("generation", value=parts.skills.number)])
        return success, message

    def _list(self, parts: Assembly) -> Answer:
        return parts.skills.contents()

    # The loop, in the main thread.

    def run(self) -> None:
        """Tick until the context is shut down, then say how it went."""
        deadline = time.perf_counter()
        try:
            with until_shutdown(self.context):
                while self.context.ok():
                    deadline = max(deadline + self._period, time.perf_counter())
                    due = self._wait(deadline)
                    self.step() if due else self._apply_requests()
        finally:
            print(f"{self.get_name()}: {self._telemetry.statistics.report(1.0 / self._period)}", flush=True)

    def _wait(self, deadline: float) -> bool:
        """Sleep until it is time to tick; return False when there is nothing to tick on because simulated time rests."""
        remaining, parts = deadline - time.perf_counter(), self._parts
        if not self._simulated or parts is None or not self._active.is_set():
            self._inbox.wait(lambda: not self.context.ok(), remaining)
            return self.context.ok()
        if self._inbox.wait(parts.control.unseen, remaining):
            return True
        inputs = self._inbox.inputs()
        if inputs is None:
            self._inbox.wait(parts.control.unseen, self._period)  # a set may be half arrived: one more period before this counts as a fault
            return True
        return self._now() - inputs.stamp > 1e9 * read(self, "max_picture_age")

    def _apply_requests(self) -> None:
        with self._stepping:
            parts = self._parts
            asked = () if parts is None else parts.control.apply_requests()
            if parts is not None and "instruction" in asked:
                self._report_library(parts)
            if "reset" in asked:
                self._telemetry.statistics.pause()

    def step(self) -> Acted | Held | None:
        """Do one tick: act and publish, or hold and tell why; None while the node is not active."""
        self._apply_requests()
        with self._stepping:
            parts = self._parts
            if parts is None or not self._active.is_set():
                self._telemetry.statistics.pause()
                return None
            self._tick_began = time.monotonic()
            outcome = parts.control.tick()
            self._tick_began = None
            if not self._active.is_set():  # since this tick began
                return None
            self._outcome = outcome
            if isinstance(outcome, Held):
                self._hold(outcome)
            else:
                self._act(parts, outcome)
                parts.control.catch_up()
            if parts.control.trace is not None:
                self._telemetry.trace(parts.control.trace)
        return outcome

    def _act(self, parts: Assembly, acted: Acted) -> None:
        """Publish the gripper first: the arm's command carries the stamp, so whoever has it has the whole action."""
        parts.connections.gripper.publish(parts.gripper.command(float(acted.tick.action[6])))
        parts.output.act(acted)
        self._telemetry.tick(acted, parts.engine.expert_names)
        strange = self._watch.tick(acted.tick.insight)
        if strange is not None:
            parts.control.request("stop", strange)
        if acted.tick.generation != self._reported_generation:
            self._report_library(parts)
        self._tell()

    def _hold(self, held: Held) -> None:
        self._telemetry.statistics.held(held.kind)
        self._hold_arm()
        self._tell()

    def _hold_arm(self) -> None:
        if self._parts is not None:
            self._parts.output.hold(self._measured(self._parts), self._now())

    def _measured(self, parts: Assembly) -> np.ndarray | None:
        """Return where the arm was last seen, (joints,) [rad], or None."""
        entry = self._inbox.entries().get(self._topics["joints"])
        try:
            return None if entry is None else parts.senses.arm(entry.message)
        except MessageError:
            return None

    # Reports.

    def on_changed(self) -> None:
        """Tell the new state."""
        self._tell()

    def _report_library(self, parts: Assembly) -> None:
        self._reported_generation = parts.engine.generation
        self._telemetry.library(parts.engine.generation, parts.engine.expert_names, parts.control.instruction)

    def _report_diagnostics(self) -> None:
        self._tell()
        now = self._condition()
        self._telemetry.diagnostics(now.level, now.message, self._values(now))

    def _tell(self) -> None:
        """Publish the condition on ~/status where it is another one than before."""
        with self._telling:
            now = self._condition()
            told = now.level, self.state, now.kind, NUMBER.sub("", now.message)  # an age is another one on every tick
            if told == self._told:
                return
            self._told = told
            self._telemetry.status(now.level, now.message, self._values(now))
        if now.level != DiagnosticStatus.OK:
            self.get_logger().warning(now.message)

    def _values(self, now: Condition) -> dict[str, str]:
        values, parts = {"state": self.state, "kind": now.kind}, self._parts
        if parts is not None:
            values |= {"generation": str(parts.engine.generation), "instruction": parts.control.instruction}
        return values

    def _condition(self) -> Condition:
        began = self._tick_began
        computing = 0.0 if began is None else time.monotonic() - began
        seen = Situation(self.state, self._active.is_set(), self._simulated, self._fault, self._outcome, computing, self._quiet())
        return condition(seen)

    def _quiet(self) -> float:
        """Return how long nothing has come [s]; 0 before anything has."""
        entries = self._inbox.entries()
        return min((self._inbox.arrival() - entry.received for entry in entries.values()), default=0.0)


def main(arguments: list[str] | None = None, load: LoadEngine = load_library, catalogue: Catalogue | None = None) -> int:
    """Run the node until it is interrupted; return the exit status."""
    return run_node("policy_node", lambda: PolicyNode(load, catalogue), arguments)


if __name__ == "__main__":
    sys.exit(main())
