"""What the router is asked: each tick's frozen features, and how those of a sequence become one query."""

import torch
from torch import Tensor

from dmpel_core.policy.sizes import PolicySizes


def sequence_query(ticks: Tensor, sizes: PolicySizes, text_width: int) -> Tensor:
    """Return one query for each sequence, as the published policy is trained: the mean over all ticks, later ones included.

    Args:
        ticks: (batch, ticks, text_width + cameras * image_width + 9), see `Policy.query`.
        sizes: Which parts the query has.
        text_width: Width of the sentence embedding.

    Returns:
        (batch, query_width): text; for each camera the mean class token and the last one minus the first; mean joints and fingers.
    """
    if sizes.query_mean and sizes.query_state and not sizes.query_difference:
        return ticks.mean(1)
    views = len(sizes.cameras) * sizes.image_width
    text, classes, state = ticks.split([text_width, views, ticks.shape[-1] - text_width - views], -1)
    parts = [text.mean(1)]
    for camera in classes.split(sizes.image_width, -1):
        if sizes.query_mean:
            parts.append(camera.mean(1))
        if sizes.query_difference:
            parts.append(camera[:, -1] - camera[:, 0])
    if sizes.query_state:
        parts.append(state.mean(1))
    return torch.cat(parts, -1)


def running_query(ticks: Tensor, sizes: PolicySizes, text_width: int) -> Tensor:
    """Return a query for each tick from it and the ticks before, as at inference: (batch, ticks, query_width).

    The sequence must be no longer than the window over which an engine averages.
    """
    alone = sequence_query(ticks.flatten(0, 1)[:, None], sizes, text_width).unflatten(0, ticks.shape[:2])
    count = torch.arange(1, ticks.shape[1] + 1, device=ticks.device, dtype=ticks.dtype)
    return alone.cumsum(1) / count[:, None]


def query_width(sizes: PolicySizes, text_width: int, state_width: int) -> int:
    """Return the width of the router's query."""
    views = len(sizes.cameras) * sizes.image_width * (sizes.query_mean + sizes.query_difference)
    return text_width + views + state_width * sizes.query_state
