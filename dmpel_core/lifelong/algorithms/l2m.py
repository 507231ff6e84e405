"""L2M: a pool of low-rank factors with learned keys (Schmied et al. 2023, "Learning to modulate pre-trained models in RL").

The slot acts whose key k is most like the query q, argmax cos(q, k), and a pull term, minus a weight times cos(q, k), draws it
nearer. Keys and pool are trained by all tasks, everything else is frozen. So that tasks spread over the pool, training takes argmin
of (1 - cos(q, k)) h, where h is the slot's share of the usage so far (Wang et al. 2022, "Learning to prompt for continual
learning"). The query is that of DMPEL's router. Repaired of the official code: there the query's window grows without end, and
dividing a negative similarity by the usage favours what was used; usage is counted when a task is done, so that a run can be taken
up again anywhere. Weights do not decay, for that would wear down slots that nobody asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dmpel_core.lifelong.adapters import AdapterLesson, apart, chosen_for_each, new_factors, stacked
from dmpel_core.lifelong.algorithms.base import Algorithm, Optimise, Teachable, copied
from dmpel_core.lifelong.batch import Batch, Source
from dmpel_core.lifelong.choosers import Nearest
from dmpel_core.lifelong.student import Slot, Student
from dmpel_core.lifelong.tasks import TaskData
from dmpel_core.policy.adapted import Mixture
from dmpel_core.training.features import plain_queries
from dmpel_core.training.settings import LearnSettings

KEYS = "keys"
COUNTED = 512


class L2M(Algorithm):
    """The pool.

    Attributes:
        trained: Stacked factors (slots, ...) and the keys (slots, query_width).
        usage: (slots,), how often earlier tasks chose each; 1 at the start.
    """

    name = "l2m"
    looks = False

    def __init__(self, *given: object, **named: object) -> None:
        super().__init__(*given, **named)  # type: ignore[arg-type]
        chance, slots = torch.Generator().manual_seed(self.settings.seed), self.options.slots
        self.trained = stacked([new_factors(self.policy, chance) for _ in range(slots)])
        self.trained[KEYS] = 2 * torch.rand(slots, self.policy.query_width, generator=chance) - 1
        self.usage = torch.ones(slots)

    def own_settings(self, settings: LearnSettings) -> LearnSettings:
        """See `Algorithm`."""
        return replace(settings, weight_decay=0.0)

    def lesson(self, task: int, tasks: Sequence[TaskData]) -> Teachable:
        """See `Algorithm`."""
        source = Source(tasks[task], tasks[task].frames)
        return AdapterLesson(self.policy, self.trained, self.mix, [source], self.settings)

    def mix(self, trained: Mapping[str, Tensor], batch: Batch) -> tuple[Mixture, Tensor]:
        """Give each sequence the factors of its slot, and return what pulls the slot's key."""
        assert batch.features is not None
        query = self.policy.sequence_query(batch.features)
        alike = F.normalize(query, dim=-1) @ F.normalize(trained[KEYS], dim=-1).T  # (rows, slots)
        slot = ((1 - alike.detach()) * (self.usage / self.usage.sum()).to(alike.device)).argmin(-1)
        factors = {name: value for name, value in trained.items() if name != KEYS}
        return chosen_for_each(factors, slot), -self.options.pull * alike.gather(1, slot[:, None]).mean()

    def absorb(self, lesson: Teachable, task: int, tasks: Sequence[TaskData], optimise: Optimise) -> None:  # noqa: ARG002
        """Keep the pool, and count what the task chooses from it."""
        assert isinstance(lesson, AdapterLesson)
        self.trained = copied(lesson.trained)
        features = tasks[task].features
        assert features is not None
        starts = np.unique(np.linspace(0, len(features.timeline) - 1, COUNTED).astype(int))
        self.usage = self.usage + self._chooser(self.trained)(plain_queries(self.policy, features, starts))[:, 0].sum(0)

    def taught(self, lesson: Teachable, task: int) -> Student:  # noqa: ARG002
        """See `Algorithm`."""
        assert isinstance(lesson, AdapterLesson)
        return self._student(copied(lesson.trained))

    def student(self, task: int) -> Student:  # noqa: ARG002
        """See `Algorithm`."""
        return self._student(self.trained)

    def tensors(self) -> dict[str, Tensor]:
        """See `Algorithm`."""
        return {**{f"trained.{name}": value for name, value in self.trained.items()}, "usage": self.usage}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """See `Algorithm`."""
        self.trained, self.usage = {name: tensors[f"trained.{name}"] for name in self.trained}, tensors["usage"]

    def _chooser(self, trained: Mapping[str, Tensor]) -> Nearest:
        return Nearest(trained[KEYS], torch.arange(self.options.slots), self.options.slots, self.policy.query_width)

    def _student(self, trained: Mapping[str, Tensor]) -> Student:
        factors = apart({name: value for name, value in trained.items() if name != KEYS})
        return Student(self.policy, [Slot(factors=part) for part in factors], self._chooser(trained))
