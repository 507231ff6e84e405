"""Pre-norm transformer block used by the image tower and by the temporal transformer."""

import torch.nn.functional as F
from torch import Tensor, nn

from dmpel_core.policy.adapted import AdaptedLinear, AdaptedQKV, Mixture


class Attention(nn.Module):
    """Multi-head self-attention with adapted projections."""

    def __init__(self, width: int, heads: int, qkv_bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = AdaptedQKV(width, qkv_bias)
        self.out = AdaptedLinear(width, width)

    def forward(self, x: Tensor, mixture: Mixture | None, mask: Tensor | None, first_only: bool) -> Tensor:
        """Attend. With `first_only`, only token 0 asks; keys and values are those of all tokens."""
        n, tokens, width = x.shape
        q, k, v = (part.view(n, tokens, self.heads, -1).transpose(1, 2) for part in self.qkv(x, mixture))  # (n, heads, tokens, d)
        if first_only:
            q = q[:, :, :1]
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out(y.transpose(1, 2).reshape(n, -1, width), mixture)


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, width: int, heads: int, mlp_ratio: int, dropout: float = 0.0, qkv_bias: bool = True) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads, qkv_bias)
        self.norm2 = nn.LayerNorm(width)
        self.up = AdaptedLinear(width, mlp_ratio * width)
        self.down = AdaptedLinear(mlp_ratio * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mixture: Mixture | None = None, mask: Tensor | None = None, first_only: bool = False) -> Tensor:
        """Transform (n, tokens, width); with `first_only` return token 0 alone, (n, 1, width)."""
        y = self.attention(self.norm1(x), mixture, mask, first_only)
        x = (x[:, :1] if first_only else x) + self.dropout(y)
        h = F.gelu(self.up(self.norm2(x), mixture))
        return x + self.dropout(self.down(h, mixture))
