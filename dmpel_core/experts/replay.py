"""Coefficient replay: what the router answered while a task was learned, kept so that later routers answer the same."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dmpel_core.experts.router import Router


@dataclass(frozen=True)
class ReplayMemory:
    """One task's stored queries and the router's answers to them.

    Attributes:
        text: (text_width,), the query's text part, the same for the whole task.
        features: (samples, rest), the rest of each query.
        index: (samples, 6, k) int32, experts that were chosen.
        coefficient: (samples, 6, k), their coefficients.
    """

    text: np.ndarray
    features: np.ndarray
    index: np.ndarray
    coefficient: np.ndarray

    @classmethod
    def of(cls, queries: Tensor, text_width: int, coefficients: Tensor, top_k: int) -> "ReplayMemory":
        """Store queries (samples, width) with the sparse coefficients (samples, 6, experts) that a router gave them."""
        values, index = coefficients.topk(min(top_k, coefficients.shape[-1]), -1)
        return cls(
            queries[0, :text_width].numpy(),
            queries[:, text_width:].contiguous().numpy(),
            index.to(torch.int32).numpy(),
            values.numpy(),
        )

    def tensors(self) -> dict[str, np.ndarray]:
        """Return the arrays by name, as they stand in a library."""
        return {"text": self.text, "features": self.features, "index": self.index, "coefficient": self.coefficient}

    def queries(self) -> Tensor:
        """Return the full queries, (samples, width)."""
        features = torch.from_numpy(self.features)
        return torch.cat([torch.from_numpy(self.text).expand(len(features), -1), features], 1)

    def targets(self, experts: int) -> Tensor:
        """Return the stored coefficients among `experts` experts, (samples, 6, experts), zero elsewhere."""
        index, values = torch.from_numpy(self.index).long(), torch.from_numpy(self.coefficient)
        return torch.zeros(*index.shape[:2], experts).scatter(-1, index, values)


def replay_loss(router: Router, queries: Tensor, targets: Tensor, *, dense: bool = False) -> Tensor:
    """Return the mean squared error between the router's answer and the stored one.

    Args:
        router: The router that is trained.
        queries: (batch, query_width).
        targets: (batch, 6, experts), zero outside the stored top-k.
        dense: Compare the coefficients of all experts. The published loss compares the router's own top-k, so that an expert
            that should be among them and is not gets no gradient.
    """
    return F.mse_loss(router.dense(queries) if dense else router(queries), targets)
