"""Experts in memory and their mixture in weight space."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dmpel_core.groups import GROUPS
from dmpel_core.policy.adapted import AdaptedModule, Mixture

Factors = Mapping[str, Tensor]
"""One expert: `<module>.A` (inputs, rank) and `<module>.B` (rank, outputs) for every adapted module, `<module>.bias` where it has one."""


class ExpertPool:
    """The experts of one generation.

    Each expert keeps its own tensors. Only the newest may be trainable; the older ones are stacked once as constants,
    so that no optimiser ever holds them and no weight decay can reach them.
    """

    def __init__(self, modules: Sequence[AdaptedModule], frozen: Sequence[Factors], newest: Factors | None = None) -> None:
        self.modules = list(modules)
        self.newest = newest
        self.count = len(frozen) + (newest is not None)
        self._frozen: dict[str, Tensor] = {}
        if frozen:
            self._frozen = {name: torch.stack([expert[name].detach() for expert in frozen]) for name in self.names()}

    def names(self) -> list[str]:
        """Return the factor names in order."""
        return [name for module in self.modules for name in module.shapes()]

    def stacked(self, name: str) -> Tensor:
        """Return one factor of all experts, (experts, rows, columns)."""
        if self.newest is None:
            return self._frozen[name]
        newest = self.newest[name][None]
        return torch.cat([self._frozen[name], newest]) if name in self._frozen else newest

    def mix(self, coefficients: Tensor, dropout: float = 0.0) -> Mixture:
        """Mix the experts: A = sum_k w_k A_k and B = sum_k w_k B_k for each sample and module.

        The update scale * A B therefore contains cross terms and is quadratic in the coefficients.

        Args:
            coefficients: (batch, 6, experts), zero for experts outside the top-k.
            dropout: Chance to drop a coefficient, drawn for each sample and `AdaptedModule.draw`; A and B share the draw.

        Returns:
            Factors A (batch, inputs, rank), B (batch, rank, outputs) and any bias (batch, outputs) of every module.
        """
        mixture, draws = {}, dict[str, Tensor]()
        for module in self.modules:
            if module.draw not in draws:
                draws[module.draw] = F.dropout(coefficients[:, GROUPS.index(module.group)], dropout, training=dropout > 0)
            w = draws[module.draw]  # (batch, experts)
            stacks = [self.stacked(name) for name in module.shapes()]
            mixture[module.name] = tuple((w @ factors.flatten(1)).view(-1, *factors.shape[1:]) for factors in stacks)
        return mixture


def start_expert(modules: Sequence[AdaptedModule], previous: Sequence[Factors], generator: torch.Generator) -> dict[str, Tensor]:
    """Return the factors of a new expert, which change nothing yet: B and any bias are zero.

    The first expert's A is uniform within 1 / sqrt(inputs * rank), as in the official code. A later one is a random
    direction made orthogonal to the flattened A of all earlier experts, of Frobenius norm 1.
    """
    factors: dict[str, Tensor] = {}
    for module in modules:
        factors |= {name: torch.zeros(shape) for name, shape in module.shapes().items()}
        shape = (module.inputs, module.rank)
        earlier = [expert[f"{module.name}.A"].flatten() for expert in previous]
        factors[f"{module.name}.A"] = orthogonal_start(shape, earlier, generator) if earlier else uniform_start(shape, generator)
    return factors


def uniform_start(shape: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Return values uniform within 1 / sqrt(inputs * rank)."""
    bound = (shape[0] * shape[1]) ** -0.5
    return (torch.rand(shape, generator=generator) * 2 - 1) * bound


def orthogonal_start(shape: tuple[int, int], earlier: Sequence[Tensor], generator: torch.Generator) -> Tensor:
    """Return a matrix of norm 1 whose flattened form is orthogonal to each earlier one."""
    drawn = torch.randn(shape[0] * shape[1], generator=generator)
    basis = torch.linalg.qr(torch.stack(list(earlier), 1)).Q  # (inputs * rank, experts)
    rest = drawn - basis @ (basis.T @ drawn)
    return (rest / rest.norm()).view(shape)
