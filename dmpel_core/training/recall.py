"""Coefficient replay: after a new task, retrain the router on what all tasks stored."""

import copy
from collections.abc import Sequence

import numpy as np
import torch

from dmpel_core.experts.replay import ReplayMemory, replay_loss
from dmpel_core.experts.router import Router

LEARNING_RATE, WEIGHT_DECAY, BATCH, CLIP = 1e-3, 0.01, 32, 100.0


def recall(router: Router, memories: Sequence[ReplayMemory], epochs: int, seed: int, *, dense: bool = False) -> tuple[Router, float]:
    """Train a copy of the router to answer every stored query as it was answered when its task was learned.

    Args:
        router: The router as trained with the newest expert.
        memories: One for each task, the newest included.
        epochs: Passes over all memories (paper: 10).
        seed: Of the order of the samples.
        dense: Whether the loss compares all experts' coefficients, see `replay_loss`.

    Returns:
        The router of the epoch with the lowest mean loss, and that loss.
    """
    trained = copy.deepcopy(router).requires_grad_(True)
    queries = torch.cat([memory.queries() for memory in memories])
    targets = torch.cat([memory.targets(router.experts) for memory in memories])
    optimizer = torch.optim.AdamW(trained.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    rng = np.random.default_rng(seed)
    best, best_loss = copy.deepcopy(router), float("inf")
    for _ in range(epochs):
        losses = []
        for rows in torch.from_numpy(rng.permutation(len(queries))).split(BATCH):
            loss = replay_loss(trained, queries[rows], targets[rows], dense=dense)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained.parameters(), CLIP)
            optimizer.step()
            losses.append(loss.item())
        if np.mean(losses) < best_loss:
            best, best_loss = copy.deepcopy(trained), float(np.mean(losses))
    return best.requires_grad_(False).eval(), best_loss
