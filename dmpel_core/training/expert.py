"""Learning one expert: the newest factors and a new router are trained, everything else is frozen."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dmpel_core.experts.chunk import act_on_chunk
from dmpel_core.experts.pool import ExpertPool, start_expert
from dmpel_core.experts.router import Router
from dmpel_core.policy.policy import Policy
from dmpel_core.training.augmentation import disturb_state, short_memory
from dmpel_core.training.checkpoint import load_checkpoint, save_checkpoint
from dmpel_core.training.features import FeatureSet
from dmpel_core.training.losses import imitation_loss
from dmpel_core.training.run import Run
from dmpel_core.training.schedule import chance_for, set_learning_rate, shape_for
from dmpel_core.training.settings import LearnSettings

CHECKPOINT_EVERY = 100


def learn_expert(
    policy: Policy, frozen: list[dict[str, Tensor]], data: FeatureSet, settings: LearnSettings, run: Run, identity: dict[str, str]
) -> tuple[dict[str, Tensor], Router]:
    """Train the factors of a new expert together with a new router, going on from the run's checkpoint.

    Args:
        policy: The frozen backbone; it gets no gradient.
        frozen: Factors of the earlier experts, in no optimiser.
        data: The task's frozen features.
        settings: Steps, rates and noise.
        run: Where checkpoint and log go.
        identity: Names library and data; a checkpoint of others is refused.

    Returns:
        The new factors and the router.
    """
    torch.manual_seed(settings.seed)
    started = start_expert(policy.modules_adapted, frozen, torch.Generator().manual_seed(settings.seed))
    factors = {name: nn.Parameter(value) for name, value in started.items()}
    pool = ExpertPool(policy.modules_adapted, frozen, factors)
    router = Router(
        policy.query_width, policy.sizes.router_hidden, pool.count, policy.sizes.top_k, shared=policy.sizes.router_shared
    )  # fmt: skip
    parameters: dict[str, Tensor] = {
        **{f"expert.{k}": v for k, v in factors.items()},
        **{f"router.{k}": v for k, v in router.named_parameters()},
    }
    optimizer = torch.optim.AdamW(parameters.values(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    fixed = {**asdict(settings), **identity}
    checkpoint: Path = run.folder / "expert.safetensors"
    done = load_checkpoint(checkpoint, parameters, optimizer, fixed)
    policy.temporal.train()  # dropout in the temporal transformer, as in pretraining
    for step, report in run.steps(done, settings.steps):
        set_learning_rate(optimizer, settings.learning_rate, step, settings.steps)
        rng, chance = chance_for(settings.seed, step)
        likelihood, way = expert_loss(
            policy, pool, router, data, settings, shape_for(step, settings.batch, policy.sizes.window), rng, chance
        )
        loss = likelihood + settings.waypoint * way
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters.values(), settings.clip)
        optimizer.step()
        report(loss=likelihood.item(), waypoint_cm=10 * way.item())
        if (step + 1) % CHECKPOINT_EVERY == 0 or step + 1 == settings.steps:
            save_checkpoint(checkpoint, parameters, optimizer, step + 1, fixed)
    policy.eval()
    return {name: value.detach() for name, value in factors.items()}, router.requires_grad_(False).eval()


def expert_loss(
    policy: Policy,
    pool: ExpertPool,
    router: Router,
    data: FeatureSet,
    settings: LearnSettings,
    shape: tuple[int, int],
    rng: np.random.Generator,
    chance: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Return the negative log-likelihood of one batch and the error of the foreseen waypoints [dm].

    One set of coefficients serves all ticks of a sequence; `shape` is how many sequences, and of how many ticks.
    """
    sizes = policy.sizes
    rows, window = shape
    batch = data.timeline.sequences(data.timeline.draw(rng, np.arange(len(data.timeline)), rows, window), window, sizes.chunk)
    view = rng.integers(len(data.tokens), size=rows)
    frames = data.frames(view, batch.index)
    coefficients = router(policy.sequence_query(data.query(view, batch.index)))
    state = policy.proprioception.normalise(frames.joints, frames.gripper)
    state = disturb_state(state, settings.state_noise, settings.state_dropout, chance)
    actions, ways = act_on_chunk(
        policy, pool, coefficients, frames, data.text.expand(rows, -1, -1), dropout=sizes.coefficient_dropout,
        state=state, horizon=short_memory(rows, window, settings.forget, chance),
    )  # fmt: skip
    return imitation_loss(actions, ways, batch, data.waypoints[batch.index])


def remember(policy: Policy, router: Router, data: FeatureSet, ratio: float, seed: int) -> tuple[Tensor, Tensor]:
    """Return queries and the router's answers on a share of the plain sequences, for coefficient replay.

    Args:
        policy: The policy whose window the queries average over.
        router: The router as trained with the expert.
        data: The task's frozen features.
        ratio: Share of the sequences to keep, in (0, 1].
        seed: Of the choice.

    Returns:
        Queries (samples, query_width) and sparse coefficients (samples, 6, experts).
    """
    count = len(data.timeline)
    chosen = np.sort(np.random.default_rng(seed).permutation(count)[: max(1, round(ratio * count))])
    index = data.timeline.sequences(chosen, policy.sizes.window, policy.sizes.chunk).index
    queries = policy.sequence_query(data.query(np.zeros(len(chosen), int), index))
    with torch.inference_mode():
        return queries, router(queries).clone()
