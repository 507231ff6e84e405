"""Router pretraining on skills, before an expert is trained (after MoSE, arXiv 2507.07818).

A new router is taught three things at once: to give the contexts of old tasks their stored coefficients, to prefer for the new task
the new expert and the old ones of the same skill, and to tell the new task's phases apart in its last hidden layer, by a linear
read-out that is thrown away. Then the expert is trained jointly with this router, and coefficient replay follows as ever.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmpel_core.data.hdf5 import list_demonstrations
from dmpel_core.experts.replay import ReplayMemory, replay_loss
from dmpel_core.experts.router import Router
from dmpel_core.policy.policy import Policy
from dmpel_core.skills.command import annotate_file
from dmpel_core.skills.labels import CORRECTED, TRUE, UNSAID, read_labels
from dmpel_core.skills.vocabulary import PHASES, SkillError, skill_of
from dmpel_core.training.features import FeatureSet, plain_queries
from dmpel_core.training.settings import LearnSettings

CHOICES = ("none", "true", "annotated", "shuffled")
"""Which labels pretrain the router: the expert's own, the annotator's, or, as the control, the expert's in random order."""
STEPS, BATCH, LEARNING_RATE, PHASE_WEIGHT = 400, 64, 1e-3, 0.1


def started_router(
    policy: Policy,
    data: FeatureSet,
    files: Sequence[Path],
    limit: int | None,
    instruction: str,
    known: Sequence[str],
    memories: Sequence[ReplayMemory],
    settings: LearnSettings,
) -> Router | None:
    """Return the router that the training of a new expert starts from; None for a fresh one, as published.

    Args:
        policy: The frozen backbone.
        data: The new task's frozen features.
        files: The demonstrations behind them, with their labels.
        limit: Only the first demonstrations of each file.
        instruction: The new task's.
        known: Those of the old experts' tasks.
        memories: Coefficient replay of the old tasks.
        settings: Of the training; `skills` says which labels count.

    Raises:
        SkillError: True labels are asked for and a file has none.
    """
    if settings.skills == "none":
        return None
    phases = phases_for(files, limit, settings.skills, settings.seed)
    akin = akin_to(instruction, known, shuffle=settings.skills == "shuffled", seed=settings.seed)
    return pretrain_router(policy, data, phases, akin, memories, settings.seed)


def phases_for(files: Sequence[Path], limit: int | None, kind: str, seed: int) -> np.ndarray:
    """Return the phase of every tick of some demonstrations, end to end as training lays them.

    Args:
        files: Of the new task.
        limit: Only the first demonstrations of each.
        kind: `true`, `annotated` or `shuffled`.
        seed: Of the shuffling.

    Raises:
        SkillError: True labels are asked for and a file has none.
    """
    parts = []
    for path in files:
        found = annotate_file(path, limit) if kind == "annotated" else {}
        for name, length in list(list_demonstrations(path).items())[:limit]:
            labels = found.get(name) if kind == "annotated" else read_labels(path, name, TRUE)
            if labels is None:
                raise SkillError(f"{path}: {name} has no phases of the scripted expert; choose annotated labels")
            corrected = read_labels(path, name, CORRECTED)
            known = labels if corrected is None else np.where(corrected == UNSAID, labels, corrected)
            parts.append(known[-length:])
    every = np.concatenate(parts)
    return np.random.default_rng(seed).permutation(every) if kind == "shuffled" else every


def pretrain_router(
    policy: Policy, data: FeatureSet, phases: np.ndarray, akin: Sequence[bool], memories: Sequence[ReplayMemory], seed: int
) -> Router:
    """Return a new router, pretrained on skills.

    Args:
        policy: The frozen backbone.
        data: The new task's frozen features.
        phases: Of its frames, (frames,).
        akin: For each old expert, whether its task has the new task's skill.
        memories: Coefficient replay of the old tasks.
        seed: Of weights and batches.
    """
    torch.manual_seed(seed)
    sizes, rng = policy.sizes, np.random.default_rng(seed)
    router = Router(policy.query_width, sizes.router_hidden, len(akin) + 1, sizes.top_k, shared=sizes.router_shared)
    readout = nn.Linear(sizes.router_hidden, len(PHASES))
    prior = prior_for(akin, router.top_k)
    old = [(memory.queries(), memory.targets(router.experts)) for memory in memories]
    starts = rng.permutation(len(data.timeline))
    last = np.minimum(np.arange(len(starts)) + sizes.window - 1, data.timeline.last)  # the frame that a sequence's query ends with
    optimizer = torch.optim.AdamW([*router.parameters(), *readout.parameters()], lr=LEARNING_RATE)
    for step in range(STEPS):
        rows = starts[np.arange(step * BATCH, (step + 1) * BATCH) % len(starts)]
        queries = plain_queries(policy, data, rows)
        hidden = router.net[:-1](queries)
        said = F.cross_entropy(readout(hidden), torch.from_numpy(phases[last[rows]]).long())
        loss = F.mse_loss(router.dense(queries), prior.expand(len(rows), *prior.shape)) + PHASE_WEIGHT * said
        for stored, targets in old:
            drawn = torch.from_numpy(rng.integers(len(stored), size=BATCH))
            loss = loss + replay_loss(router, stored[drawn], targets[drawn], dense=True)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return router


def akin_to(instruction: str, known: Sequence[str], *, shuffle: bool, seed: int) -> list[bool]:
    """Return for each known instruction whether it asks for the skill that a new one asks for; shuffled for the control."""
    akin = [skill_of(other) == skill_of(instruction) for other in known]
    return np.random.default_rng(seed).permutation(akin).tolist() if shuffle else akin


def prior_for(akin: Sequence[bool], top_k: int) -> Tensor:
    """Return the coefficients (6, experts) that a new task starts with: the new expert's and those of its skill's, 1 / k each."""
    chosen = torch.tensor([*akin, True], dtype=torch.float32) / top_k
    return chosen.expand(6, -1)
