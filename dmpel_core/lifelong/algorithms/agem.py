"""A-GEM: a step may not raise the mean loss on the memory, to first order (Chaudhry et al. 2019, "Efficient lifelong learning with A-GEM").

Where g and the memory's gradient g_ref point apart, g becomes g - (g . g_ref / g_ref . g_ref) g_ref (their equation 11). Repaired of
the official code: the memory's size counts, and both gradients are those of the same precision.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from dmpel_core.lifelong.algorithms.base import Teachable
from dmpel_core.lifelong.algorithms.experience_replay import Remembering, ReplayLesson
from dmpel_core.lifelong.lesson import Lesson
from dmpel_core.lifelong.tasks import TaskData


class AGem(Remembering):
    """See the module."""

    name = "agem"

    def lesson(self, task: int, tasks: Sequence[TaskData]) -> Teachable:
        """See `Algorithm`."""
        return ProjectedLesson(self, self.sources(task, tasks), self.memory.sources(tasks))

    def adjust(self, lesson: Teachable) -> Callable[[int], None] | None:
        """See `Algorithm`."""
        assert isinstance(lesson, ProjectedLesson)
        return partial(lesson.project, together=self.accelerator.reduce) if lesson.remembered else None


class ProjectedLesson(ReplayLesson):
    """Learns from new sequences alone; remembered ones only say where not to go."""

    def forward(self, step: int) -> tuple[Tensor, Tensor]:
        """Return the losses of new sequences."""
        return Lesson.forward(self, step)

    def project(self, step: int, together: Callable[..., list[Tensor]]) -> None:
        """Change the gradients so that they do not raise the remembered loss; `together` takes the mean over all processes."""
        weights = [value for value in self.parameters_by_name().values() if value.grad is not None]
        likelihood, way = self.losses(self.recalled(step))
        reference = torch.autograd.grad(likelihood + self.settings.waypoint * way, weights, allow_unused=True)
        found = [torch.zeros_like(weight) if part is None else part for weight, part in zip(weights, reference, strict=True)]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        for weight, part in zip(weights, projected(gradients, together(found, reduction="mean")), strict=True):
            weight.grad = part


def projected(gradients: Sequence[Tensor], reference: Sequence[Tensor]) -> list[Tensor]:
    """Return the gradients, without what of them points against the reference's (equation 11)."""
    along = sum(((g * r).sum() for g, r in zip(gradients, reference, strict=True)), torch.zeros(()))
    if along >= 0:
        return list(gradients)
    square = sum(((r * r).sum() for r in reference), torch.zeros(()))
    return [g - along / square * r for g, r in zip(gradients, reference, strict=True)]
