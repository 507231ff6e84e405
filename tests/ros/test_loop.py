"""Bridge, policy and evaluator in one process over real topics, with a small arm and a small engine."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import rclpy
from domain_coordinator import domain_id
from rclpy.context import Context

from dmpel_core.errors import DmpelError
from dmpel_ros.background import spinning
from dmpel_ros.bridge_node import BridgeNode
from dmpel_ros.episode import Stage
from dmpel_ros.evaluator import EvaluationError, Evaluator, Outcome, Trial
from dmpel_ros.policy_node import PolicyNode
from tests.ros.fakes import GOAL_TICKS, SIZE, FakeCatalogue, FakeEngine, build_fake
from tests.ros.recording import for_the_simulation, overrides

TRIAL = Trial("libero_goal", 0, "do task 0", 40, horizon=20)


@dataclass
class Loop:
    """The three nodes, running."""

    engine: FakeEngine
    evaluator: Evaluator


@pytest.fixture(scope="module")
def loop(domain: int) -> Iterator[Loop]:
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    # Time limits of seconds: how long a busy machine takes is not what is tested here.
    bridge = BridgeNode(
        Stage(SIZE, 2, build_fake), context=context, parameter_overrides=overrides(real_time_factor=0.0, action_timeout=5.0)
    )
    patient = for_the_simulation(use_sim_time=True, max_picture_age=5.0, max_joints_age=5.0)
    policy = PolicyNode(FakeEngine, FakeCatalogue(), context=context, parameter_overrides=patient)
    evaluator = Evaluator(record=True, context=context)
    with ExitStack() as stack:
        for node in (bridge, policy, evaluator):
            stack.callback(node.destroy_node)
            stack.enter_context(spinning(node))
        threads = [threading.Thread(target=node.run) for node in (bridge, policy)]
        for thread in threads:
            thread.start()
            stack.callback(thread.join)
        stack.callback(context.try_shutdown)
        evaluator.wait_for_nodes()
        everything = [
            bridge._agentview,
            bridge._eye_in_hand,
            bridge._joints,
            bridge._time_publisher,
            *policy._parts.connections._publishers,
        ]
        evaluator._wait(
            lambda: all(publisher.get_subscription_count() for publisher in everything), 10.0, "the nodes have not found each other"
        )
        yield Loop(policy._parts.engine, evaluator)


def test_the_policy_acts_on_exactly_what_the_arm_shows(loop: Loop) -> None:
    resets, instructions = loop.engine.resets, len(loop.engine.instructions)
    loop.engine.observations.clear()
    outcome = loop.evaluator.run(TRIAL)
    assert outcome.success
    assert (outcome.ticks, outcome.missed, outcome.generations) == (
        GOAL_TICKS + 1,
        0,
        (3,),
    )  # the first action is zero, which the arm does not count
    assert [round(10 * seen.joints[0]) for seen in loop.engine.observations[:6]] == [0, 1, 2, 3, 4, 5]
    assert loop.engine.instructions[instructions:] == ["do task 0"]
    assert loop.engine.resets == resets + 1
    assert len(outcome.frames) >= outcome.ticks
    assert outcome.frames[0].experts == ("skill-0", "skill-1", "skill-2")


def test_a_second_episode_starts_anew(loop: Loop) -> None:
    assert [loop.evaluator.run(TRIAL).ticks for _ in range(2)] == [GOAL_TICKS + 1] * 2


def test_ticks_go_on_while_a_generation_loads(loop: Loop) -> None:
    loop.engine.may_finish_loading.clear()
    loading = threading.Thread(target=loop.evaluator.load, args=(4,))
    loading.start()
    assert loop.engine.loading.wait(10.0)
    assert loop.evaluator.run(TRIAL).generations == (3,)
    loop.engine.may_finish_loading.set()
    loading.join()
    assert loop.evaluator.run(TRIAL).generations == (4,)
    assert loop.evaluator.experts == ("skill-0", "skill-1", "skill-2", "skill-3")
    loop.evaluator.load(3)


@pytest.mark.parametrize(
    ("ask", "fault"),
    [
        (lambda evaluator: evaluator.load(99), "/policy/load failed: generation 99 does not exist; .* generation 3 stays in use"),
        (lambda evaluator: evaluator.run(Trial("libero_goal", 99, "do task 99", 0)), "/simulation/reset failed: the suite has no task 99"),
        (lambda evaluator: evaluator.run(Trial("libero_goal", 0, "do", 0, reach=3.0)), "/simulation refused its parameters .*reach"),
    ],
    ids=["load", "task", "reach"],
)
def test_a_refusal_is_told_and_the_nodes_go_on(loop: Loop, ask: Callable[[Evaluator], Outcome | None], fault: str) -> None:
    with pytest.raises(EvaluationError, match=fault):
        ask(loop.evaluator)
    assert loop.evaluator.run(TRIAL).success


@pytest.fixture
def lonely() -> Iterator[Callable[..., Evaluator]]:
    """Makes an evaluator on a network of its own, where nobody answers."""
    alone = Context()
    with domain_id() as other, ExitStack() as stack:
        rclpy.init(context=alone, domain_id=int(other))
        stack.callback(alone.try_shutdown)

        def make(*arguments: Any) -> Evaluator:
            evaluator = Evaluator(*arguments, context=alone)
            stack.callback(evaluator.destroy_node)
            stack.enter_context(spinning(evaluator))
            return evaluator

        yield make


def test_what_does_not_come_is_named(lonely: Callable[..., Evaluator], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmpel_ros.evaluator.START_TIMEOUT", 0.1)
    with pytest.raises(EvaluationError, match="nobody offers the service /policy/reset within"):
        lonely().wait_for_nodes()


def test_a_wait_ends_when_its_processes_do(lonely: Callable[..., Evaluator]) -> None:
    def check() -> None:
        raise DmpelError("the process 'policy' ended")

    with pytest.raises(DmpelError, match="the process 'policy' ended"):
        lonely(check).wait_for_nodes()
