"""IsCiL: adapters that are found again by prototypes (Lee et al. 2024, "Incremental learning of retrievable skills").

Each task has one adapter, low-rank factors and whole copies of proprioception, fusion and head as TAIL has, and a few prototypes:
the k-means centres of its queries, instruction and pictures without joints. The adapter acts whose prototype p is most like the
query q, argmax cos(q, p). A new one starts from the old one that its task would retrieve most often. Repaired of the official code:
there the first task freezes the tenth adapter, whose parts then never learn.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dmpel_core.lifelong.adapters import new_factors
from dmpel_core.lifelong.algorithms.base import Optimise, Teachable, copied
from dmpel_core.lifelong.algorithms.tail import TailOracle, slot_of
from dmpel_core.lifelong.choosers import Nearest
from dmpel_core.lifelong.clusters import k_means
from dmpel_core.lifelong.lesson import FORKED, trainable
from dmpel_core.lifelong.student import Slot, Student
from dmpel_core.lifelong.tasks import TaskData
from dmpel_core.policy.policy import FINGERS, JOINTS
from dmpel_core.training.features import plain_queries

SAMPLED = 2000


class IsCiL(TailOracle):
    """Adapters and their prototypes.

    Attributes:
        prototypes: (centres, width) of each task.
    """

    name = "iscil"

    def __init__(self, *given: object, **named: object) -> None:
        super().__init__(*given, **named)
        self.prototypes: list[Tensor] = []
        self.parts = self.policy.query_width - (JOINTS + FINGERS) * self.policy.sizes.query_state
        self._nearest = 0

    def lesson(self, task: int, tasks: Sequence[TaskData]) -> Teachable:
        """See `Algorithm`."""
        if self.slots:
            choice = self._chooser()(self.queries(tasks[task]))[:, 0].sum(0)
            self._nearest = int(choice.argmax())
        return super().lesson(task, tasks)

    def start(self, chance: torch.Generator) -> Slot:
        """Return the old adapter that the task retrieves most often, or a fresh one."""
        if not self.slots:
            return Slot(copied(trainable(self.policy, FORKED)), new_factors(self.policy, chance))
        return self.slots[self._nearest]

    def absorb(self, lesson: Teachable, task: int, tasks: Sequence[TaskData], optimise: Optimise) -> None:  # noqa: ARG002
        """See `Algorithm`."""
        self.slots.append(slot_of(lesson))
        self.prototypes.append(self.prototypes_of(tasks[task]))

    def prototypes_of(self, data: TaskData) -> Tensor:
        """Return the k-means centres of a task's queries."""
        directions = F.normalize(self.queries(data)[:, : self.parts], dim=-1).numpy().astype(float)
        return torch.from_numpy(k_means(directions, self.options.centres, self.settings.seed).astype(np.float32))

    def queries(self, data: TaskData) -> Tensor:
        """Return the queries (samples, query_width) of sequences all over a task's demonstrations."""
        assert data.features is not None
        return plain_queries(self.policy, data.features, np.unique(np.linspace(0, len(data.timeline) - 1, SAMPLED).astype(int)))

    def taught(self, lesson: Teachable, task: int) -> Student:  # noqa: ARG002
        """See `Algorithm`. While it is learned a task has no prototypes yet, and its own adapter plays it."""
        return Student(self.policy, [slot_of(lesson)])

    def student(self, task: int) -> Student:  # noqa: ARG002
        """See `Algorithm`."""
        return Student(self.policy, self.slots, self._chooser())

    def slot_tasks(self) -> list[int]:
        """See `Algorithm`."""
        return list(range(len(self.slots)))

    def tensors(self) -> dict[str, Tensor]:
        """See `Algorithm`."""
        return {**super().tensors(), **{f"prototypes.{number}": value for number, value in enumerate(self.prototypes)}}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """See `Algorithm`."""
        super().restore(tensors)
        self.prototypes = [tensors[f"prototypes.{number}"] for number in range(len(self.slots))]

    def _chooser(self) -> Nearest:
        owner = torch.cat([torch.full((len(keys),), number) for number, keys in enumerate(self.prototypes)])
        return Nearest(torch.cat(self.prototypes), owner, len(self.slots), self.parts)
