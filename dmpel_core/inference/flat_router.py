"""The router in numpy, for engines without torch: the arithmetic of `dmpel_core.experts.router.Router`.

Every number is one sum of its own (einsum without BLAS), so that an expert's coefficient does not change by a rounding when
others are added beside it, and no thread but the caller's works.
"""

from collections.abc import Mapping

import numpy as np

from dmpel_core.experts.manifest import LibraryError
from dmpel_core.groups import GROUPS

_LAYERS = ("net.0", "net.2", "net.4")


class FlatRouter:
    """Three linear layers with tanh-GELU between them, 2 sigmoid at the end, and the top-k of each module group."""

    def __init__(self, tensors: Mapping[str, np.ndarray], experts: int, width: int, top_k: int, shared: bool) -> None:
        """Take a router as a library stores it.

        Args:
            tensors: Weights and biases of its layers.
            experts: Number of experts.
            width: Width of the query.
            top_k: Experts chosen in each module group.
            shared: Whether one row of coefficients serves all groups.

        Raises:
            LibraryError: A tensor is missing or of another shape.
        """
        self.rows = 1 if shared else len(GROUPS)
        self.experts, self.top_k = experts, min(top_k, experts)
        hidden = len(tensors.get("net.0.bias", ()))
        shapes = {"net.0": (hidden, width), "net.2": (hidden, hidden), "net.4": (self.rows * experts, hidden)}
        wanted = {f"{name}.weight": shape for name, shape in shapes.items()} | {f"{name}.bias": shape[:1] for name, shape in shapes.items()}
        found = {name: value.shape for name, value in tensors.items()}
        if found != wanted:
            raise LibraryError(f"the router has tensors {found}, {experts} experts and a query of {width} need {wanted}: learn the task again")
        self._layers = [(np.ascontiguousarray(tensors[f"{name}.weight"], np.float32), tensors[f"{name}.bias"]) for name in _LAYERS]

    def __call__(self, query: np.ndarray) -> np.ndarray:
        """Map a query (width,) to sparse coefficients (6, experts), zero outside the top-k."""
        x = query
        for number, (weight, bias) in enumerate(self._layers):
            x = np.einsum("ok,k->o", weight, x if number == 0 else gelu_tanh(x)) + bias
        logits = x.reshape(self.rows, self.experts)
        chosen = np.argpartition(-logits, self.top_k - 1, axis=1)[:, : self.top_k] if self.top_k < self.experts else slice(None)
        coefficients = np.zeros((len(GROUPS), self.experts), np.float32)
        for row, own in enumerate(logits):
            place = chosen[row] if isinstance(chosen, np.ndarray) else chosen
            coefficients[row if self.rows > 1 else slice(None), place] = 2 / (1 + np.exp(-own[place]))
        return coefficients


def gelu_tanh(x: np.ndarray) -> np.ndarray:
    """Return GELU in its tanh form."""
    return 0.5 * x * (1 + np.tanh(np.float32(0.7978845608028654) * (x + np.float32(0.044715) * x * x * x)))
