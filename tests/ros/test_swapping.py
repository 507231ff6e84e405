"""Experts come and go while the arm moves: the policy node as a user starts it, with the engine that robots run."""

from collections.abc import Iterator

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.parameter import Parameter
from std_msgs.msg import Float32MultiArray
from std_srvs.srv import Trigger

from dmpel_ros import messages, qos
from tests.core.conftest import TINY
from tests.core.engines import make_exported
from tests.ros.bench import Bench, on_bench
from tests.ros.fake_robot import TRANSITIONS, ChangeState, Transition
from tests.ros.fakes import SIZE
from tests.ros.recording import status_values

pytestmark = pytest.mark.fault


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A robot that moves by three experts, all of them mixed at every tick."""
    folder = tmp_path_factory.mktemp("swapping")
    make_exported(folder / "library", TINY, 3, side=SIZE)
    with on_bench(folder, folder / "library", "dmpel_ros.policy_node") as made:
        made.robot.instruct("open the drawer")
        yield made


class Listener:
    """What the policy tells of every tick and every hold, in the order in which it comes."""

    def __init__(self, bench: Bench) -> None:
        self.robot = bench.robot
        self.ticks: list[tuple[str, dict[str, np.ndarray]]] = []
        self.kinds: list[str] = []
        self._subscriptions = [
            self.robot.create_subscription(Float32MultiArray, "/policy/routing", self._on_routing, qos.REPORT),
            self.robot.create_subscription(DiagnosticStatus, "/policy/status", self._on_status, qos.LATCHED),
        ]

    def _on_routing(self, message: Float32MultiArray) -> None:
        values, ((generation,), _, columns) = messages.from_table(message)
        with self.robot.changed:
            self.ticks.append((generation, dict(zip(columns[:-1], values[0].T, strict=False))))
            self.robot.changed.notify_all()

    def _on_status(self, message: DiagnosticStatus) -> None:
        self.kinds.append(status_values(message)["kind"])

    def hear(self, generation: str) -> None:
        """Wait for three ticks of a generation."""
        self.robot.wait(lambda: sum(told == generation for told, _ in self.ticks) >= 3, f"no ticks of {generation}")

    def close(self) -> None:
        for subscription in self._subscriptions:
            self.robot.destroy_subscription(subscription)


@pytest.fixture
def listener(bench: Bench) -> Iterator[Listener]:
    bench.robot.moves()
    made = Listener(bench)
    yield made
    made.close()


def test_an_expert_is_unloaded_while_it_acts(bench: Bench, listener: Listener) -> None:
    listener.hear("generation 3")
    assert bench.robot.call("roll_back").success
    listener.hear("generation 2")
    bench.robot.moves()
    told = [generation for generation, _ in listener.ticks]
    change = told.index("generation 2")
    assert told == ["generation 3"] * change + ["generation 2"] * (len(told) - change)
    assert listener.ticks[change - 1][1]["skill 2"].max() > 0, "it must have been in use for this to say anything"
    assert {tuple(coefficients) for _, coefficients in listener.ticks[change:]} == {("skill 0", "skill 1")}
    assert set(listener.kinds) == {"acting"}


def test_a_load_during_activation_is_done_beside_it(bench: Bench, listener: Listener) -> None:
    robot = bench.robot
    robot.answer(robot.parameters.set_parameters([Parameter("generation", value=1)]))
    assert robot.change("deactivate")
    load = robot._triggers["load"].call_async(Trigger.Request())
    activation = robot._change.call_async(ChangeState.Request(transition=Transition(id=TRANSITIONS["activate"])))
    assert (robot.answer(load).success, robot.answer(activation).success) == (True, True)
    listener.hear("generation 1")
    robot.moves()
