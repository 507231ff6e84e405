"""The router in numpy, for engines without torch: the arithmetic of `dmpel_core.experts.router.Router`.

Every number is one sum of its own (einsum without BLAS), so that an expert's coefficient does not change by a rounding when
others are added beside it, and no thread but the caller's works.

Only the few largest logits count, and from one tick to the next the last layer's input h moves little. So logits are kept from
an earlier input: |w (h - h')| <= |w| |h - h'| tells which experts can be among the largest now, and only theirs are computed.
The answer is that of computing all of them.
"""

from collections.abc import Mapping

import numpy as np

from dmpel_core.experts.manifest import LibraryError
from dmpel_core.groups import GROUPS

MANY = 512  # logits, from which on it pays to look for those that can matter
SLACK = 1e-3  # added to the bounds, far more than the rounding of a logit
LOWEST = -80.0  # a logit below it is no different, and exp of its opposite would overflow


class FlatRouter:
    """Three linear layers with tanh-GELU between them, 2 sigmoid at the end, and the top-k of each module group.

    Not safe to share between threads: it keeps what it computed last.
    """

    def __init__(self, tensors: Mapping[str, np.ndarray], experts: int, width: int, top_k: int, *, shared: bool) -> None:
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
        _check(tensors, self.rows * experts, width)
        self._first, self._second, self._last = (_layer(tensors, name) for name in ("net.0", "net.2", "net.4"))
        self._reach = np.sqrt(np.einsum("ok,ok->o", self._last[0], self._last[0]))
        self._kept: tuple[np.ndarray, np.ndarray] | None = None
        self.hidden = np.zeros_like(self._second[1])  # the last query's, for what is told beside the action

    def __call__(self, query: np.ndarray) -> np.ndarray:
        """Map a query (width,) to sparse coefficients (6, experts), zero outside the top-k."""
        self.hidden = hidden = gelu_tanh(linear(self._second, gelu_tanh(linear(self._first, query))))
        logits = self._logits(hidden).reshape(self.rows, self.experts)
        chosen = np.argpartition(logits, self.experts - self.top_k, axis=1)[:, self.experts - self.top_k :]
        coefficients = np.zeros((len(GROUPS), self.experts), np.float32)
        values = 2 / (1 + np.exp(-np.maximum(np.take_along_axis(logits, chosen, 1), LOWEST)))
        np.put_along_axis(coefficients, np.broadcast_to(chosen, (len(GROUPS), self.top_k)), values, 1)
        return coefficients

    def _logits(self, hidden: np.ndarray) -> np.ndarray:
        """Return all logits, or those that can be among the largest and minus infinity for the others."""
        if len(self._reach) >= MANY and self._kept is not None:
            able = self._able(hidden, *self._kept)
            if self.rows * self.top_k <= len(able) < len(self._reach) // 4:
                logits = np.full(len(self._reach), -np.inf, np.float32)
                logits[able] = linear((self._last[0][able], self._last[1][able]), hidden)
                return logits
        logits = linear(self._last, hidden)
        self._kept = (hidden, logits)
        return logits

    def _able(self, hidden: np.ndarray, before: np.ndarray, logits: np.ndarray) -> np.ndarray:
        """Return the places of logits that can be among a row's largest, given all logits of an earlier input."""
        moved = hidden - before
        reach = (self._reach * np.sqrt(moved @ moved) + SLACK).reshape(self.rows, -1)
        known = logits.reshape(self.rows, -1)
        certain = np.partition(known - reach, self.experts - self.top_k, axis=1)[:, self.experts - self.top_k]
        return np.flatnonzero(known + reach >= certain[:, None])


def linear(layer: tuple[np.ndarray, np.ndarray], x: np.ndarray) -> np.ndarray:
    """Apply weight (outputs, inputs) and bias (outputs,) to x (inputs,)."""
    return np.einsum("ok,k->o", layer[0], x) + layer[1]


def gelu_tanh(x: np.ndarray) -> np.ndarray:
    """Return GELU in its tanh form."""
    return 0.5 * x * (1 + np.tanh(np.float32(0.7978845608028654) * (x + np.float32(0.044715) * x * x * x)))


def _layer(tensors: Mapping[str, np.ndarray], name: str) -> tuple[np.ndarray, np.ndarray]:
    return np.ascontiguousarray(tensors[f"{name}.weight"], np.float32), np.asarray(tensors[f"{name}.bias"], np.float32)


def _check(tensors: Mapping[str, np.ndarray], outputs: int, width: int) -> None:
    hidden = len(tensors.get("net.0.bias", ()))
    shapes = {"net.0": (hidden, width), "net.2": (hidden, hidden), "net.4": (outputs, hidden)}
    wanted = {f"{name}.weight": shape for name, shape in shapes.items()} | {f"{name}.bias": shape[:1] for name, shape in shapes.items()}
    found = {name: value.shape for name, value in tensors.items()}
    if found != wanted:
        raise LibraryError(f"the router has tensors {found}, its experts and a query of {width} need {wanted}: learn the task again")
