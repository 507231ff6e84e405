"""The router in numpy, for engines without torch: the arithmetic of `dmpel_core.experts.router.Router`.

Every number is one sum of its own (einsum without BLAS), so that an expert's coefficient does not change by a rounding when
others are added beside it, and no thread but the caller's works.

Only the few largest logits count, and the last layer is affine: of a weighted mean of earlier inputs h_i, whose logits are kept, it makes
the same weighted mean of their logits. The mean m that is nearest to the input h of now leaves |w (h - m)| <= |w| |h - m|, which tells
which experts can be among the largest, and only theirs are computed. Inputs move little from one tick to the next, and in few directions.
The answer is that of computing all of them.
"""

from collections.abc import Mapping

import numpy as np

from dmpel_core.experts.manifest import LibraryError
from dmpel_core.groups import GROUPS

MANY = 2000  # logits, from which on it pays to look for those that can matter
KEPT = 32  # earlier inputs whose logits are all known
FEW = 32  # one logit in so many is few enough to compute apart; if more can matter, all are computed and the input is kept
TINY = np.float32(1e-12)
RIDGE = 1e-6  # of the inputs' spread, keeps the weights of the mean small where inputs are nearly alike
SLACK = 1e-3  # added to the bounds, far more than the rounding of a logit
EVERY = np.arange(len(GROUPS))[:, None]  # group of each row
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
        self._known = Known(len(self._second[1]), len(self._reach))
        self._chosen = np.zeros((self.rows, self.top_k), int)
        self.hidden = np.zeros_like(self._second[1])  # the last query's, for what is told beside the action

    def __call__(self, query: np.ndarray) -> np.ndarray:
        """Map a query (width,) to sparse coefficients (6, experts), zero outside the top-k."""
        self.hidden = hidden = gelu_tanh(linear(self._second, gelu_tanh(linear(self._first, query))))
        self._chosen, logits = self._largest(hidden)
        coefficients = np.zeros((len(GROUPS), self.experts), np.float32)
        coefficients[EVERY, self._chosen] = 2 / (1 + np.exp(-np.maximum(logits, LOWEST)))
        return coefficients

    def _largest(self, hidden: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the experts of each row's `top_k` largest logits and these logits, both (rows, top_k), in no order."""
        if self._known:
            able = self._able(*self._known.nearest(hidden))
            if len(able) <= max(len(self._reach) // FEW, self.rows * self.top_k):
                logits = linear((self._last[0][able], self._last[1][able]), hidden)
                row, expert = np.divmod(able, self.experts)
                ends = np.searchsorted(row, EVERY[: self.rows], "right")
                best = np.lexsort((logits, row))[ends - 1 - np.arange(self.top_k)]
                return expert[best], logits[best]
        logits = linear(self._last, hidden)
        if len(logits) >= MANY:
            self._known.keep(hidden, logits)
        logits = logits.reshape(self.rows, self.experts)
        chosen = np.argpartition(logits, self.experts - self.top_k, axis=1)[:, self.experts - self.top_k :]
        return chosen, logits[EVERY[: self.rows], chosen]

    def _able(self, logits: np.ndarray, moved: float) -> np.ndarray:
        """Return the places of logits that can be among a row's largest, given all logits of an input that was so far away.

        Those that were chosen last are at least as large as the least of them can be, and any that cannot be as large is out.
        """
        reach = (self._reach * moved + SLACK).reshape(self.rows, -1)
        known = logits.reshape(self.rows, -1)
        last = EVERY[: self.rows], self._chosen
        certain = (known[last] - reach[last]).min(1, keepdims=True)
        return np.flatnonzero(known + reach >= certain)


class Known:
    """The last `KEPT` inputs of an affine layer whose outputs were all computed."""

    def __init__(self, inputs: int, outputs: int) -> None:
        self._inputs, self._outputs = np.zeros((KEPT, inputs), np.float32), np.zeros((KEPT, outputs), np.float32)
        self._count = 0

    def __bool__(self) -> bool:
        return self._count > 0

    def keep(self, x: np.ndarray, y: np.ndarray) -> None:
        """Keep an input (inputs,) with its outputs (outputs,) in the place of the oldest."""
        self._inputs[self._count % KEPT], self._outputs[self._count % KEPT] = x, y
        self._count += 1
        self._apart = self._inputs[1 : self._count] - self._inputs[0]
        gram = np.einsum("ik,jk->ij", self._apart, self._apart)
        gram.flat[:: len(gram) + 1] += RIDGE * gram.trace() + TINY
        self._solve = np.linalg.solve(gram, self._apart)  # (inputs kept - 1, inputs)

    def nearest(self, x: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the outputs of the weighted mean of kept inputs that is nearest to x (inputs,), and how far from x that is."""
        off = x - self._inputs[0]
        weights = np.einsum("ik,k->i", self._solve, off)
        off -= np.einsum("i,ik->k", weights, self._apart)
        every = np.concatenate([[1 - weights.sum()], weights]).astype(np.float32)
        return np.einsum("i,io->o", every, self._outputs[: len(every)]), float(np.sqrt(np.einsum("k,k->", off, off)))


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
