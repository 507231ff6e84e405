"""Learning one expert: the newest factors and a new router are trained, everything else is frozen."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from dmpel_core.experts.chunk import act_causally, act_on_chunk
from dmpel_core.experts.pool import ExpertPool, Factors
from dmpel_core.experts.router import Router
from dmpel_core.policy.head import ActionMixture
from dmpel_core.policy.policy import Frames, Policy
from dmpel_core.training.augmentation import disturb_state, short_memory
from dmpel_core.training.compiled import compiled
from dmpel_core.training.features import FeatureSet, plain_queries
from dmpel_core.training.losses import imitation_loss, waypoint_loss
from dmpel_core.training.optimise import optimise
from dmpel_core.training.run import Run
from dmpel_core.training.schedule import chance_for, shape_for
from dmpel_core.training.settings import LearnSettings
from dmpel_core.training.start import Start
from dmpel_core.training.workers import on_processor

CHECKPOINT_EVERY = 100
REMEMBER = 512  # sequences whose features are in memory at once while queries are stored


class ExpertLosses(nn.Module):
    """A new expert and a new router whose `forward` draws one process's batch of a step and returns its losses, as `optimise` wants it.

    Args:
        policy: The frozen backbone; it gets no gradient.
        frozen: Factors of the earlier experts, which are no parameters of anything.
        start: The new expert and the router before the first step, see `start_for`.
        data: The task's frozen features.
        settings: Seed, batch and noise.
        accelerator: Device, and which of several processes this is.
        stills: Frozen features of the task's still pictures, if there are some.
    """

    def __init__(
        self,
        policy: Policy,
        frozen: Sequence[Factors],
        start: Start,
        data: FeatureSet,
        settings: LearnSettings,
        accelerator: Accelerator,
        stills: FeatureSet | None = None,
    ) -> None:
        super().__init__()
        device = accelerator.device
        self.factors = {name: nn.Parameter(value.to(device)) for name, value in start.factors.items()}
        self.newest = nn.ParameterList(self.factors.values())  # makes them known to what averages gradients
        earlier = [{name: value.to(device) for name, value in expert.items()} for expert in frozen]
        self.pool = ExpertPool(policy.modules_adapted, earlier, self.factors)
        self.router = start.router.to(device)
        self.policy = policy.to(device)
        self._data, self._stills, self._settings, self._words = data, stills, settings, data.text.to(device)
        self._device, self.process = device, accelerator.process_index
        self._answer = compiled(self._act) if settings.compiled else self._act

    def parameters_by_name(self) -> Mapping[str, Tensor]:
        """Return what is trained."""
        router = {f"router.{name}": value for name, value in self.router.named_parameters()}
        return {f"expert.{name}": value for name, value in self.factors.items()} | router

    def forward(self, step: int) -> tuple[Tensor, Tensor]:
        """Return the negative log-likelihood of one batch and the error of the foreseen waypoints [dm]."""
        data, settings, sizes, device = self._data, self._settings, self.policy.sizes, self._device
        rng, chance = chance_for(settings.seed, step, self.process)
        rows, window = shape_for(step, settings.batch, sizes.window, settings.windows)
        batch = data.timeline.batch(rng, np.arange(len(data.timeline)), (rows, window), sizes.chunk, settings.padding).to(device)
        view = rng.integers(len(data.tokens), size=rows)
        frames = data.frames(view, batch.index, device)
        state = self.policy.proprioception.normalise(frames.joints, frames.gripper)
        state = disturb_state(state, settings.state_noise, settings.state_dropout, chance)
        horizon = short_memory(rows, window, settings.forget, chance).to(device)
        actions, ways = self._answer(data.query(view, batch.index).to(device), frames, state, horizon)
        likelihood, way = imitation_loss(actions, ways, batch, data.waypoints[batch.index].to(device))
        return likelihood, way if self._stills is None else way + self._glance(self._stills, rng, chance)

    def _glance(self, stills: FeatureSet, rng: np.random.Generator, chance: torch.Generator) -> Tensor:
        """Return the error of the waypoints foreseen from still pictures, each a sequence of one tick."""
        settings, device = self._settings, self._device
        index = torch.from_numpy(rng.integers(len(stills.timeline), size=(settings.stills, 1)))
        view = rng.integers(len(stills.tokens), size=settings.stills)
        frames = stills.frames(view, index, device)
        state = self.policy.proprioception.normalise(frames.joints, frames.gripper)
        state = disturb_state(state, settings.state_noise, settings.state_dropout, chance)
        _, ways = self._answer(stills.query(view, index).to(device), frames, state, None)
        return waypoint_loss(ways, stills.waypoints[index].to(device)).mean()

    def _act(self, features: Tensor, frames: Frames, state: Tensor, horizon: Tensor | None) -> tuple[ActionMixture, Tensor | None]:
        """Route, mix and act on sequences, whose frozen features are (batch, ticks, features)."""
        policy, rows, ticks = self.policy, *features.shape[:2]
        act: Callable[..., tuple[ActionMixture, Tensor | None]]
        if self._settings.query == "causal":
            act, coefficients = act_causally, self.router(policy.running_query(features).flatten(0, 1)).unflatten(0, (rows, ticks))
        else:
            act, coefficients = act_on_chunk, self.router(policy.sequence_query(features))
        words, dropout = self._words.expand(rows, -1, -1), self._settings.coefficient_dropout
        return act(policy, self.pool, coefficients, frames, words, dropout=dropout, state=state, horizon=horizon)


def learn_expert(
    policy: Policy,
    frozen: Sequence[Factors],
    start: Start,
    data: FeatureSet,
    settings: LearnSettings,
    run: Run,
    identity: dict[str, str],
    accelerator: Accelerator | None = None,
    stills: FeatureSet | None = None,
) -> tuple[dict[str, Tensor], Router]:
    """Train the factors of a new expert together with a new router, going on from the run's checkpoint.

    Args:
        policy: The frozen backbone.
        frozen: Factors of the earlier experts, in no optimiser.
        start: The new expert and the router before the first step.
        data: The task's frozen features.
        settings: Steps, rates and noise.
        run: Where checkpoint and log go.
        identity: Names library and data; a checkpoint of others is refused.
        accelerator: Device and processes; None for the processor.
        stills: Frozen features of the task's still pictures, if there are some.

    Returns:
        The new factors and the router, on the processor, the same in all processes.
    """
    accelerator = accelerator or on_processor()
    losses = ExpertLosses(policy, frozen, start, data, settings, accelerator, stills)
    policy.temporal.train()  # dropout in the temporal transformer, as in pretraining
    checkpoint = run.folder / "expert.safetensors"
    optimise(losses, losses.parameters_by_name(), settings, run, checkpoint, identity, CHECKPOINT_EVERY, accelerator)
    policy.eval().cpu()
    return {name: value.detach().cpu() for name, value in losses.factors.items()}, losses.router.requires_grad_(False).eval().cpu()


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
    queries = torch.cat([plain_queries(policy, data, part) for part in np.split(chosen, range(REMEMBER, len(chosen), REMEMBER))])
    with torch.inference_mode():
        return queries, router(queries).clone()
