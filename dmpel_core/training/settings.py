"""What a training run depends on besides its data: kept in checkpoints and manifests."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ImitationSettings:
    """What both training commands share.

    Attributes:
        seed: Of every draw.
        steps: Optimiser steps.
        batch: Sequences of a whole window in a step, see `dmpel_core.training.schedule.shape_for`.
        learning_rate: Peak of the one-cycle schedule.
        weight_decay: AdamW's.
        clip: Largest norm of the gradient.
        state_noise: Deviation of the noise on normalised joints and fingers.
        state_dropout: Share of the sequences whose joints and fingers are hidden.
        forget: Share of the sequences whose ticks look back over fewer ticks than the window.
        waypoint: Weight of the foreseen waypoint's error [1/dm] beside the negative log-likelihood.
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
    waypoint: float = 5.0


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
    """

    state_dropout: float = 0.3
    views: int = 4
