"""Whether a state dict is that of an official policy: every tensor there, none too many, each of its size."""

from collections.abc import Mapping
from itertools import product

import torch
from torch import Tensor

from dmpel_core.errors import DmpelError
from dmpel_core.experts.router import Router
from dmpel_core.official.names import IMAGE, POSITION_IDS, sizes_of, to_official
from dmpel_core.policy.policy import Policy
from dmpel_core.policy.sizes import PolicySizes

Shape = tuple[int, ...]
Misfits = dict[str, tuple[Shape | None, Shape | None]]  # found and expected
POOL = "policy_head.mean_layer.A_pool"  # a layer that every expert adapts


def expert_count(state: Mapping[str, Tensor]) -> int:
    """Return how many experts a state dict holds."""
    return len(state[POOL]) if POOL in state else 0


def check_fit(state: Mapping[str, Tensor], base: PolicySizes, source: str) -> PolicySizes:
    """Return the sizes of the policy whose state dict this is.

    Args:
        state: Under the official names.
        base: What no shape tells, see `sizes_of`.
        source: What to call the state dict in an error.

    Raises:
        DmpelError: Tensors are missing, too many or of another shape; the message names each, and both shapes.
    """
    if expert_count(state) and f"{IMAGE}.pos_embed" not in state:
        raise DmpelError(f"{source} holds experts without the policy that they adapt: give the pretrained policy's file with --backbone")
    sizes = sizes_of(state, base)
    misfits = find_misfits(state, base)
    if not misfits:
        return sizes
    culprit = _culprit(state, base, misfits) if len(misfits) > 1 else None
    faults = [_describe(name, *shapes) for name, shapes in sorted((culprit or misfits).items())]
    raise DmpelError(
        f"{source} is no official policy of one size: {'; '.join(faults)}. "
        "Copy it again, or say with --sizes what differs from the published policy"
    )


def find_misfits(state: Mapping[str, Tensor], base: PolicySizes) -> Misfits:
    """Return the found and the expected shape of every tensor where these differ, None for none."""
    found = {name: tuple(value.shape) for name, value in state.items() if name != POSITION_IDS}
    wanted = expected_shapes(sizes_of(state, base), expert_count(state))
    return {name: (found.get(name), wanted.get(name)) for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name)}


def expected_shapes(sizes: PolicySizes, experts: int) -> dict[str, Shape]:
    """Return the official names and shapes of a policy with so many experts, without making any number of it."""
    with torch.device("meta"):
        policy = Policy(sizes)
        factors = {name: torch.empty(shape) for module in policy.modules_adapted for name, shape in module.shapes().items()}
        router = Router(policy.query_width, sizes.router_hidden, max(1, experts), sizes.top_k, shared=sizes.router_shared)
        state = to_official(policy.backbone_state(), [factors] * experts, router.state_dict() if experts else None)
    return {name: tuple(value.shape) for name, value in state.items()}


class _Watched(dict[str, Tensor]):
    """A state dict that notes which tensors were looked at."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__(state)
        self.seen: set[str] = set()

    def __getitem__(self, name: str) -> Tensor:
        self.seen.add(name)
        return super().__getitem__(name)


def _culprit(state: Mapping[str, Tensor], base: PolicySizes, misfits: Misfits) -> Misfits | None:
    """Return the one tensor whose shape explains all misfits: where a tensor that sizes are read from is wrong, others seem so."""
    watched = _Watched(state)
    sizes_of(watched, base)
    pairs = [(found, wanted) for found, wanted in misfits.values() if found and wanted and len(found) == len(wanted)]
    changes = {(theirs, ours) for found, wanted in pairs for ours, theirs in zip(found, wanted, strict=True) if ours != theirs}
    for name in sorted(watched.seen - misfits.keys()):
        found = tuple(state[name].shape)
        for axis, (wrong, right) in product(range(len(found)), sorted(changes)):
            shape = (*found[:axis], right, *found[axis + 1 :])
            if found[axis] == wrong and _explains(state, base, name, shape):
                return {name: (found, shape)}
    return None


def _explains(state: Mapping[str, Tensor], base: PolicySizes, name: str, shape: Shape) -> bool:
    """Return whether the state dict would fit if only this tensor had another shape."""
    try:
        return not find_misfits({**state, name: torch.empty(shape, device="meta")}, base)
    except (DmpelError, RuntimeError, ValueError):  # these sizes make no policy at all
        return False


def _describe(name: str, found: Shape | None, wanted: Shape | None) -> str:
    if found is None:
        return f"{name} is missing"
    return f"{name} is unexpected" if wanted is None else f"{name} is {found}, expected {wanted}"
