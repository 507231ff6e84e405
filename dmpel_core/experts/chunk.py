"""A policy with its experts on whole sequences, as training needs it."""

import torch
from torch import Tensor

from dmpel_core.experts.pool import ExpertPool
from dmpel_core.experts.router import Router
from dmpel_core.policy.adapted import Mixture
from dmpel_core.policy.clip_text import ClipTextTower
from dmpel_core.policy.head import ActionMixture
from dmpel_core.policy.policy import Frames, Policy


def encode_text(policy: Policy, words: Tensor, mixture: Mixture, ends: Tensor | None = None) -> Tensor:
    """Run the adapted half of the text tower on sentences of one length, or with CLIP's text model of several, (n, text_width)."""
    if ends is not None and isinstance(policy.text, ClipTextTower):
        return policy.text.encode(words, mixture, ends)
    return policy.text.encode(words, mixture)


def act_on_chunk(
    policy: Policy,
    pool: ExpertPool,
    coefficients: Tensor,
    frames: Frames,
    words: Tensor,
    *,
    ends: Tensor | None = None,
    dropout: float = 0.0,
    state: Tensor | None = None,
    horizon: Tensor | None = None,
) -> tuple[ActionMixture, Tensor | None]:
    """Return each tick's action mixture and foreseen waypoint, with one set of coefficients for all ticks of a sequence.

    Args:
        policy: The frozen backbone.
        pool: The experts.
        coefficients: (batch, 6, experts), the router's answer to `Policy.sequence_query`.
        frames: (batch, ticks).
        words: (batch, tokens, width), instructions after the frozen half of the text tower.
        ends: (batch,), see `ClipTextTower.encode`.
        dropout: On the coefficients.
        state: See `Policy.tokens`.
        horizon: See `TemporalTransformer.forward`.
    """
    mixture = pool.mix(coefficients, dropout)
    tokens = policy.tokens(frames, encode_text(policy, words, mixture, ends), mixture, state)
    return policy.act_and_foresee(tokens, mixture, horizon)


def act_causally(
    policy: Policy, pool: ExpertPool, router: Router, frames: Frames, words: Tensor, features: Tensor, *, ends: Tensor | None = None,
    dropout: float = 0.0,
) -> ActionMixture:  # fmt: skip
    """Return each tick's action mixture exactly as an engine computes it from the start of an episode.

    Every tick has its own coefficients, from the running mean of the queries so far. Its picture and joints keep that mixture in
    the window, and the temporal transformer and the head run on the window with the mixture of the newest tick: once for each
    tick, so this costs as many passes of them, and as many mixtures, as the sequence has ticks.

    Args:
        policy: The frozen backbone.
        pool: The experts.
        router: The router.
        frames: (batch, ticks), at most as many ticks as the window.
        words: (batch, tokens, width), instructions after the frozen half of the text tower.
        features: (batch, ticks, features), from `Policy.query`.
        ends: (batch,), see `ClipTextTower.encode`.
        dropout: On the coefficients.
    """
    batch, ticks = features.shape[:2]
    mixture = pool.mix(router(policy.running_query(features).flatten(0, 1)), dropout)  # of batch * ticks samples
    apart = Frames(*(part.flatten(0, 1)[:, None] for part in (frames.tokens, frames.joints, frames.gripper)))
    last = None if ends is None else ends.repeat_interleave(ticks)
    text = encode_text(policy, words.repeat_interleave(ticks, 0), mixture, last)
    windows = policy.tokens(apart, text, mixture).unflatten(0, (batch, ticks)).squeeze(2).repeat_interleave(ticks, 0)
    newest = torch.arange(ticks, device=features.device).repeat(batch)
    feature = policy.temporal(windows, mixture)[torch.arange(batch * ticks, device=features.device), newest]
    answer = policy.head(feature, mixture)
    return ActionMixture(*(part.unflatten(0, (batch, ticks)) for part in (answer.logits, answer.mean, answer.std)))
