"""Multitask: all tasks at once, the upper bound (LIBERO's MTL, Liu et al. 2023).

The whole policy starts from the backbone and sees as many steps as all tasks of a sequence have together.
"""

from collections.abc import Sequence

from dmpel_core.lifelong.algorithms.base import Teachable
from dmpel_core.lifelong.algorithms.sequential import Sequential
from dmpel_core.lifelong.batch import Source
from dmpel_core.lifelong.lesson import Lesson
from dmpel_core.lifelong.tasks import TaskData


class Multitask(Sequential):
    """See the module."""

    name = "multitask"
    joint = True

    def lesson(self, task: int, tasks: Sequence[TaskData]) -> Teachable:  # noqa: ARG002
        """See `Algorithm`."""
        return Lesson(self.learner(), [Source(data, data.frames) for data in tasks], self.settings, looks=self.looks)
