"""Gaussian mixture head over chunks of future actions."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmpel_core.policy.adapted import AdaptedLinear, Mixture
from dmpel_core.policy.sizes import PolicySizes


@dataclass(frozen=True)
class ActionMixture:
    """A mixture of diagonal Gaussians over chunks of actions.

    Attributes:
        logits: (..., modes), unnormalised log weights.
        mean: (..., modes, chunk, action), in (-1, 1).
        std: (..., modes, chunk, action), positive.
    """

    logits: Tensor
    mean: Tensor
    std: Tensor

    def negative_log_likelihood(self, actions: Tensor, valid: Tensor | None = None) -> Tensor:
        """Return -log p(actions) per predicted action.

        Args:
            actions: (..., chunk, action).
            valid: (..., chunk), 1 where the action exists, 0 past the end of the demonstration; None for all.

        Returns:
            (...), divided by the chunk's length.
        """
        z = (actions.unsqueeze(-3) - self.mean) / self.std
        log_density = (-0.5 * z**2 - self.std.log() - 0.5 * math.log(2 * math.pi)).sum(-1)  # (..., modes, chunk)
        if valid is not None:
            log_density = log_density * valid.unsqueeze(-2)
        per_mode = log_density.sum(-1)
        return -torch.logsumexp(self.logits.log_softmax(-1) + per_mode, -1) / self.mean.shape[-2]

    def mode(self) -> Tensor:
        """Return the mean of the heaviest Gaussian, (..., chunk, action)."""
        best = self.logits.argmax(-1)[..., None, None, None]
        return self.mean.take_along_dim(best, -3).squeeze(-3)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Draw one chunk of actions, (..., chunk, action), as the published policy does at every tick."""
        weights = self.logits.softmax(-1).flatten(0, -2)
        drawn = torch.multinomial(weights, 1, generator=generator).view(*self.logits.shape[:-1], 1, 1, 1)
        mean, std = (value.take_along_dim(drawn, -3).squeeze(-3) for value in (self.mean, self.std))
        return mean + std * torch.randn(mean.shape, generator=generator, device=mean.device)


class MixtureHead(nn.Module):
    """Maps a feature to an `ActionMixture`."""

    def __init__(self, sizes: PolicySizes) -> None:
        super().__init__()
        self.sizes = sizes
        hidden, outputs = sizes.head_hidden, sizes.modes * sizes.chunk * sizes.action
        self.share = nn.ModuleList([AdaptedLinear(sizes.width if layer == 0 else hidden, hidden) for layer in range(sizes.head_layers + 1)])
        self.mean = AdaptedLinear(hidden, outputs)
        self.deviation = AdaptedLinear(hidden, outputs)
        self.logits = AdaptedLinear(hidden, sizes.modes)

    def forward(self, x: Tensor, mixture: Mixture | None = None) -> ActionMixture:
        """Map (..., width) to the mixture over the next `chunk` actions."""
        s = self.sizes
        for layer in self.share[:-1]:
            x = F.relu(layer(x, mixture))
        x = self.share[-1](x, mixture)  # no activation after the last one, as in the paper's head
        shape = (*x.shape[:-1], s.modes, s.chunk, s.action)
        mean = self.mean(x, mixture).tanh().view(shape)
        std = F.softplus(self.deviation(x, mixture)).view(shape) + s.minimum_std
        return ActionMixture(self.logits(x, mixture), mean, std)
