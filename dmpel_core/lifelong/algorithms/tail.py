"""TAIL: one adapter for each task (Liu et al. 2024, "TAIL: task-specific adapters for imitation learning").

An adapter has low-rank factors on the towers and the temporal transformer (the LoRA variant of the paper) and whole copies of the
proprioception, fusion and head. A new one starts from the one before it with noise of deviation 0.001. `tail_oracle` plays each
task with its own adapter and must be told which task it is; `tail` plays all with the newest. Repaired of the official code: the
noise reaches no buffers (there it shifts the text tower's position numbers), and the adapter of a task is really loaded.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from dmpel_core.lifelong.adapters import AdapterLesson, new_factors, same_for_all
from dmpel_core.lifelong.algorithms.base import Algorithm, Optimise, Teachable, copied, numbered, with_numbers
from dmpel_core.lifelong.algorithms.sequential import to_train
from dmpel_core.lifelong.batch import Source
from dmpel_core.lifelong.lesson import FORKED, trainable
from dmpel_core.lifelong.student import Slot, Student
from dmpel_core.lifelong.tasks import TaskData

NOISE = 1e-3


class TailOracle(Algorithm):
    """An adapter for each task, chosen by who knows.

    Attributes:
        slots: The adapters.
    """

    name = "tail_oracle"
    looks = False

    def __init__(self, *given: object, **named: object) -> None:
        super().__init__(*given, **named)  # type: ignore[arg-type]
        self.slots: list[Slot] = []

    def lesson(self, task: int, tasks: Sequence[TaskData]) -> Teachable:
        """See `Algorithm`."""
        start = self.start(self.seeded(task))
        source = Source(tasks[task], tasks[task].frames)
        return AdapterLesson(to_train(self.policy, start.whole), start.factors, same_for_all, [source], self.settings)

    def start(self, chance: torch.Generator) -> Slot:
        """Return where a new adapter starts."""
        if not self.slots:
            return Slot(copied(trainable(self.policy, FORKED)), new_factors(self.policy, chance))
        return Slot(*({name: value + NOISE * torch.randn(value.shape, generator=chance) for name, value in part.items()}
                      for part in (self.slots[-1].whole, self.slots[-1].factors)))  # fmt: skip

    def absorb(self, lesson: Teachable, task: int, tasks: Sequence[TaskData], optimise: Optimise) -> None:  # noqa: ARG002
        """See `Algorithm`."""
        self.slots.append(slot_of(lesson))

    def taught(self, lesson: Teachable, task: int) -> Student:  # noqa: ARG002
        """See `Algorithm`."""
        return Student(self.policy, [slot_of(lesson)])

    def student(self, task: int) -> Student:
        """See `Algorithm`."""
        return Student(self.policy, [self.slots[task]])

    def tensors(self) -> dict[str, Tensor]:
        """See `Algorithm`."""
        return slot_tensors(self.slots)

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """See `Algorithm`."""
        self.slots = slots_from(tensors)


class Tail(TailOracle):
    """The same without a task identifier: the newest adapter plays all tasks, and only that one is kept."""

    name = "tail"

    def absorb(self, lesson: Teachable, task: int, tasks: Sequence[TaskData], optimise: Optimise) -> None:  # noqa: ARG002
        """See `Algorithm`."""
        self.slots = [slot_of(lesson)]

    def student(self, task: int) -> Student:  # noqa: ARG002
        """See `Algorithm`."""
        return Student(self.policy, self.slots)


def slot_of(lesson: Teachable) -> Slot:
    """Return what an adapter's lesson has learned."""
    assert isinstance(lesson, AdapterLesson)
    return Slot(copied(lesson.whole()), copied(lesson.trained))


def slot_tensors(slots: Sequence[Slot]) -> dict[str, Tensor]:
    """Return slots as an algorithm keeps them."""
    return {**with_numbers([slot.whole for slot in slots], "whole"), **with_numbers([slot.factors for slot in slots], "factor")}


def slots_from(tensors: Mapping[str, Tensor]) -> list[Slot]:
    """Return what `slot_tensors` was given."""
    return [Slot(whole, factors) for whole, factors in zip(numbered(tensors, "whole"), numbered(tensors, "factor"), strict=True)]
