"""Linear layers that experts adapt.

A mixture maps a module's name to its mixed factors A (batch, inputs, rank) and B (batch, rank, outputs), and a bias (batch, outputs)
where experts have one. It is passed down the forward call, never kept on a module, so one policy serves several callers.
Without a mixture, or when the mixture does not name a module, the frozen layer alone answers.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from dmpel_core.groups import WITH_BIAS
from dmpel_core.policy.sizes import LORA_ALPHA, PolicySizes

__all__ = [
    "LORA_ALPHA", "AdaptedLinear", "AdaptedModule", "AdaptedQKV", "Mixture", "low_rank", "name_adapted",
]  # fmt: skip

Mixture = Mapping[str, tuple[Tensor, ...]]
TOWERS = ("image", "text")


@dataclass(frozen=True)
class AdaptedModule:
    """One place where an expert has factors: A (inputs, rank) and B (rank, outputs), with `bias` also a bias (outputs,).

    Places of the same `draw` drop the same coefficients in training.
    """

    name: str
    group: str
    inputs: int
    outputs: int
    rank: int
    draw: str
    bias: bool = False

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the factors by name with their shapes."""
        shapes: dict[str, tuple[int, ...]] = {f"{self.name}.A": (self.inputs, self.rank), f"{self.name}.B": (self.rank, self.outputs)}
        return {**shapes, f"{self.name}.bias": (self.outputs,)} if self.bias else shapes


def low_rank(x: Tensor, factors: tuple[Tensor, ...]) -> Tensor:
    """Return (alpha / rank) ((x A) B + bias), with one A, B and bias for each sample of the batch.

    Args:
        x: (batch * anything, ..., inputs), batch-major.
        factors: A (batch, inputs, rank), B (batch, rank, outputs), and a bias (batch, outputs) or none.

    Returns:
        (batch * anything, ..., outputs).
    """
    a, b, *bias = factors
    grouped = x.reshape(a.shape[0], -1, x.shape[-1])  # (batch, tokens, inputs)
    update = (grouped @ a) @ b
    if bias:
        update = update + bias[0][:, None]
    return update.reshape(*x.shape[:-1], b.shape[-1]) * (LORA_ALPHA / a.shape[-1])


class AdaptedLinear(nn.Linear):
    """A linear layer with a low-rank update: y = W x + b + (alpha / rank) (x A) B; without `adapted`, a plain one."""

    name = ""

    def __init__(self, inputs: int, outputs: int, bias: bool = True, *, adapted: bool = True) -> None:
        super().__init__(inputs, outputs, bias)
        self.adapted = adapted

    def forward(self, x: Tensor, mixture: Mixture | None = None) -> Tensor:
        """Map (batch * anything, ..., inputs) to (..., outputs)."""
        y = super().forward(x)
        if mixture is None or self.name not in mixture:
            return y
        return y + low_rank(x, mixture[self.name])

    def places(self) -> Iterator[tuple[str, int, int]]:
        """Yield the name, inputs and outputs of each factor pair."""
        yield self.name, self.in_features, self.out_features


class AdaptedQKV(nn.Linear):
    """A fused query, key, value projection whose query and value parts are adapted."""

    name = ""

    def __init__(self, width: int, bias: bool = True, *, adapted: bool = True) -> None:
        super().__init__(width, 3 * width, bias)
        self.adapted = adapted

    def forward(self, x: Tensor, mixture: Mixture | None = None) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        """Map (n, tokens, width) to queries, keys and values of that shape."""
        q, k, v = super().forward(x).chunk(3, dim=-1)
        if mixture is not None and f"{self.name}.q" in mixture:
            q = q + low_rank(x, mixture[f"{self.name}.q"])
            v = v + low_rank(x, mixture[f"{self.name}.v"])
        return q, k, v

    def places(self) -> Iterator[tuple[str, int, int]]:
        """Yield the name, inputs and outputs of each factor pair."""
        for part in ("q", "v"):
            yield f"{self.name}.{part}", self.in_features, self.in_features


def name_adapted(policy: nn.Module, groups: Mapping[str, str], sizes: PolicySizes) -> list[AdaptedModule]:
    """Tell every adapted layer its name and list the places that experts adapt.

    Args:
        policy: The network.
        groups: Module group of each top-level part of the policy that experts adapt.
        sizes: Ranks, and whether experts have biases.
    """
    found = []
    for name, module in policy.named_modules():
        if isinstance(module, AdaptedLinear | AdaptedQKV) and module.adapted:
            module.name = name
            group = groups[name.split(".", 1)[0]]
            rank = sizes.tower_rank or sizes.rank if group in TOWERS else sizes.rank
            bias = sizes.expert_bias and group in WITH_BIAS
            # The published policy has one draw for query and value where one layer makes both, and CLIP's text model has two layers.
            joint = sizes.adapt == "query_value" and group != "text"
            found += [
                AdaptedModule(place, group, inputs, outputs, rank, name if joint else place, bias)
                for place, inputs, outputs in module.places()
            ]
    return found
