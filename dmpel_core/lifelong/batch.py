"""The sequences of one step, drawn from one task or several, and how a policy acts on them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from dmpel_core.lifelong.tasks import TaskData
from dmpel_core.policy.adapted import Mixture
from dmpel_core.policy.head import ActionMixture
from dmpel_core.policy.policy import Frames, Policy
from dmpel_core.training.augmentation import augment, disturb_state, short_memory
from dmpel_core.training.episodes import Sequences
from dmpel_core.training.schedule import chance_for, shape_for
from dmpel_core.training.settings import LearnSettings

STREAMS = 3
"""How many batches a step may draw that have nothing to do with each other."""


@dataclass(frozen=True)
class Source:
    """A task's frames that a step may draw sequences from.

    Attributes:
        data: The task.
        among: (n,), frames; with `fixed` the first frames of whole remembered windows, and nothing outside of these is read.
        fixed: Whether they are.
    """

    data: TaskData
    among: np.ndarray
    fixed: bool = False

    def sequences(self, rng: np.random.Generator, rows: int, ticks: int, window: int, chunk: int, padding: str) -> Sequences:
        """Draw `rows` sequences of `ticks` ticks."""
        timeline = self.data.timeline
        if not self.fixed:
            return timeline.batch(rng, self.among, (rows, ticks), chunk, padding)
        starts = self.among[rng.integers(len(self.among), size=rows)]
        later = np.minimum(starts + rng.integers(window - ticks + 1, size=rows), timeline.last[starts])
        return timeline.sequences(later, ticks, chunk)


@dataclass(frozen=True)
class Batch:
    """Sequences with everything that a policy and its losses need.

    Attributes:
        sequences: Actions and which of them count.
        waypoints: (rows, ticks, 3) [dm].
        frames: After the frozen half of the image tower; None where the policy has to look at `pictures` itself.
        pictures: (rows, ticks, cameras, 3, pixels, pixels) in [0, 1], or None.
        joints: (rows, ticks, 7) [rad].
        gripper: (rows, ticks, 2) [m].
        features: (rows, ticks, features), what router queries are made of, or None.
        state: (rows, ticks, 9), normalised, disturbed in training.
        horizon: (rows,), ticks that each sample may look back.
        words: (tasks, tokens, width), the instructions of these sequences after the frozen half of the text tower.
        ends: (tasks,), place of each instruction's last token; None for a single one.
        task: (rows,), from which of the sources each sequence is, and so whose instruction counts.
    """

    sequences: Sequences
    waypoints: Tensor
    frames: Frames | None
    pictures: Tensor | None
    joints: Tensor
    gripper: Tensor
    features: Tensor | None
    state: Tensor
    horizon: Tensor
    words: Tensor
    ends: Tensor | None
    task: Tensor

    def rows(self, chosen: Tensor) -> "Batch":
        """Return some of the sequences; `chosen` (rows,) is True for them."""

        def pick(part: Tensor | None) -> Tensor | None:
            return None if part is None else part[chosen]

        parts = self.sequences
        frames = None if self.frames is None else Frames(self.frames.tokens[chosen], self.joints[chosen], self.gripper[chosen])
        return Batch(
            Sequences(parts.index[chosen.to(parts.index.device)], parts.actions[chosen], parts.valid[chosen]),
            self.waypoints[chosen], frames, pick(self.pictures), self.joints[chosen], self.gripper[chosen], pick(self.features),
            self.state[chosen], self.horizon[chosen], self.words, self.ends, self.task[chosen],
        )  # fmt: skip


def draw(
    sources: Sequence[Source],
    step: int,
    settings: LearnSettings,
    policy: Policy,
    *,
    looks: bool,
    device: torch.device,
    shape: tuple[int, int] | None = None,
    stream: int = 0,
    process: int = 0,
) -> Batch:
    """Draw the sequences of one step, as many from each source as its share of all frames makes likely.

    Args:
        sources: Tasks with the frames that may be drawn.
        step: Of the training.
        settings: Seed, batch and noise.
        policy: Whose sizes and normalisation count.
        looks: Whether the policy's trunk is trained, so that it needs pictures, changed at random; if not, it is given frozen features.
        device: Where the batch goes.
        shape: How many sequences, and of how many ticks each; None for what the step's turn is.
        stream: Another number, below `STREAMS`, draws other sequences for the same step.
        process: Which of several processes draws; each draws others.
    """
    rng, chance = chance_for(settings.seed, step, stream + STREAMS * process)
    rows, ticks = shape or shape_for(step, settings.batch, policy.sizes.window, settings.windows)
    shares = np.array([len(source.among) for source in sources], float)
    counts = rng.multinomial(rows, shares / shares.sum())
    drawn = list(zip(sources, counts.tolist(), strict=True))
    parts = [source.sequences(rng, count, ticks, policy.sizes.window, policy.sizes.chunk, settings.padding) for source, count in drawn]
    views = [rng.integers(settings.views, size=count) for _, count in drawn]
    batch = gather([source.data for source, _ in drawn], parts, views, policy, looks=looks, device=device)
    state = disturb_state(batch.state, settings.state_noise, settings.state_dropout, chance)
    horizon = short_memory(rows, ticks, settings.forget, chance).to(device)
    pictures = None if batch.pictures is None else augment(batch.pictures, chance)
    return Batch(**{**vars(batch), "state": state, "horizon": horizon, "pictures": pictures})


def gather(
    tasks: Sequence[TaskData],
    parts: Sequence[Sequences],
    views: Sequence[np.ndarray],
    policy: Policy,
    *,
    looks: bool,
    device: torch.device,
) -> Batch:
    """Read the given sequences of each task, undisturbed, with frozen features of the given views."""
    pairs = list(zip(tasks, parts, strict=True))
    joints = torch.cat([data.joints[part.index] for data, part in pairs]).to(device)
    gripper = torch.cat([data.gripper[part.index] for data, part in pairs]).to(device)
    frames = pictures = features = None
    if looks:
        shown = [data.pictures[part.index.numpy()] for data, part in pairs if data.pictures is not None]
        pictures = torch.from_numpy(np.concatenate(shown)).to(device).float() / 255
    else:
        held = [(data.features, part, view) for (data, part), view in zip(pairs, views, strict=True) if data.features is not None]
        tokens = torch.cat([kept.frames(view, part.index, device).tokens for kept, part, view in held])
        frames = Frames(tokens, joints, gripper)
        features = torch.cat([kept.query(view, part.index) for kept, part, view in held]).to(device)
    rows, ticks = joints.shape[:2]
    several = len(tasks) > 1
    return Batch(
        sequences=Sequences(*(torch.cat([getattr(part, name) for part in parts]) for name in ("index", "actions", "valid"))).to(device),
        waypoints=torch.cat([data.waypoints[part.index] for data, part in pairs]).to(device),
        frames=frames,
        pictures=pictures,
        joints=joints,
        gripper=gripper,
        features=features,
        state=policy.proprioception.normalise(joints, gripper),
        horizon=torch.full((rows,), ticks, device=device),
        words=pad_sequence([data.words[0] for data in tasks], batch_first=True).to(device),
        ends=torch.tensor([data.words.shape[1] - 1 for data in tasks], device=device) if several else None,
        task=torch.arange(len(tasks), device=device).repeat_interleave(torch.tensor([len(part.index) for part in parts], device=device)),
    )


def act(policy: Policy, batch: Batch, mixture: Mixture | None = None) -> tuple[ActionMixture, Tensor | None]:
    """Return each tick's action mixture and foreseen waypoint.

    Args:
        policy: Looks at the batch's pictures itself where there are some.
        batch: The sequences.
        mixture: Mixed factors for each sequence, or None for the policy's own weights.
    """
    frames = batch.frames
    if frames is None:
        assert batch.pictures is not None
        tokens = policy.image.trunk(batch.pictures.flatten(0, 1)).unflatten(0, batch.pictures.shape[:2])
        frames = Frames(tokens, batch.joints, batch.gripper)
    if mixture is None:
        text = policy.text.encode(batch.words, None, batch.ends)[batch.task]  # once for each task
    else:
        text = policy.text.encode(batch.words[batch.task], mixture, None if batch.ends is None else batch.ends[batch.task])
    return policy.act_and_foresee(policy.tokens(frames, text, mixture, batch.state), mixture, batch.horizon)
