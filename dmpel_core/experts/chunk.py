"""A policy with its experts on whole sequences, as training needs it."""

import torch
from torch import Tensor

from dmpel_core.experts.pool import ExpertPool
from dmpel_core.policy.head import ActionMixture
from dmpel_core.policy.policy import Frames, Policy


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
        ends: (batch,), place of each instruction's last token; None where they have one length.
        dropout: On the coefficients.
        state: See `Policy.tokens`.
        horizon: See `TemporalTransformer.forward`.
    """
    mixture = pool.mix(coefficients, dropout)
    tokens = policy.tokens(frames, policy.text.encode(words, mixture, ends), mixture, state)
    return policy.act_and_foresee(tokens, mixture, horizon)


def act_causally(
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
    """Return each tick's action mixture and foreseen waypoint exactly as an engine computes them from the start of an episode.

    Every tick has its own coefficients. Its picture and joints keep that mixture in the window, and the temporal transformer and
    the head run on the window with the mixture of the newest tick: once for each tick, so this costs as many passes of them, and
    as many mixtures, as the sequence has ticks.

    Args:
        policy: The frozen backbone.
        pool: The experts.
        coefficients: (batch, ticks, 6, experts), the router's answers to `Policy.running_query`.
        frames: (batch, ticks), at most as many ticks as the window.
        words: As for `act_on_chunk`, and so are the others.
        ends: (batch,).
        dropout: On the coefficients, drawn for each tick.
        state: (batch, ticks, 9).
        horizon: (batch,).
    """
    batch, ticks = coefficients.shape[:2]
    mixture = pool.mix(coefficients.flatten(0, 1), dropout)  # of batch * ticks samples
    ends, horizon = (None if part is None else part.repeat_interleave(ticks) for part in (ends, horizon))
    text = policy.text.encode(words.repeat_interleave(ticks, 0), mixture, ends)
    apart = Frames(*(part.flatten(0, 1)[:, None] for part in (frames.tokens, frames.joints, frames.gripper)))
    tokens = policy.tokens(apart, text, mixture, None if state is None else state.flatten(0, 1)[:, None])
    windows = tokens.unflatten(0, (batch, ticks)).squeeze(2).repeat_interleave(ticks, 0)  # of each tick the whole sequence
    rows = torch.arange(batch * ticks, device=tokens.device)
    features = policy.temporal(windows, mixture, horizon)[rows, rows % ticks]  # what a tick sees of later ones is masked
    answer, ways = policy.head(features, mixture), policy.foresee(features)
    parts = (part.unflatten(0, (batch, ticks)) for part in (answer.logits, answer.mean, answer.std))
    return ActionMixture(*parts), None if ways is None else ways.unflatten(0, (batch, ticks))
