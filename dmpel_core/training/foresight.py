"""Does the policy look? Its foreseen waypoints on demonstrations that it was not trained on, seeing and blind."""

import numpy as np
import torch
from torch import Tensor

from dmpel_core.policy.policy import Frames, Policy
from dmpel_core.training.pictures import PictureSet


@torch.inference_mode()
def foresight(policy: Policy, data: PictureSet, texts: Tensor) -> dict[str, float]:
    """Return how far the foreseen waypoints are off on the held-out demonstrations [cm, median], with the pictures and with black ones.

    The median, because nobody can foresee what a disturbance brings: fingers that close late, or on nothing, put a waypoint 20 cm away.
    A policy whose two figures are the same does not look. One that foresees no waypoints has no such figures.
    """
    if not policy.sizes.waypoint:
        return {}
    policy.eval()
    window, last = policy.sizes.window, data.timeline.lengths.cumsum()[data.held_out]
    starts = np.concatenate(
        [np.arange(end - length, end, window) for end, length in zip(last, data.timeline.lengths[data.held_out], strict=True)]
    )
    errors: dict[str, list[Tensor]] = {"held_out_cm": [], "held_out_blank_cm": []}
    for part in np.array_split(starts, len(starts) // 32 + 1):
        batch = data.timeline.sequences(part, window, policy.sizes.chunk)
        pictures = data.pictures[batch.index].to(texts.device).float() / 255
        for name, light in zip(errors, (1.0, 0.0), strict=True):
            tokens = policy.image.trunk((light * pictures).flatten(0, 1)).unflatten(0, batch.index.shape)
            frames = Frames(tokens, data.joints[batch.index].to(tokens.device), data.gripper[batch.index].to(tokens.device))
            _, ways = policy.act_and_foresee(policy.tokens(frames, texts[data.sentence[batch.index[:, 0]]]))
            assert ways is not None
            distance = (ways.cpu() - data.waypoints[batch.index]).norm(dim=-1)  # (sequences, window) [dm]
            errors[name].append(distance[batch.valid[..., 0] > 0])
    policy.train()
    return {name: 10 * torch.cat(parts).median().item() for name, parts in errors.items()}
