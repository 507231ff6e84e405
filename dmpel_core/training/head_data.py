"""What auxiliary heads learn from: a tick's latent numbers, and what labels say of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dmpel_core.data.hdf5 import list_demonstrations, read_demonstration, read_task
from dmpel_core.inference.onnx_engine import OnnxEngine
from dmpel_core.skills.heads import LATEST
from dmpel_core.skills.labels import best_labels, stored_skill
from dmpel_core.skills.queries import observation_at
from dmpel_core.skills.vocabulary import SKILLS, SkillError, skill_of


@dataclass(frozen=True)
class HeadData:
    """Ticks of some episodes, end to end.

    Attributes:
        latent: (n, router_hidden + width), what the heads see.
        skill: (n,), index into `SKILLS`.
        phase: (n,), index into `PHASES`.
        progress: (n,), share of the episode, in [0, 1].
        event: (n,), ticks to the fingers' next closing or opening, or to the end, at most `LATEST`.
    """

    latent: np.ndarray
    skill: np.ndarray
    phase: np.ndarray
    progress: np.ndarray
    event: np.ndarray

    def __len__(self) -> int:
        return len(self.latent)


def head_data(engine: OnnxEngine, files: Sequence[Path], first: int, count: int) -> HeadData:
    """Let an engine see demonstrations as if it had acted them, and gather what the labels say.

    Args:
        engine: Of the generation whose heads are trained; its actions are not executed.
        files: Demonstrations with phases, see `dmpel annotate`.
        first: How many of each file to leave out at its start.
        count: How many of each file to take.

    Raises:
        SkillError: A demonstration has no labels.
    """
    parts = []
    for path in files:
        instruction = read_task(path).language
        skill = SKILLS.index(stored_skill(path) or skill_of(instruction))
        engine.set_instruction(instruction)
        for name in tqdm(list(list_demonstrations(path))[first : first + count], desc=instruction[:40], unit="demo"):
            parts.append(_episode(engine, path, name, skill))  # noqa: PERF401  a bar around a comprehension reads worse
    fields = ("latent", "skill", "phase", "progress", "event")
    return HeadData(*(np.concatenate([getattr(part, field) for part in parts]) for field in fields))


def _episode(engine: OnnxEngine, path: Path, name: str, skill: int) -> HeadData:
    labels = best_labels(path, name)
    if labels is None:
        raise SkillError(f"{path}: {name} has no phases; `dmpel annotate {path}` writes them")
    demonstration = read_demonstration(path, name, states=False)
    length = len(demonstration)
    engine.reset()
    latent = []
    for tick in range(length):
        engine.tick(observation_at(demonstration, tick))
        latent.append(engine.latent())
    progress = np.arange(length) / max(1, length - 1)
    return HeadData(np.stack(latent), np.full(length, skill), labels[-length:], progress, ticks_to_event(demonstration.actions[:, 6] > 0))


def ticks_to_event(closing: np.ndarray) -> np.ndarray:
    """Return for each tick how many ticks later the command to the fingers is another one, or the episode ends; at most `LATEST`."""
    length = len(closing)
    changes = np.append(np.flatnonzero(np.diff(closing.astype(np.int8))) + 1, length)
    ticks = np.arange(length)
    return np.minimum(changes[np.searchsorted(changes, ticks, side="right")] - ticks, LATEST)
