"""Sequential fine-tuning: every task goes on with the weights of the one before, and nothing protects what they knew.

`sequential` trains the whole policy, `frozen` all but both towers (the published comparison calls it FPF). Baselines of LIBERO (Liu
et al. 2023). The official code compares them with DMPEL under another schedule, one-cycle against constant; here all algorithms
share theirs.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor

from dmpel_core.lifelong.algorithms.base import Algorithm, Optimise, Teachable, copied
from dmpel_core.lifelong.batch import Source
from dmpel_core.lifelong.lesson import AFTER_TOWERS, Lesson, trainable
from dmpel_core.lifelong.student import Slot, Student, transplant
from dmpel_core.lifelong.tasks import TaskData
from dmpel_core.policy.policy import Policy


class Sequential(Algorithm):
    """One policy whose weights all tasks train in turn.

    Attributes:
        weights: The trained ones, as the last task left them.
    """

    name = "sequential"
    looks = True
    parts: ClassVar[tuple[str, ...] | None] = None

    def __init__(self, *given: object, **named: object) -> None:
        super().__init__(*given, **named)  # type: ignore[arg-type]
        self.weights = copied(trainable(self.policy, self.parts))

    def lesson(self, task: int, tasks: Sequence[TaskData]) -> Teachable:
        """See `Algorithm`."""
        return Lesson(self.learner(), self.sources(task, tasks), self.settings, looks=self.looks)

    def learner(self) -> Policy:
        """Return a policy with the weights of now, which are to be trained."""
        return to_train(self.policy, self.weights)

    def sources(self, task: int, tasks: Sequence[TaskData]) -> list[Source]:
        """Return what a task's lesson draws from."""
        return [Source(tasks[task], tasks[task].frames)]

    def absorb(self, lesson: Teachable, task: int, tasks: Sequence[TaskData], optimise: Optimise) -> None:  # noqa: ARG002
        """See `Algorithm`."""
        self.weights = copied(lesson.parameters_by_name())

    def taught(self, lesson: Teachable, task: int) -> Student:  # noqa: ARG002
        """See `Algorithm`."""
        return Student(self.policy, [Slot(whole=copied(lesson.parameters_by_name()))])

    def student(self, task: int) -> Student:  # noqa: ARG002
        """See `Algorithm`."""
        return Student(self.policy, [Slot(whole=self.weights)])

    def tensors(self) -> dict[str, Tensor]:
        """See `Algorithm`."""
        return {f"weights.{name}": value for name, value in self.weights.items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """See `Algorithm`."""
        self.weights = {name: tensors[f"weights.{name}"] for name in self.weights}


class Frozen(Sequential):
    """The same with frozen towers."""

    name = "frozen"
    looks = False
    parts = AFTER_TOWERS


def to_train(base: Policy, weights: Mapping[str, Tensor]) -> Policy:
    """Return a policy with weights of its own, which are to be trained; it shares all others with the backbone."""
    policy = transplant(base, weights)
    for name, value in policy.named_parameters():
        value.requires_grad_(name in weights)
    return policy
