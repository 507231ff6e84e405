"""What the training of a new expert starts from: nothing, as published, or where the library stands on its task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dmpel_core.experts.pool import ExpertPool, Factors, start_expert
from dmpel_core.experts.router import Router, fresh_router
from dmpel_core.policy.policy import Policy
from dmpel_core.training.features import FeatureSet, plain_queries

STARTS = ("nothing", "mixture")
ASIDE = 0.05
"""Coefficient of the earlier experts beside one that starts as their mixture: it can grow, and hardly changes what that does."""
SAMPLED = 1000  # sequences that the router is asked about


@dataclass(frozen=True)
class Start:
    """A new expert and a router for it and the earlier ones, before the first step.

    Attributes:
        factors: Of the new expert.
        router: Its last expert is the new one.
    """

    factors: Mapping[str, Tensor]
    router: Router


def start_for(
    policy: Policy, earlier: Sequence[Factors], known: Router | None, data: FeatureSet, start: str, seed: int, router: Router | None = None
) -> Start:
    """Return what a task's expert starts from. Seeds torch's chance, with which the rest of the training goes on.

    Args:
        policy: The frozen backbone.
        earlier: Factors of the earlier experts.
        known: The router of these; None without any.
        data: The new task's frozen features.
        start: `nothing`, as published: it changes nothing yet, and the earlier ones start at 1 / k each. `mixture`: it starts as what the
            library would mix for the task, so it learns what is missing, and the earlier ones start `ASIDE`.
        seed: Of what is drawn.
        router: Starts instead of a fresh one, see `dmpel_core.training.skill_routing`.
    """
    torch.manual_seed(seed)
    sizes, others = policy.sizes, None
    if start == "nothing" or known is None:
        factors = start_expert(policy.modules_adapted, earlier, torch.Generator().manual_seed(seed))
    else:
        factors, others = mixture_as_expert(policy, earlier, mean_coefficients(policy, known, data)), ASIDE
    fresh = fresh_router(policy.query_width, sizes.router_hidden, len(earlier) + 1, sizes.top_k, shared=sizes.router_shared, others=others)
    return Start(factors, router or fresh)


def mean_coefficients(policy: Policy, router: Router, data: FeatureSet) -> Tensor:
    """Return the mean (6, experts) of the coefficients that a router gives the plain sequences of a task."""
    starts = np.unique(np.linspace(0, len(data.timeline) - 1, SAMPLED).astype(int))
    with torch.no_grad():
        return router(plain_queries(policy, data, starts)).mean(0)


def mixture_as_expert(policy: Policy, experts: Sequence[Factors], coefficients: Tensor) -> dict[str, Tensor]:
    """Return the mixture of some experts with coefficients (6, experts) as the factors of one, which at coefficient 1 acts as they do."""
    modules = policy.modules_adapted
    mixture = ExpertPool(modules, experts).mix(coefficients[None])
    return {name: value[0].clone() for module in modules for name, value in zip(module.shapes(), mixture[module.name], strict=True)}
