"""The router in numpy, for engines without torch: the arithmetic of `dmpel_core.experts.router.Router`."""

from collections.abc import Mapping

import numpy as np

from dmpel_core.groups import GROUPS

_LAYERS = ("net.0", "net.2", "net.4")


class FlatRouter:
    """Three linear layers with tanh-GELU between them, 2 sigmoid at the end, and the top-k of each module group."""

    def __init__(self, tensors: Mapping[str, np.ndarray], top_k: int) -> None:
        """Take the router's tensors as a library stores them."""
        self._weights = [np.ascontiguousarray(tensors[f"{layer}.weight"].T) for layer in _LAYERS]
        self._biases = [tensors[f"{layer}.bias"] for layer in _LAYERS]
        self.experts = len(self._biases[-1]) // len(GROUPS)
        self.top_k = min(top_k, self.experts)

    def __call__(self, query: np.ndarray) -> np.ndarray:
        """Map a query (query_width,) to sparse coefficients (6, experts), zero outside the top-k."""
        x = query
        for weight, bias in zip(self._weights[:-1], self._biases[:-1], strict=True):
            x = gelu_tanh(x @ weight + bias)
        logits = (x @ self._weights[-1] + self._biases[-1]).reshape(len(GROUPS), self.experts)
        dense = (2 / (1 + np.exp(-logits))).astype(np.float32)
        if self.top_k < self.experts:
            dropped = np.argpartition(-dense, self.top_k - 1, axis=1)[:, self.top_k :]
            np.put_along_axis(dense, dropped, 0, axis=1)
        return dense


def gelu_tanh(x: np.ndarray) -> np.ndarray:
    """Return GELU in its tanh form."""
    return 0.5 * x * (1 + np.tanh(np.float32(0.7978845608028654) * (x + np.float32(0.044715) * x * x * x)))
