"""Which experts the tasks of a library use, what is left of its router and replay memories without some of them, and smaller memories."""

from collections.abc import Mapping, Sequence

import numpy as np

from dmpel_core.experts.tensors import Tensors

PARTS = frozenset({"text", "features", "index", "coefficient"})
"""What a replay memory is made of."""


def share_of(memory: Mapping[str, np.ndarray], experts: int) -> np.ndarray:
    """Return each expert's share (experts,) of the coefficients that a replay memory stores; zeros where it stores none."""
    if not memory.keys() >= PARTS:
        return np.zeros(experts)
    total = np.bincount(memory["index"].ravel(), memory["coefficient"].ravel(), experts)
    return np.asarray(total / max(total.sum(), 1e-12))


def under_used(shares: np.ndarray, below: float) -> set[int]:
    """Return the experts whose mean share (tasks, experts) of all tasks' coefficients is below a limit."""
    return {expert for expert, share in enumerate(shares.T) if share.mean() < below}


def narrowed(router: Mapping[str, np.ndarray], kept: Sequence[int], experts: int) -> Tensors:
    """Return a router of so many experts without the columns of all but those `kept`."""
    wide = {"net.4.weight": (-1, experts, router["net.4.weight"].shape[1]), "net.4.bias": (-1, experts)}
    columns = {name: router[name].reshape(shape)[:, kept] for name, shape in wide.items()}
    return {**router, **{name: value.reshape(-1, *value.shape[2:]) for name, value in columns.items()}}


def renumbered(memory: Tensors, kept: Sequence[int], experts: int) -> Tensors:
    """Return a replay memory without the coefficients of all experts but those `kept`, which are counted anew."""
    if not memory.keys() >= PARTS:
        return memory
    index, values = memory["index"], memory["coefficient"]
    dense = np.zeros((*index.shape[:2], experts), np.float32)
    np.put_along_axis(dense, index.astype(np.int64), values, 2)
    rest = dense[:, :, kept]
    chosen = np.argsort(-rest, axis=2, kind="stable")[:, :, : index.shape[2]]
    return {**memory, "index": chosen.astype(np.int32), "coefficient": np.take_along_axis(rest, chosen, 2)}


def sampled(memory: Tensors, share: float, seed: int) -> Tensors:
    """Return a replay memory with a share of its samples, at least one, drawn without regard to what they are."""
    if not memory.keys() >= PARTS:
        return memory
    count = len(memory["features"])
    chosen = np.sort(np.random.default_rng(seed).permutation(count)[: max(1, round(share * count))])
    return {**memory, **{name: memory[name][chosen] for name in PARTS - {"text"}}}
