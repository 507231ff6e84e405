"""What a lifelong run depends on besides backbone and demonstrations."""

import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from dmpel_core.training.settings import LearnSettings

KEEP = ("best", "last")


@dataclass(frozen=True)
class Options:
    """What single algorithms take beside the training settings that all share.

    Attributes:
        replay_ratio: Share of the sequences kept for coefficient replay (dmpel).
        replay_epochs: Passes over the replay memories (dmpel).
        memory: Most sequences of all earlier tasks together (er, agem).
        penalty: Weight of the quadratic penalty (ewc).
        decay: What of the older tasks' Fisher information is left when a task is added (ewc).
        fisher_samples: Sequences that the Fisher information is measured on (ewc).
        prune: Share of a task's weights that are freed for later tasks (packnet).
        post_prune_steps: Optimiser steps on the weights that are left (packnet); 0 for as many as before pruning.
        slots: Size of the pool (l2m).
        pull: Weight of the pull of keys towards queries (l2m).
        centres: Prototypes of a task (iscil).
        skills: Most skills (lotus).
        segment: Shortest segment of a demonstration [ticks] (lotus).
        old_demonstrations: Demonstrations of each earlier task that stay (lotus).
        prune_below: After each task experts go whose mean share of all tasks' coefficients is below this (dmpel); 0 for none.
    """

    replay_ratio: float = 0.2
    replay_epochs: int = 10
    memory: int = 1000
    penalty: float = 50000.0
    decay: float = 0.9
    fisher_samples: int = 256
    prune: float = 0.75
    post_prune_steps: int = 0
    slots: int = 30
    pull: float = 0.5
    centres: int = 20
    skills: int = 30
    segment: int = 15
    old_demonstrations: int = 10
    prune_below: float = 0.0


@dataclass(frozen=True)
class Protocol:
    """How a run is measured.

    Attributes:
        states: Stored initial states that are reported, one episode each.
        selection_states: Those of the learning curves, by which weights are selected; none of `states`.
        horizon: Most ticks of an episode.
        patience: An episode ends after so many times the median length of its task's demonstrations, if that is before `horizon`; 0 for no
            such end.
        curve_points: Points of a learning curve, the start and the end of the training included.
        keep: `best`: the weights of a curve's highest point, the earliest of equals. `last`: those of the end.
        controls: Conditions under which the final policy is played again, see `dmpel_core.evaluation.rollout.Condition`.
        control_states: Stored initial states of the controls; empty for `states`.
        reach: Of `wide` [m].
        loss_samples: Sequences of each task that the training loss matrix is measured on.
    """

    states: tuple[int, ...] = tuple(range(40, 50))
    selection_states: tuple[int, ...] = tuple(range(35, 40))
    horizon: int = 600
    patience: float = 1.75
    curve_points: int = 6
    keep: str = "best"
    controls: tuple[str, ...] = ()
    control_states: tuple[int, ...] = ()
    reach: float = 0.07
    loss_samples: int = 128

    def points(self, steps: int) -> list[int]:
        """Return the steps at which a learning curve is measured, 0 and `steps` among them."""
        last = max(1, self.curve_points - 1)
        return sorted({round(steps * point / last) for point in range(last + 1)})

    def ticks(self, lengths: np.ndarray) -> int:
        """Return the most ticks of an episode of a task whose demonstrations are so long."""
        return min(self.horizon, math.ceil(self.patience * np.median(lengths))) if self.patience else self.horizon


@dataclass(frozen=True)
class Plan:
    """One run.

    Attributes:
        algorithm: One of `dmpel_core.lifelong.algorithms.ALGORITHMS`.
        suite: The tasks' suite, or several joined by `+`, whose tasks are learned one suite after another.
        tasks: Their numbers in each suite, in the order in which they are learned.
        learn: Settings of every training, and the seed.
        options: What the algorithm takes.
        protocol: How it is measured.
        demonstrations: Use only the first of each task.
        note: Tells runs of one algorithm with other options apart.
    """

    algorithm: str
    suite: str
    tasks: tuple[int, ...]
    learn: LearnSettings
    options: Options = field(default_factory=Options)
    protocol: Protocol = field(default_factory=Protocol)
    demonstrations: int | None = None
    note: str = ""

    @property
    def name(self) -> str:
        """The algorithm, with the note if there is one."""
        return f"{self.algorithm} {self.note}".strip()

    @property
    def sequence(self) -> list[tuple[str, int]]:
        """Suite and number of every task, in the order in which they are learned."""
        return [(suite, number) for suite in self.suite.split("+") for number in self.tasks]

    def record(self) -> dict[str, Any]:
        """Return the plan as the run's JSON keeps it."""
        plain: dict[str, Any] = json.loads(json.dumps({**asdict(self), "learn": self.learn.record()}))
        return plain
