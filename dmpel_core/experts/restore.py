"""A library's tensors as the objects that training and the torch engine use."""

import torch
from torch import Tensor

from dmpel_core.errors import DmpelError
from dmpel_core.experts.library import Library
from dmpel_core.experts.router import Router
from dmpel_core.policy.policy import Policy
from dmpel_core.policy.sizes import PolicySizes


def restore_policy(library: Library) -> Policy:
    """Build the library's policy with its frozen backbone, in evaluation mode.

    Raises:
        DmpelError: The installed text encoder is not the one that the library was trained with.
    """
    policy = Policy(PolicySizes.from_json(library.policy))
    policy.load_backbone({name: torch.from_numpy(value) for name, value in library.backbone().items()})
    if dict(library.text_encoder) != policy.text.identity():
        raise DmpelError(
            f"library {library.path} was trained with text encoder {dict(library.text_encoder)}, "
            f"installed is {policy.text.identity()}; install that version"
        )
    return policy.requires_grad_(False).eval()


def restore_factors(library: Library) -> list[dict[str, Tensor]]:
    """Return every expert's factors."""
    return [{name: torch.from_numpy(value) for name, value in library.factors(index).items()} for index in range(len(library.experts))]


def restore_router(library: Library, sizes: PolicySizes, query_width: int) -> Router:
    """Return the generation's router."""
    router = Router(query_width, sizes.router_hidden, len(library.experts), sizes.top_k, shared=sizes.router_shared)
    router.load_state_dict({name: torch.from_numpy(value) for name, value in library.router().items()})
    return router.requires_grad_(False).eval()
