"""Learning rate as a function of the step alone, so that a resumed run needs no scheduler state."""

import math

import numpy as np
import torch
from torch.optim import Optimizer

WARM_UP = 0.05  # share of the run
FINAL = 0.01  # of the peak
SHORT_WINDOW = 2  # ticks


def one_cycle(step: int, steps: int) -> float:
    """Return the factor of the peak learning rate: linear warm-up, then a cosine down to 1 %."""
    warm = max(1, int(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    progress = (step - warm) / max(1, steps - warm)
    return FINAL + (1 - FINAL) * 0.5 * (1 + math.cos(math.pi * progress))


def set_learning_rate(optimizer: Optimizer, peak: float, step: int, steps: int, schedule: str = "one-cycle") -> None:
    """Set every group's learning rate for this step; it stays at its peak unless the schedule is `one-cycle`."""
    for group in optimizer.param_groups:
        group["lr"] = peak * one_cycle(step, steps) if schedule == "one-cycle" else peak


def shape_for(step: int, batch: int, window: int) -> tuple[int, int]:
    """Return how many sequences a step has and how many ticks each.

    One step in four has whole windows. The others have as many ticks in sequences of two, because ten consecutive pictures
    are nearly the same, and the image tower learns from different ones.
    """
    return (batch, window) if step % 4 == 0 else (batch * window // SHORT_WINDOW, SHORT_WINDOW)


def chance_for(seed: int, step: int, process: int = 0) -> tuple[np.random.Generator, torch.Generator]:
    """Return the sources of chance of one step, and seed dropout's.

    They depend on the seed, the step and which of several processes this is only: a run that is killed and resumed draws what the
    unbroken run drew.
    """
    rng = np.random.default_rng([seed, step, process] if process else [seed, step])
    torch.manual_seed(int(rng.integers(2**62)))
    return rng, torch.Generator().manual_seed(int(rng.integers(2**62)))
