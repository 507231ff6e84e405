"""A library that fits the policy and knows nothing: random weights, quick to make, for what only needs an engine that runs."""

from pathlib import Path

import torch

from dmpel_core.experts.library import Library, add_expert, create_library
from dmpel_core.experts.pool import start_expert
from dmpel_core.experts.router import Router
from dmpel_core.policy import text
from dmpel_core.policy.policy import Policy
from dmpel_core.policy.sizes import PolicySizes
from dmpel_core.training.interface import OBSERVATION, library_modules


def make_random_library(path: Path, sizes: PolicySizes, names: tuple[str, ...]) -> Library:
    """Write a library with one generation per name."""
    torch.manual_seed(0)
    policy = Policy(sizes).eval()
    backbone = {name: value.numpy() for name, value in policy.backbone_state().items()}
    library = create_library(
        path,
        backbone=backbone,
        policy=sizes.to_json(),
        modules=library_modules(policy),
        text_encoder=text.identity(),
        observation=OBSERVATION,
    )
    for count, name in enumerate(names, start=1):
        library = _with_expert(library, policy, name, count)
    return library


def _with_expert(library: Library, policy: Policy, name: str, count: int) -> Library:
    factors = start_expert(policy.modules_adapted, [], torch.Generator().manual_seed(count))
    router = Router(policy.query_width, policy.sizes.router_hidden, count, policy.sizes.top_k)
    return add_expert(
        library,
        name=name,
        instructions=(name,),
        skill="none",
        factors={key: value.numpy() for key, value in factors.items()},
        router={key: value.detach().numpy() for key, value in router.state_dict().items()},
        replay={"queries": torch.zeros(1, policy.query_width).numpy()},
        provenance={"dataset": "00" * 32, "seed": count, "metrics": {}},
    )
