"""The running mean of the weights in training, which is what is kept and measured (Polyak and Juditsky 1992; exponential here).

At a high learning rate weights wander about the place that they mean. Their mean is there long before the rate has fallen.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.optim import Optimizer

AVERAGE = "average"
"""Where an optimiser's state of a weight holds its mean, so that checkpoints hold it too."""


class RunningMean:
    """An exponential mean of weights, which forgets its start: after t steps it reaches back over (10 + t) / 9 steps at most.

    Args:
        weights: What an optimiser changes.
        optimizer: Whose state keeps the means.
        decay: Share of the mean that a step leaves of it; 0 for the weights themselves.
    """

    def __init__(self, weights: Sequence[Tensor], optimizer: Optimizer, decay: float) -> None:
        self._weights, self._optimizer, self._decay = list(weights), optimizer, decay

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after a step."""
        share = 1 - min(self._decay, (1 + step) / (10 + step))
        for weight in self._weights:
            state = self._optimizer.state[weight]
            if AVERAGE in state:
                state[AVERAGE].lerp_(weight, share)
            elif state and self._decay:  # a step that half precision skipped leaves an optimiser without state
                state[AVERAGE] = weight.detach().clone()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Put the means in the place of the weights for a while."""
        own = [weight.detach().clone() for weight in self._weights]
        self.settle()
        yield
        with torch.no_grad():
            for weight, value in zip(self._weights, own, strict=True):
                weight.copy_(value)

    @torch.no_grad()
    def settle(self) -> None:
        """Put the means in the place of the weights."""
        for weight in self._weights:
            weight.copy_(self._optimizer.state[weight].get(AVERAGE, weight))
