"""Single task: every task fine-tunes a copy of the backbone of its own, as if there were no others.

Nothing is forgotten and nothing is shared; it must be known which task it is. Repaired of the official code, which copies the policy
before the pretrained weights are loaded.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor

from dmpel_core.lifelong.algorithms.base import Optimise, Teachable, copied, numbered, with_numbers
from dmpel_core.lifelong.algorithms.sequential import Sequential
from dmpel_core.lifelong.student import Slot, Student
from dmpel_core.lifelong.tasks import TaskData


class SingleTask(Sequential):
    """One policy for each task.

    Attributes:
        policies: Their weights.
    """

    name = "single_task"

    def __init__(self, *given: object, **named: object) -> None:
        super().__init__(*given, **named)
        self.policies: list[dict[str, Tensor]] = []

    def absorb(self, lesson: Teachable, task: int, tasks: Sequence[TaskData], optimise: Optimise) -> None:  # noqa: ARG002
        """See `Algorithm`."""
        self.policies.append(copied(lesson.parameters_by_name()))  # `weights` stay the backbone's

    def student(self, task: int) -> Student:
        """See `Algorithm`."""
        return Student(self.policy, [Slot(whole=self.policies[task])])

    def tensors(self) -> dict[str, Tensor]:
        """See `Algorithm`."""
        return with_numbers(self.policies, "policy")

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """See `Algorithm`."""
        self.policies = numbered(tensors, "policy")
