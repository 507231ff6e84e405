"""Pre-norm transformer block of both towers and of the temporal transformer."""

from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from dmpel_core.errors import DmpelError
from dmpel_core.policy.adapted import AdaptedLinear, AdaptedQKV, Mixture


def quick_gelu(x: Tensor) -> Tensor:
    """Return x sigmoid(1.702 x), the approximation that OpenAI trained CLIP with."""
    return x * (1.702 * x).sigmoid()


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "quick_gelu": quick_gelu,
}
ADAPT = ("all", "query_value", "none")


def activation_called(name: str) -> Callable[[Tensor], Tensor]:
    """Return an activation.

    Raises:
        DmpelError: There is none of that name.
    """
    if name not in ACTIVATIONS:
        raise DmpelError(f"there is no activation {name!r}; choose one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


class Attention(nn.Module):
    """Multi-head self-attention with adapted projections."""

    def __init__(self, width: int, heads: int, qkv_bias: bool, adapt: str) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = AdaptedQKV(width, qkv_bias, adapted=adapt != "none")
        self.out = AdaptedLinear(width, width, adapted=adapt == "all")

    def forward(self, x: Tensor, mixture: Mixture | None, mask: Tensor | None, first_only: bool) -> Tensor:
        """Attend. With `first_only`, only token 0 asks; keys and values are those of all tokens."""
        n, tokens, width = x.shape
        q, k, v = (part.view(n, tokens, self.heads, -1).transpose(1, 2) for part in self.qkv(x, mixture))  # (n, heads, tokens, d)
        if first_only:
            q = q[:, :, :1]
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out(y.transpose(1, 2).reshape(n, -1, width), mixture)


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)).

    Args:
        width: Width of the tokens.
        heads: Attention heads.
        hidden: Hidden width of the MLP.
        dropout: Dropout on what attention and MLP add.
        qkv_bias: Whether the projection to query, key and value has a bias.
        activation: One of `ACTIVATIONS`.
        hidden_dropout: Dropout inside the MLP.
        drop_path: Chance that a sample skips the MLP in training; the others' share is scaled up.
        adapt: What experts adapt, one of `ADAPT`.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        hidden: int,
        dropout: float = 0.0,
        *,
        qkv_bias: bool = True,
        activation: str = "gelu",
        hidden_dropout: float = 0.0,
        drop_path: float = 0.0,
        adapt: str = "all",
    ) -> None:
        super().__init__()
        if adapt not in ADAPT:
            raise DmpelError(f"experts cannot adapt {adapt!r} of a block; choose one of {', '.join(ADAPT)}")
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads, qkv_bias, adapt)
        self.norm2 = nn.LayerNorm(width)
        self.up = AdaptedLinear(width, hidden, adapted=adapt == "all")
        self.down = AdaptedLinear(hidden, width, adapted=adapt == "all")
        self.dropout = nn.Dropout(dropout)
        self.activation = activation_called(activation)
        self.hidden_dropout, self.drop_path = hidden_dropout, drop_path

    def forward(self, x: Tensor, mixture: Mixture | None = None, mask: Tensor | None = None, first_only: bool = False) -> Tensor:
        """Transform (n, tokens, width); with `first_only` return token 0 alone, (n, 1, width)."""
        y = self.attention(self.norm1(x), mixture, mask, first_only)
        x = (x[:, :1] if first_only else x) + self.dropout(y)
        h = self.activation(self.up(self.norm2(x), mixture))
        if self.hidden_dropout:
            h = F.dropout(h, self.hidden_dropout, self.training)
        return x + self._keep_some(self.dropout(self.down(h, mixture)))

    def _keep_some(self, y: Tensor) -> Tensor:
        """Drop whole samples of (n, tokens, width) in training."""
        if not (self.training and self.drop_path):
            return y
        kept = y.new_empty(len(y), 1, 1).bernoulli_(1 - self.drop_path)
        return y * kept / (1 - self.drop_path)
