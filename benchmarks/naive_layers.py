"""The adapted layers as the published code has them: every layer keeps its own experts and the mixture in use as state.

The weights are those of the policy that they replace, not copies.
"""

import copy
from collections.abc import Sequence
from itertools import chain

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmpel_core.experts.pool import ExpertPool
from dmpel_core.policy.adapted import LORA_ALPHA, AdaptedLinear, AdaptedQKV
from dmpel_core.policy.policy import Policy
from dmpel_core.policy.transformer import Attention


class LayerExperts:
    """All experts' factors of one place, and those mixed last. Experts with biases are left out: neither preset has them."""

    def __init__(self, pool: ExpertPool, place: str) -> None:
        module = next(module for module in pool.modules if module.name == place)
        self.group = module.group
        self._scale = LORA_ALPHA / module.rank
        self._a, self._b = (pool.stacked(f"{place}.{letter}") for letter in "AB")  # (experts, inputs, rank), (experts, rank, outputs)
        self._frozen = torch.ones(pool.count, dtype=torch.bool)

    def choose(self, weights: Tensor, index: Tensor) -> None:
        """Gather the chosen experts' factors and mix them.

        Args:
            weights: (1, k), coefficients of the chosen experts.
            index: (1, k), which ones they are.
        """
        self._mixed_a = torch.einsum("bkir,bk->bir", self._gather(self._a, index), weights)
        self._mixed_b = torch.einsum("bkro,bk->bro", self._gather(self._b, index), weights)

    def update(self, x: Tensor) -> Tensor:
        """Return (alpha / rank) (x A) B of x (1, ..., inputs)."""
        update = torch.einsum("bni,bir,bro->bno", x.reshape(1, -1, x.shape[-1]), self._mixed_a, self._mixed_b)
        return update.reshape(*x.shape[:-1], -1) * self._scale

    def _gather(self, stack: Tensor, index: Tensor) -> Tensor:
        """Gather twice, once cut off from the gradient, and keep the former where an expert is frozen, even without gradients."""
        frozen = self._frozen[index].view(*index.shape, 1, 1)
        return torch.where(frozen, stack[index].detach(), stack[index])


class NaiveLinear(nn.Module):
    """A linear layer that adds its experts' update while `adapted` is set."""

    def __init__(self, layer: AdaptedLinear, pool: ExpertPool) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self.experts = (LayerExperts(pool, layer.name),)
        self.adapted = True

    def forward(self, x: Tensor, mixture: None = None) -> Tensor:  # noqa: ARG002 - the mixture is kept here, none is passed
        """Map (1, ..., inputs) to (1, ..., outputs)."""
        y = F.linear(x, self.weight, self.bias)
        return y + self.experts[0].update(x) if self.adapted else y


class NaiveQKV(nn.Module):
    """A fused query, key, value projection whose query and value parts add their experts' updates while `adapted` is set."""

    def __init__(self, layer: AdaptedQKV, pool: ExpertPool) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self.experts = (LayerExperts(pool, f"{layer.name}.q"), LayerExperts(pool, f"{layer.name}.v"))
        self.adapted = True

    def forward(self, x: Tensor, mixture: None = None) -> Sequence[Tensor]:  # noqa: ARG002 - as above
        """Map (1, tokens, width) to queries, keys and values."""
        y = F.linear(x, self.weight, self.bias)
        width = x.shape[-1]
        if self.adapted:
            y[..., :width] += self.experts[0].update(x)
            y[..., -width:] += self.experts[1].update(x)
        return y.chunk(3, -1)


class NaiveAttention(nn.Module):
    """Self-attention spelt out, with the attention map kept at every call."""

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.heads, self.qkv, self.out = attention.heads, attention.qkv, attention.out

    def forward(self, x: Tensor, mixture: None, mask: Tensor, first_only: bool) -> Tensor:  # noqa: ARG002 - all tokens are computed
        """Attend where the mask (tokens, tokens) is True."""
        n, tokens, width = x.shape
        parts = [part.reshape(n, tokens, self.heads, -1).transpose(1, 2) for part in self.qkv(x)]  # each (n, heads, tokens, d)
        y, self.map = attend(*parts, mask)
        return self.out(y.transpose(1, 2).reshape(n, tokens, width))


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return the attended values and the attention map of (n, heads, tokens, d)."""
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    weights = scores.masked_fill(~mask, float("-inf")).softmax(-1)
    return weights @ v, weights


def with_naive_layers(policy: Policy, pool: ExpertPool) -> Policy:
    """Return the policy with its adapted layers, and the attention of text and time, replaced; all weights are shared."""
    shared = {id(tensor): tensor for tensor in chain(policy.parameters(), policy.buffers())}
    naive = copy.deepcopy(policy, shared)
    for name, module in list(naive.named_modules()):
        if isinstance(module, AdaptedLinear) and module.adapted:
            naive.set_submodule(name, NaiveLinear(module, pool))
        elif isinstance(module, AdaptedQKV) and module.adapted:
            naive.set_submodule(name, NaiveQKV(module, pool))
    for name, module in list(naive.named_modules()):
        if isinstance(module, Attention) and not name.startswith("image."):
            naive.set_submodule(name, NaiveAttention(module))
    return naive
