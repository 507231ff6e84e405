"""The router: from frozen features to one coefficient for each module group and expert."""

import math
from typing import cast

import torch
from torch import Tensor, nn

from dmpel_core.groups import GROUPS


class Router(nn.Module):
    """Three linear layers; coefficients are 2 sigmoid(.), so that an expert can be turned up to twice its strength.

    It starts at 1 / k for every expert, where k experts are mixed; `fresh_router` is what a new task is learned with. A `shared` router
    gives all module groups the same coefficients.
    """

    def __init__(self, query_width: int, hidden: int, experts: int, top_k: int, *, shared: bool = False) -> None:
        super().__init__()
        self.experts = experts
        self.top_k = min(top_k, experts)
        self.rows = 1 if shared else len(GROUPS)
        last = nn.Linear(hidden, self.rows * experts)
        self.net = nn.Sequential(
            nn.Linear(query_width, hidden),
            nn.GELU(approximate="tanh"),
            nn.Linear(hidden, hidden),
            nn.GELU(approximate="tanh"),
            last,
        )
        start = 0.5 / self.top_k
        nn.init.constant_(last.bias, math.log(start / (1 - start)))

    def forward(self, query: Tensor) -> Tensor:
        """Map queries (batch, query_width) to sparse coefficients (batch, 6, experts), zero outside the top-k."""
        return keep_top(self.dense(query), self.top_k)

    def dense(self, query: Tensor) -> Tensor:
        """Map queries (batch, query_width) to the coefficients of all experts, (batch, 6, experts); always in float32."""
        with torch.autocast(query.device.type, enabled=False):
            coefficients = 2 * self.net(query.float()).sigmoid()
        return coefficients.view(-1, self.rows, self.experts).expand(-1, len(GROUPS), -1)


def fresh_router(query_width: int, hidden: int, experts: int, top_k: int, *, shared: bool = False, others: float | None = None) -> Router:
    """Return a router to learn a new expert with, which is the last one and starts at 1, as the only expert of a first task does.

    With a start like that of the others chance would decide whether it is among the top-k of a module group. Among ten experts it
    mostly is not, and what is not mixed gets no gradient. The `others` start at 1 / k each unless they are given another coefficient.
    """
    router = Router(query_width, hidden, experts, top_k, shared=shared)
    last = cast(nn.Linear, router.net[-1])
    with torch.no_grad():
        if others is not None:
            last.bias.fill_(math.log(others / (2 - others)))
        last.bias.view(-1, experts)[:, -1] = 0.0
    return router


def keep_top(dense: Tensor, k: int) -> Tensor:
    """Keep the k largest values of the last axis and put zeros elsewhere; the kept ones are not renormalised."""
    values, index = dense.topk(k, -1)
    return torch.zeros_like(dense).scatter(-1, index, values)
