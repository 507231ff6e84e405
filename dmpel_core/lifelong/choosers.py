"""Which of several slots acts: from router queries to coefficients."""

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from dmpel_core.experts.router import Router
from dmpel_core.groups import GROUPS


class Chooser(Protocol):
    """Gives every slot a coefficient for each module group."""

    kind: str

    def __call__(self, query: Tensor) -> Tensor:
        """Map queries (batch, query_width) to coefficients (batch, 6, slots)."""

    def tensors(self) -> dict[str, Tensor]:
        """Return what it has learned, by name."""


def one_hot(slot: Tensor, slots: int) -> Tensor:
    """Return coefficients (batch, 6, slots), 1 for each sample's slot (batch,)."""
    return F.one_hot(slot, slots).float()[:, None].expand(-1, len(GROUPS), -1)


class Routed:
    """DMPEL's router: coefficients for each module group, in (0, 2) for the top-k."""

    kind = "router"

    def __init__(self, router: Router) -> None:
        self.router = router

    def __call__(self, query: Tensor) -> Tensor:
        """See `Chooser`."""
        return self.router(query)

    def tensors(self) -> dict[str, Tensor]:
        """See `Chooser`."""
        return {**self.router.state_dict(), "top_k": torch.tensor(self.router.top_k), "experts": torch.tensor(self.router.experts)}


class Classified(Routed):
    """A network that names one slot."""

    kind = "classifier"

    def __call__(self, query: Tensor) -> Tensor:
        """See `Chooser`."""
        return one_hot(self.router.dense(query)[:, 0].argmax(-1), self.router.experts)


class Nearest:
    """The slot that owns the key most like the query, by cosine similarity.

    Args:
        keys: (keys, width).
        owner: (keys,), the slot of each.
        slots: How many there are.
        parts: How many of the query's first numbers count.
    """

    kind = "nearest"

    def __init__(self, keys: Tensor, owner: Tensor, slots: int, parts: int) -> None:
        self.keys, self.owner, self.slots, self.parts = keys, owner, slots, parts

    def __call__(self, query: Tensor) -> Tensor:
        """See `Chooser`."""
        return one_hot(self.owner[self.similarity(query).argmax(-1)], self.slots)

    def similarity(self, query: Tensor) -> Tensor:
        """Return each query's similarity (batch, keys) in [-1, 1]."""
        return F.normalize(query[:, : self.parts], dim=-1) @ F.normalize(self.keys, dim=-1).T

    def tensors(self) -> dict[str, Tensor]:
        """See `Chooser`."""
        return {"keys": self.keys, "owner": self.owner, "slots": torch.tensor(self.slots), "parts": torch.tensor(self.parts)}


def _read_router(tensors: Mapping[str, Tensor]) -> Router:
    weights = {name: value for name, value in tensors.items() if name.startswith("net.")}
    first, last = weights["net.0.weight"], weights["net.4.weight"]
    experts = int(tensors["experts"])
    router = Router(first.shape[1], first.shape[0], experts, int(tensors["top_k"]), shared=len(last) == experts)
    router.load_state_dict(weights)
    return router.requires_grad_(False).eval()


_READERS: dict[str, Callable[[Mapping[str, Tensor]], Chooser]] = {
    Routed.kind: lambda tensors: Routed(_read_router(tensors)),
    Classified.kind: lambda tensors: Classified(_read_router(tensors)),
    Nearest.kind: lambda tensors: Nearest(tensors["keys"], tensors["owner"], int(tensors["slots"]), int(tensors["parts"])),
}


def read_chooser(kind: str, tensors: Mapping[str, Tensor]) -> Chooser:
    """Return the chooser of a kind that has learned these tensors."""
    return _READERS[kind](tensors)
