"""Training low-rank factors, with or without whole parts of the policy beside them."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from dmpel_core.experts.pool import start_expert
from dmpel_core.lifelong.batch import Batch, Source, act
from dmpel_core.lifelong.lesson import Lesson
from dmpel_core.policy.adapted import AdaptedModule, Mixture
from dmpel_core.policy.policy import Policy
from dmpel_core.training.losses import imitation_loss
from dmpel_core.training.settings import LearnSettings

ADAPTED_GROUPS = ("image", "text", "temporal")
"""Where TAIL, L2M and IsCiL have factors."""


class AdapterLesson(Lesson):
    """Imitation by a policy with low-rank factors, which `mix` gives each sequence.

    Args:
        policy: Its parameters that require gradients are trained too.
        trained: Factors, and whatever else is trained, by name.
        mix: Returns the factors of each sequence of a batch and what is added to its loss.
        sources: What is drawn from.
        settings: Of the training.
    """

    def __init__(
        self,
        policy: Policy,
        trained: Mapping[str, Tensor],
        mix: Callable[[Mapping[str, Tensor], Batch], tuple[Mixture, Tensor]],
        sources: Sequence[Source],
        settings: LearnSettings,
    ) -> None:
        super().__init__(policy, sources, settings, looks=False)
        self.trained = {name: nn.Parameter(value.detach().clone().to(self.device)) for name, value in trained.items()}
        self._known = nn.ParameterList(self.trained.values())  # so that they move with the module
        self._mix = mix

    def parameters_by_name(self) -> Mapping[str, Tensor]:
        """Return what is trained."""
        return {**{f"trained.{name}": value for name, value in self.trained.items()}, **super().parameters_by_name()}

    def whole(self) -> Mapping[str, Tensor]:
        """Return the policy's own weights that are trained."""
        return super().parameters_by_name()

    def losses(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return both losses of a batch, the first with what the factors' choice adds."""
        mixture, extra = self._mix(self.trained, batch)
        answer, ways = act(self.policy, batch, mixture)
        likelihood, way = imitation_loss(answer, ways, batch.sequences, batch.waypoints)
        return likelihood + extra, way


def adapted_modules(policy: Policy, groups: Sequence[str] = ADAPTED_GROUPS) -> list[AdaptedModule]:
    """Return where factors go."""
    return [module for module in policy.modules_adapted if module.group in groups]


def new_factors(policy: Policy, generator: torch.Generator, groups: Sequence[str] = ADAPTED_GROUPS) -> dict[str, Tensor]:
    """Return factors that change nothing yet."""
    return start_expert(adapted_modules(policy, groups), [], generator)


def same_for_all(factors: Mapping[str, Tensor], batch: Batch) -> tuple[Mixture, Tensor]:
    """Give every sequence the same factors."""
    rows = len(batch.joints)
    return mixture_of({name: value.expand(rows, *value.shape) for name, value in factors.items()}), batch.joints.new_zeros(())


def chosen_for_each(stacked: Mapping[str, Tensor], slot: Tensor) -> Mixture:
    """Give each sequence the factors of its slot (rows,) of stacks (slots, ...)."""
    return mixture_of({name: value[slot] for name, value in stacked.items()})


def mixture_of(factors: Mapping[str, Tensor]) -> Mixture:
    """Return factors `<module>.A` (rows, inputs, rank), `<module>.B` and any bias as a mixture."""
    found: dict[str, tuple[Tensor, ...]] = {}
    for name in factors:
        module = name.rsplit(".", 1)[0]
        parts = (f"{module}.{part}" for part in ("A", "B", "bias"))
        found[module] = tuple(factors[part] for part in parts if part in factors)
    return found


def stacked(slots: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the factors of several slots as one stack (slots, ...) for each name."""
    return {name: torch.stack([slot[name] for slot in slots]) for name in slots[0]}


def apart(stacks: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """Return the slots of a stack."""
    return [{name: value[slot] for name, value in stacks.items()} for slot in range(len(next(iter(stacks.values()))))]
