"""What a training run depends on besides its data: kept in checkpoints and manifests."""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

BEFORE = {
    "schedule": "one-cycle", "padding": "masked", "windows": "mixed", "precision": "fp32", "compiled": False, "query": "chunk",
    "replay_loss": "sparse", "skills": "none", "stills": 0, "epochs": 0.0, "coefficient_dropout": 0.15,
    "start": "nothing",
}  # fmt: skip
"""What runs did before they had these options, and still do where a record does not name them."""


@dataclass(frozen=True)
class ImitationSettings:
    """What both training commands share.

    Attributes:
        seed: Of every draw.
        steps: Optimiser steps.
        batch: Sequences of a whole window in a step of one process, see `dmpel_core.training.schedule.shape_for`.
        learning_rate: Peak of the one-cycle schedule, or the constant rate.
        weight_decay: AdamW's.
        clip: Largest norm of the gradient.
        state_noise: Deviation of the noise on normalised joints and fingers.
        state_dropout: Share of the sequences whose joints and fingers are hidden.
        forget: Share of the sequences whose ticks look back over fewer ticks than the window.
        average: Decay of the running mean of the weights, which is what is kept, see `dmpel_core.training.average`; 0 keeps the weights
            themselves, as the official code does.
        waypoint: Weight of the foreseen waypoint's error [1/dm] beside the negative log-likelihood.
        schedule: `one-cycle`, or `constant` as the official DMPEL code.
        padding: `masked`: ticks past a demonstration's end do not count. `counted`, as in the official code: sequences begin at
            every frame, those that leave the demonstration repeat its last frame and action, and these count.
        windows: `mixed`: three steps in four draw many sequences of two ticks. `whole`: all draw whole windows, as in the paper.
        precision: `fp32`, or on CUDA `bf16` or `fp16`; the router always computes in fp32.
        compiled: Whether torch.compile makes the network's part of a step faster; it draws dropout otherwise.
        stills: Still pictures in a step of one process, of which only the waypoint is learned.
    """

    seed: int
    steps: int
    batch: int
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    clip: float = 1.0
    state_noise: float = 0.1
    state_dropout: float = 0.4
    forget: float = 0.5
    average: float = 0.99
    waypoint: float = 5.0
    schedule: str = "one-cycle"
    padding: str = "masked"
    windows: str = "mixed"
    precision: str = "fp32"
    compiled: bool = False
    stills: int = 0

    def record(self) -> dict[str, Any]:
        """Return the settings as checkpoints and manifests keep them."""
        return {name: value for name, value in asdict(self).items() if name not in BEFORE or value != BEFORE[name]}


@dataclass(frozen=True)
class PretrainSettings(ImitationSettings):
    """What a pretraining run depends on.

    Attributes:
        held_out: Demonstrations of each task that are not trained on, but show whether the policy looks.
    """

    held_out: int = 0


@dataclass(frozen=True)
class LearnSettings(ImitationSettings):
    """What the learning of one expert depends on.

    Attributes:
        views: Cached views of each picture, see `dmpel_core.training.features`.
        query: What the router is asked in training: `chunk`, once for a sequence with its mean as published, or `causal`, at every tick
            with the mean of the ticks so far as an engine asks.
        replay_loss: What coefficient replay compares, see `dmpel_core.experts.replay.replay_loss`: `dense`, the coefficients of all
            experts, or `sparse`, the router's top-k as published, which can lose an expert.
        start: What a new expert starts from, see `dmpel_core.training.start`: `nothing`, as published, or `mixture`, what the library would
            mix for its task.
        coefficient_dropout: Chance that a sample's coefficient is dropped in a module. The official code has 0.15; small experts that
            are trained a few minutes learn more without.
        skills: Which labels pretrain the router, one of `dmpel_core.training.skill_routing.CHOICES`.
        epochs: Passes over a task's ticks that it is given at least, beyond `steps` if need be, see `sized`.
    """

    state_dropout: float = 0.3
    views: int = 4
    query: str = "chunk"
    replay_loss: str = "dense"
    start: str = "nothing"
    coefficient_dropout: float = 0.0
    skills: str = "none"
    epochs: float = 0.0

    def sized(self, ticks: int, window: int, processes: int = 1) -> "LearnSettings":
        """Return these settings with the steps that a task of so many ticks is given: `steps`, or more where `epochs` passes take more.

        Args:
            ticks: Of all demonstrations.
            window: Of the policy; a step of one process shows `batch` windows.
            processes: Which train together.
        """
        passes = math.ceil(self.epochs * ticks / (self.batch * window * processes))
        return replace(self, steps=max(self.steps, passes), epochs=0.0)
