"""Runs episodes over ROS 2 and says how they went: sets the scene, gives the instruction, waits for the outcome.

It is a node like any other and knows the two nodes by their topics, services and parameters alone. Every wait ends by
an event or by a time limit whose message names what did not come.
"""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.client import Client
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.parameter_client import AsyncParameterClient
from rclpy.task import Future
from sensor_msgs.msg import Image
from std_msgs.msg import Float32MultiArray, Float64MultiArray, String
from std_srvs.srv import Trigger

from dmpel_core.errors import DmpelError
from dmpel_ros import messages, qos
from dmpel_ros.routing import from_routing

START_TIMEOUT = 120.0
"""How long a node may take from its start to its first answer [s]: it imports the network and reads the library."""

RESET_TIMEOUT = 300.0
"""How long a reset may take [s]: the first one of a task builds its environment."""

ANSWER_TIMEOUT = 30.0
"""How long anything else may take to be answered [s]; loading a generation is the longest."""

TICK_TIMEOUT = 1.0
"""Wall time allowed per tick of an episode [s], several times what a tick with its hold takes."""

GLANCE = 0.5
"""How often a wait looks whether the processes it waits for are still there [s]."""


class EvaluationError(DmpelError):
    """A node did not answer, or refused."""


@dataclass(frozen=True)
class Trial:
    """One episode to run.

    Attributes:
        suite: Suite of the scene.
        task: Index of the task, whose goal decides the outcome.
        instruction: What the policy is told, which a control may choose to be another task's.
        state: Index of the stored initial state.
        reach: How far objects may be moved from it [m].
        seed: Seed of those placements.
        blank: Whether the pictures are black.
        horizon: Ticks after which the episode has failed.
    """

    suite: str
    task: int
    instruction: str
    state: int
    reach: float = 0.0
    seed: int = 0
    blank: bool = False
    horizon: int = 600


@dataclass(frozen=True)
class Frame:
    """A picture with the coefficients of the tick that answered it: (height, width, 3) and (6, experts)."""

    picture: np.ndarray
    coefficients: np.ndarray
    experts: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """How an episode went.

    Attributes:
        trial: What was run.
        success: Whether the goal held before the horizon.
        ticks: Simulated steps.
        missed: Steps on which no action came in time.
        compute_ms: The policy node's time per tick, from inputs to published action [ms].
        age_ms: Age of each tick's observation [ms].
        overruns: Ticks that took longer than their period.
        generations: Library generations that computed the actions.
        real_time_factor: Simulated seconds per second.
        frames: The pictures, where they were recorded.
    """

    trial: Trial
    success: bool
    ticks: int
    missed: int
    compute_ms: tuple[float, ...]
    age_ms: tuple[float, ...]
    overruns: int
    generations: tuple[int, ...]
    real_time_factor: float
    frames: tuple[Frame, ...] = field(default=(), repr=False)


class Evaluator(Node):
    """Drives the bridge and the policy through episodes; must be spinning in another thread."""

    def __init__(self, check: Callable[[], None] = lambda: None, record: bool = False, **options: object) -> None:
        """Connect to both nodes.

        Args:
            check: Called now and then while waiting; raises when waiting has become pointless.
            record: Whether outcomes hold the episode's pictures.
            options: For rclpy's Node.
        """
        super().__init__("evaluator", **options)
        self._check, self._record = check, record
        self._changed = threading.Condition()
        self._ticks: list[dict[str, float]] = []
        self._frames: list[Frame] = []
        self._picture: np.ndarray | None = None
        self._episode: tuple[str, dict[str, str]] = ("", {})
        self._library: dict[str, str] = {}
        self._instruction = self.create_publisher(String, "/policy/instruction", qos.LATCHED)
        self._triggers: dict[str, Client] = {}
        self._setters = {name: AsyncParameterClient(self, name) for name in ("policy", "simulation")}
        self._subscribe()

    def _subscribe(self) -> None:
        self.create_subscription(Float64MultiArray, "/policy/timing", self._on_timing, qos.REPORT)
        self.create_subscription(DiagnosticStatus, "/policy/library", self._on_library, qos.LATCHED)
        self.create_subscription(DiagnosticStatus, "/simulation/episode", self._on_episode, qos.LATCHED)
        if self._record:
            self.create_subscription(Image, "/agentview/image_raw", self._on_picture, qos.SENSOR)
            self.create_subscription(Float32MultiArray, "/policy/routing", self._on_routing, qos.REPORT)

    def _on_timing(self, message: Float64MultiArray) -> None:
        with self._changed:
            self._ticks.append(messages.from_record(message))

    def _on_library(self, message: DiagnosticStatus) -> None:
        with self._changed:
            self._library = {pair.key: pair.value for pair in message.values}
            self._changed.notify_all()

    def _on_episode(self, message: DiagnosticStatus) -> None:
        with self._changed:
            self._episode = message.message, {pair.key: pair.value for pair in message.values}
            self._changed.notify_all()

    def _on_picture(self, message: Image) -> None:
        self._picture = messages.from_image(message, message.height)

    def _on_routing(self, message: Float32MultiArray) -> None:
        """Pair the coefficients with the picture they answer, the last one to come before them."""
        coefficients, experts = from_routing(message)
        if self._picture is not None:
            with self._changed:
                self._frames.append(Frame(self._picture, coefficients, experts))

    def wait_for_nodes(self) -> None:
        """Wait until both nodes answer."""
        for name in ("/policy/reset", "/policy/load", "/simulation/reset"):
            self._offered(name)
        self._wait(lambda: bool(self._library), START_TIMEOUT, "the policy has not said which library it runs")

    @property
    def generation(self) -> int:
        """Library generation that the policy says it runs."""
        return int(self._library["generation"])

    @property
    def experts(self) -> tuple[str, ...]:
        """Names of the experts that the policy says it runs."""
        return tuple(json.loads(self._library["experts"]))

    def run(self, trial: Trial) -> Outcome:
        """Run one episode to its end."""
        self._instruct(trial.instruction)
        self._call("/policy/reset", ANSWER_TIMEOUT)
        with self._changed:
            self._ticks, self._frames = [], []
        self._finish(trial, self._begin(trial))
        return self._outcome(trial)

    def demonstrate(self, trial: Trial) -> Outcome:
        """Have a recorder keep how the simulation's scripted expert solves the task; an episode without success is discarded."""
        self._instruct("")  # the policy holds, and sends nothing more
        number = self._begin(trial)
        self._call("/recorder/begin", ANSWER_TIMEOUT)
        self._call("/simulation/demonstrate", ANSWER_TIMEOUT)
        self._finish(trial, number)
        outcome = self._outcome(trial)
        self._call("/recorder/keep" if outcome.success else "/recorder/discard", ANSWER_TIMEOUT)
        return outcome

    def _instruct(self, instruction: str) -> None:
        self._instruction.publish(String(data=instruction))
        taken_up = f"the policy has not taken up the instruction '{instruction}'"
        self._wait(lambda: self._library["instruction"] == instruction, ANSWER_TIMEOUT, taken_up)

    def _begin(self, trial: Trial) -> str:
        """Set the scene and return the number of the episode that has begun there."""
        self._set_parameters(
            "simulation",
            suite=trial.suite,
            task=trial.task,
            initial_state=trial.state,
            reach=trial.reach,
            seed=trial.seed,
            blank=trial.blank,
            horizon=trial.horizon,
        )
        return self._call("/simulation/reset", RESET_TIMEOUT)

    def _finish(self, trial: Trial, number: str) -> None:
        limit = TICK_TIMEOUT * trial.horizon + ANSWER_TIMEOUT
        self._wait(lambda: self._ended(number), limit, f"the simulation has not ended episode {number}")

    def load(self, generation: int) -> None:
        """Have the policy load another generation of its library while it runs; its next tick is computed by it."""
        self._set_parameters("policy", generation=generation)
        self._call("/policy/load", ANSWER_TIMEOUT)

    def _ended(self, number: str) -> bool:
        message, values = self._episode
        return values.get("episode") == number and message != "running"

    def _outcome(self, trial: Trial) -> Outcome:
        with self._changed:
            ticks, frames, (message, values) = list(self._ticks), list(self._frames), self._episode
        if frames and self._picture is not None:
            frames.append(replace(frames[-1], picture=self._picture))
        return Outcome(
            trial=trial,
            success=message == "success",
            ticks=int(values["ticks"]),
            missed=int(values["missed_actions"]),
            compute_ms=tuple(tick["compute_ms"] for tick in ticks),
            age_ms=tuple(tick["observation_age_ms"] for tick in ticks),
            overruns=sum(int(tick["overrun"]) for tick in ticks),
            generations=tuple(sorted({int(tick["generation"]) for tick in ticks})),
            real_time_factor=float(values["real_time_factor"]),
            frames=tuple(frames),
        )

    def _set_parameters(self, node: str, **values: Any) -> None:
        future = self._setters[node].set_parameters([Parameter(name, value=value) for name, value in values.items()])
        for result in self._result(future, ANSWER_TIMEOUT, f"/{node} has not set its parameters").results:
            if not result.successful:
                raise EvaluationError(f"/{node} refused its parameters {values}: {result.reason}")

    def _call(self, service: str, timeout: float) -> str:
        response = self._result(self._offered(service).call_async(Trigger.Request()), timeout, f"{service} has not answered")
        if not response.success:
            raise EvaluationError(f"{service} failed: {response.message}")
        return response.message

    def _offered(self, service: str) -> Client:
        """Return the client of a service that somebody offers."""
        if service not in self._triggers:
            self._triggers[service] = self.create_client(Trigger, service)
        self._wait(self._triggers[service].service_is_ready, START_TIMEOUT, f"nobody offers the service {service}")
        return self._triggers[service]

    def _result(self, future: Future, timeout: float, missing: str) -> Any:
        future.add_done_callback(self._wake)
        self._wait(future.done, timeout, missing)
        return future.result()

    def _wake(self, _: Future) -> None:
        with self._changed:
            self._changed.notify_all()

    def _wait(self, ready: Callable[[], bool], timeout: float, missing: str) -> None:
        """Sleep until `ready`; after `timeout` [s] say what was missing."""
        end = time.monotonic() + timeout
        with self._changed:
            while not self._changed.wait_for(ready, min(GLANCE, max(0.0, end - time.monotonic()))):
                self._check()
                if time.monotonic() >= end:
                    raise EvaluationError(
                        f"{missing} within {timeout:.0f} s: see that both nodes run and share ROS_DOMAIN_ID, and look into their logs; "
                        f"the policy last told: {self._library or 'nothing'}"
                    )
