"""robosuite's own tasks Lift, Can and Door as a suite.

robosuite ships no initial states, it draws a new one at every reset. Here 50 of each task are drawn once and for all, from the
distributions that its environments draw from (`robosuite/environments/manipulation`), with a generator that belongs to the task.
Two things differ: the can starts on the floor of its bin, where robosuite lets the two overlap and spring apart, and the three
things that robosuite takes away from the bins by dropping them from 10 m rest on the floor where they would land.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dmpel_core.simulation.task import Task, World

SUITES = ("robosuite",)
_STATES = 50
_SEED = 20_251_122
_ARM = np.array([0.0, np.pi / 16, 0.0, -np.pi * 5 / 6, 0.0, np.pi - 0.2, np.pi / 4])
_ARM_NOISE = 0.02
"""The Panda's posture at the start and the standard deviation of its joints [rad]."""
_FINGERS = np.array([0.020833, -0.020833])
_AWAY = ((10.0, 10.0, 0.062), (11.0, 10.0, 0.024), (12.0, 10.0, 0.076))
"""Where milk, bread and cereal rest, out of sight [m]."""


@dataclass(frozen=True)
class _Layout:
    """What one initial state says beside the arm, in the order of the model.

    Attributes:
        free: Poses of the free objects, each (7,).
        hinges: Positions of the fixtures' joints [rad].
        posed: Poses of the fixtures that stand elsewhere in every state, each (7,).
    """

    free: tuple[np.ndarray, ...] = ()
    hinges: tuple[float, ...] = ()
    posed: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True)
class _Kind:
    """What the suite knows of a task before anything is built.

    Attributes:
        problem: The environment's name in robosuite.
        instruction: What the arm is told.
        goal: What robosuite's `_check_success` judges, as predicates for the expert.
        moved: The thing whose place is drawn; its root body is `<moved>_main`.
        draw: Draws a layout.
    """

    problem: str
    instruction: str
    goal: tuple[tuple[str, ...], ...]
    moved: str
    draw: Callable[[np.random.Generator], _Layout]


def _lift(rng: np.random.Generator) -> _Layout:
    """Draw Lift: a cube within 3 cm of the table's middle."""
    x, y, turn = rng.uniform(-0.03, 0.03), rng.uniform(-0.03, 0.03), rng.uniform(0, 2 * np.pi)
    return _Layout(free=(_pose(x, y, 0.832, turn),))


def _can(rng: np.random.Generator) -> _Layout:
    """Draw PickPlaceCan: the can anywhere in the bin to the arm's right."""
    x, y, turn = 0.1 + rng.uniform(-0.11, 0.11), -0.25 + rng.uniform(-0.16, 0.16), rng.uniform(0, 2 * np.pi)
    return _Layout(free=(*(_pose(*place, 0.0) for place in _AWAY), _pose(x, y, 0.861, turn)))


def _door(rng: np.random.Generator) -> _Layout:
    """Draw Door: within 1 cm and turned by up to 0.25 rad; shut, the handle level."""
    x, y, turn = -0.2 + rng.uniform(0.07, 0.09), -0.35 + rng.uniform(-0.01, 0.01), -np.pi / 2 - rng.uniform(0, 0.25)
    return _Layout(hinges=(0.0, 0.0), posed=(_pose(x, y, 1.1, turn),))


_KINDS = {
    "lift": _Kind("Lift", "lift the cube", (("lift", "cube"),), "cube", _lift),
    "can": _Kind("PickPlaceCan", "put the can in its bin", (("in", "Can", "bin2"),), "Can", _can),
    "door": _Kind("Door", "open the door", (("open", "Door"),), "Door", _door),
}


@dataclass(frozen=True, eq=False)
class RobosuiteTask(Task):
    """One of robosuite's tasks.

    Attributes:
        kind: What the suite knows of it.
    """

    kind: _Kind

    @property
    def problem(self) -> str:
        """The environment's name in robosuite."""
        return self.kind.problem

    def build(self, **settings: Any) -> World:
        """Build the scene; how large the cube is is drawn from numpy's global generator."""
        import robosuite

        environment = robosuite.make(self.problem, **settings)
        body = int(environment.sim.model.body_name2id(f"{self.kind.moved}_main"))
        fixture = environment.sim.model.body_jntnum[body] == 0
        return World(environment, movable={self.kind.moved: body}, fixed={}, posed=(body,) if fixture else ())


def task_names(suite: str) -> tuple[str, ...]:  # noqa: ARG001  there is only one suite
    """Return the names of the tasks."""
    return tuple(_KINDS)


def instruction(suite: str, name: str) -> str:  # noqa: ARG001  as above
    """Return a task's instruction."""
    return _KINDS[name].instruction


def read_task(suite: str, index: int) -> RobosuiteTask:
    """Return one task with its initial states; the index is valid."""
    name = task_names(suite)[index]
    kind = _KINDS[name]
    states = np.stack([_state(np.random.default_rng([_SEED, index, number]), kind) for number in range(_STATES)])
    states.setflags(write=False)
    return RobosuiteTask(suite, index, name, kind.instruction, kind.goal, states, kind)


def _state(rng: np.random.Generator, kind: _Kind) -> np.ndarray:
    """Draw one flattened state, (D,), at time 0 and at rest."""
    arm = _ARM + rng.normal(0, _ARM_NOISE, len(_ARM))
    layout = kind.draw(rng)
    positions = np.concatenate([arm, _FINGERS, *layout.free, layout.hinges])
    velocities = np.zeros(len(positions) - len(layout.free))  # a free object has seven positions and six velocities
    return np.concatenate([[0.0], positions, velocities, *layout.posed])


def _pose(x: float, y: float, z: float, turn: float) -> np.ndarray:
    """Return position [m] and quaternion w x y z, (7,), of something turned about the vertical [rad]."""
    return np.array([x, y, z, np.cos(turn / 2), 0.0, 0.0, np.sin(turn / 2)])
