"""Episodes of an engine in simulation, without ROS: for selection while training, and for controls."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dmpel_core.errors import DmpelError
from dmpel_core.inference.engine import Engine
from dmpel_core.simulation.environment import Environment
from dmpel_core.simulation.placement import widen
from dmpel_core.simulation.recording import settle
from dmpel_core.simulation.tasks import PERTURBATIONS, Task, load_task, perturbed
from dmpel_core.skills.alarm import TICKS
from dmpel_core.skills.calibration import alarms_in, worst


@dataclass(frozen=True)
class Condition:
    """What is changed about an episode.

    Attributes:
        name: `normal`, `blank`, `wrong`, `wide` or a key of `dmpel_core.simulation.tasks.PERTURBATIONS`, or several joined by `_`.
        blank: Both pictures are black.
        wrong: The instruction is another task's.
        reach: How far objects may stand from their stored place [m].
        perturbation: How the task itself is changed; empty for not at all.
    """

    name: str
    blank: bool = False
    wrong: bool = False
    reach: float = 0.0
    perturbation: str = ""

    @classmethod
    def parse(cls, text: str, reach: float) -> "Condition":
        """Read a name such as `wide` or `wide_blank`.

        Raises:
            DmpelError: A part is not a known control.
        """
        condition = cls(text)
        changes: dict[str, dict[str, Any]] = {"normal": {}, "blank": {"blank": True}, "wrong": {"wrong": True}, "wide": {"reach": reach}}
        changes |= {kind: {"perturbation": kind} for kind in PERTURBATIONS}
        for part in text.split("_"):
            if part not in changes:
                raise DmpelError(f"unknown condition {part!r}; choose from {', '.join(changes)}, joined by _ where wanted")
            condition = replace(condition, **changes[part])
        return condition


def staged(suite: str, task: int, told: int, condition: Condition) -> tuple[Task, str]:
    """Return the task that is played under a condition, and the instruction.

    Args:
        suite: The task's suite.
        task: Its number there.
        told: The number of the task whose instruction is given where it is the wrong one.
        condition: What is changed.
    """
    played = load_task(perturbed(suite, condition.perturbation), task)
    return played, load_task(suite, told).instruction if condition.wrong else played.instruction


@dataclass(frozen=True)
class Episode:
    """One episode's outcome.

    Attributes:
        state: Index of the stored initial state.
        success: Whether the goal held before the horizon.
        ticks: How many there were.
        alarms: How often the engine found task or scene strange for so long that the alarm is raised; None where it tells nothing.
        strangeness: The largest that so many ticks in a row exceed, by the limits of then; above 1 the alarm was raised. None likewise.
    """

    state: int
    success: bool
    ticks: int
    alarms: int | None = None
    strangeness: float | None = None


def run_episode(
    environment: Environment, engine: Engine, instruction: str, state: int, condition: Condition, horizon: int, seed: int
) -> Episode:
    """Run one episode from a stored initial state until success or the horizon.

    Args:
        environment: The task.
        engine: The policy.
        instruction: What the policy is told.
        state: Index of the stored initial state.
        condition: What is changed.
        horizon: Most ticks.
        seed: Of the placement.
    """
    start = environment.task.initial_states[state]
    if condition.reach:
        start = widen(environment, start, np.random.default_rng([seed, state]), condition.reach)
    environment.reset(start)
    engine.reset()
    engine.set_instruction(instruction)
    settle(environment)  # demonstrations begin when the objects have come to rest
    strangeness: list[float] = []
    success, ticks = False, 0
    while not success and ticks < horizon:
        tick = engine.tick(environment.observe(blind=condition.blank))
        if tick.insight is not None and tick.insight.reading is not None:
            strangeness.append(tick.insight.reading.strangeness)
        environment.step(tick.action)
        success, ticks = environment.success(), ticks + 1
    if not strangeness:
        return Episode(state, success, ticks)
    told = np.array(strangeness)
    return Episode(state, success, ticks, alarms_in([told], TICKS), round(worst(told, TICKS), 4))
