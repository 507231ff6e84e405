"""Temporal transformer over a window of ticks."""

import torch
from torch import Tensor, nn

from dmpel_core.policy.adapted import Mixture
from dmpel_core.policy.sizes import PolicySizes
from dmpel_core.policy.transformer import Block


def positions(ticks: int, width: int) -> Tensor:
    """Return the sinusoidal positions (ticks, width): inverse frequency 10^(-2j / width), sines then cosines."""
    frequency = 10.0 ** (-torch.arange(0, width, 2) / width)
    angle = torch.arange(ticks)[:, None] * frequency  # (ticks, width / 2)
    return torch.cat([angle.sin(), angle.cos()], 1)


def frame_causal(ticks: int, tokens: int) -> Tensor:
    """Return the mask (ticks * tokens, ticks * tokens): True where a token may look, its own tick and earlier ones."""
    tick = torch.arange(ticks).repeat_interleave(tokens)
    return tick[:, None] >= tick[None, :]


def recent_only(ticks: int, tokens: int, horizon: Tensor) -> Tensor:
    """Return masks (batch, 1, n, n) that let each sample look back at most `horizon` (batch,) ticks."""
    tick = torch.arange(ticks, device=horizon.device).repeat_interleave(tokens)
    age = tick[:, None] - tick[None, :]
    return ((age >= 0) & (age[None] <= horizon[:, None, None]))[:, None]


class TemporalTransformer(nn.Module):
    """Causal transformer over ticks; each tick's first token is its read-out."""

    position: Tensor

    def __init__(self, sizes: PolicySizes) -> None:
        super().__init__()
        hidden = sizes.temporal_hidden or sizes.mlp_ratio * sizes.width
        self.blocks = nn.ModuleList(
            Block(
                sizes.width, sizes.heads, hidden, sizes.dropout, qkv_bias=False, activation=sizes.temporal_activation,
                hidden_dropout=sizes.hidden_dropout, drop_path=sizes.drop_path, adapt=sizes.adapt,
            )
            for _ in range(sizes.temporal_blocks)
        )  # fmt: skip
        self.register_buffer("position", positions(sizes.window, sizes.width), persistent=False)

    def forward(self, tokens: Tensor, mixture: Mixture | None = None, horizon: Tensor | None = None) -> Tensor:
        """Map the tokens of a window to one feature a tick.

        Args:
            tokens: (batch, ticks, tokens, width), oldest tick first.
            mixture: Mixed factors, or None for the frozen layers.
            horizon: (batch,), ticks each sample may look back, or None for all.

        Returns:
            (batch, ticks, width).
        """
        batch, ticks, count, width = tokens.shape
        position = self.position[:ticks] if ticks <= len(self.position) else positions(ticks, width).to(tokens)
        x = (tokens + position[:, None]).reshape(batch, ticks * count, width)
        mask = frame_causal(ticks, count).to(x.device) if horizon is None else recent_only(ticks, count, horizon)
        for block in self.blocks:
            x = block(x, mixture, mask)
        return x.view(batch, ticks, count, width)[:, :, 0]
