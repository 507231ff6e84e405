"""Handing over from a policy to the expert, on one real task; the policies here are scripts."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dmpel_core.inference.engine import Tick
from dmpel_core.observation import Observation
from dmpel_core.simulation.environment import Environment
from dmpel_core.simulation.expert import Expert, StuckError
from dmpel_core.simulation.handover import Handover, holds_something
from dmpel_core.simulation.recording import record_episode, settle

AWAY, WAIT = np.array([0.0, 0.6, -0.4, 0.0, 0.0, 0.0, 1.0]), np.array([0.0] * 6 + [1.0])


class Script:
    """An engine that does what a function says."""

    expert_names, generation = ("script",), 0

    def __init__(self, act: Callable[[], np.ndarray]) -> None:
        self.ticks = 0
        self.instruction = ""
        self._act = act

    def set_instruction(self, instruction: str) -> None:
        self.instruction = instruction

    def reset(self) -> None:
        self.ticks = 0

    def tick(self, _: Observation) -> Tick:
        self.ticks += 1
        return Tick(self._act(), np.zeros((6, 1)), 0)

    def load(self, library: Path, generation: int | None = None) -> None:
        raise NotImplementedError


def test_the_expert_goes_on_from_where_the_policy_has_come(bowl_on_plate: Environment) -> None:
    script = Script(lambda: AWAY if script.ticks < 12 else WAIT)
    lead = Handover(script, np.random.default_rng(2))
    left: list[np.ndarray] = []

    def watched(environment: Environment) -> None:
        lead(environment)
        left.append(environment.state())

    state = bowl_on_plate.task.initial_states[0]
    found = record_episode(bowl_on_plate, state, attempt=0, disturb=lambda action, *_: action, longest=250, lead=watched)
    assert bowl_on_plate.success()
    assert script.instruction == bowl_on_plate.task.instruction
    assert script.ticks >= 15
    assert found.states is not None
    np.testing.assert_array_equal(found.states[0], left[0])
    np.testing.assert_array_equal(found.initial_state, left[0])
    assert found.actions[0, 6] == -1, "the expert's action, not the policy's, is the label"


def test_a_policy_that_solves_the_task_leaves_nothing_to_correct(bowl_on_plate: Environment) -> None:
    bowl_on_plate.reset(bowl_on_plate.task.initial_states[0])
    settle(bowl_on_plate)
    expert = Expert(bowl_on_plate.model, bowl_on_plate.data, bowl_on_plate.task.goal)

    def act() -> np.ndarray:
        action = expert.act()
        assert action is not None
        return action

    class Late:
        def integers(self, low: int, high: int) -> int:
            return high

    with pytest.raises(StuckError, match="by itself"):
        Handover(Script(act), Late())(bowl_on_plate)  # type: ignore[arg-type]


def test_a_full_hand_is_not_taken_over(bowl_on_plate: Environment) -> None:
    bowl_on_plate.reset(bowl_on_plate.task.initial_states[0])
    settle(bowl_on_plate)
    expert = Expert(bowl_on_plate.model, bowl_on_plate.data, bowl_on_plate.task.goal)
    held = []
    while expert.phase != "release":
        action = expert.act()
        assert action is not None
        bowl_on_plate.step(action)
        held.append((expert.phase, holds_something(bowl_on_plate)))
    assert not any(holds for phase, holds in held if phase == "reach")
    assert all(holds for phase, holds in held if phase == "transport")
