"""An episodic memory of whole sequences that never holds more than it may."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dmpel_core.lifelong.batch import Source
from dmpel_core.lifelong.tasks import TaskData, frame_bytes
from dmpel_core.policy.sizes import PolicySizes


class Memory:
    """Windows of earlier tasks, shared out equally.

    A window is remembered by its first frame; only its own frames are ever read. When a task is added, every earlier one gives
    up the last of its windows, whose order is random.

    Args:
        size: Most windows of all tasks together.
        window: Ticks of a window, with the actions that follow the last one.
        seed: Of the order.

    Attributes:
        starts: First frames of each task's windows.
    """

    def __init__(self, size: int, window: int, seed: int) -> None:
        self.size, self.window, self.seed = size, window, seed
        self.starts: list[np.ndarray] = []

    def add(self, data: TaskData) -> None:
        """Remember windows of one more task."""
        timeline = data.timeline
        whole = np.flatnonzero(timeline.last - np.arange(len(timeline)) >= 1)  # a single frame shows nothing
        order = np.random.default_rng([self.seed, len(self.starts)]).permutation(whole)
        share = self.size // (len(self.starts) + 1)
        self.starts = [starts[:share] for starts in (*self.starts, order)]

    def sources(self, tasks: Sequence[TaskData]) -> list[Source]:
        """Return what may be drawn of the remembered tasks."""
        pairs = zip(tasks, self.starts, strict=False)  # the task that is being learned is not among them
        return [Source(data, starts, fixed=True) for data, starts in pairs if len(starts)]

    def bytes(self, tasks: Sequence[TaskData], sizes: PolicySizes) -> int:
        """Return what the remembered frames take."""
        total = 0
        for data, starts in zip(tasks, self.starts, strict=False):
            covered = np.minimum(starts[:, None] + np.arange(self.window), data.timeline.last[starts][:, None])
            total += len(np.unique(covered)) * frame_bytes(data, sizes)
        return total

    def tensors(self) -> dict[str, Tensor]:
        """Return the starts by name."""
        return {f"memory.{number}": torch.from_numpy(starts) for number, starts in enumerate(self.starts)}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take back what `tensors` returned."""
        self.starts = [tensors[f"memory.{number}"].numpy() for number in range(sum(name.startswith("memory.") for name in tensors))]
