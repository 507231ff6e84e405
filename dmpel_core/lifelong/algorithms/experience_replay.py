"""Experience replay: every step also sees as many remembered sequences of earlier tasks.

Chaudhry et al. 2019, "On tiny episodic memories in continual learning": the loss is that of the joined batch, (L(B) + L(B_memory))
/ 2. Repaired of the official code: it ignores the memory's size and keeps the first fifth of every task, and it clips gradients
before they are unscaled.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor

from dmpel_core.lifelong.algorithms.base import Optimise, Teachable
from dmpel_core.lifelong.algorithms.memory import Memory
from dmpel_core.lifelong.algorithms.sequential import Sequential
from dmpel_core.lifelong.batch import Batch, Source
from dmpel_core.lifelong.lesson import Lesson
from dmpel_core.lifelong.tasks import TaskData

REMEMBERED = 1
"""Stream of chance of the remembered sequences."""


class Remembering(Sequential):
    """Sequential fine-tuning that keeps sequences of earlier tasks."""

    def __init__(self, *given: object, **named: object) -> None:
        super().__init__(*given, **named)
        sizes = self.policy.sizes
        self.memory = Memory(self.options.memory, sizes.window + sizes.chunk - 1, self.settings.seed)

    def absorb(self, lesson: Teachable, task: int, tasks: Sequence[TaskData], optimise: Optimise) -> None:
        """See `Algorithm`."""
        super().absorb(lesson, task, tasks, optimise)
        self.memory.add(tasks[task])

    def tensors(self) -> dict[str, Tensor]:
        """See `Algorithm`."""
        return {**super().tensors(), **self.memory.tensors()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """See `Algorithm`."""
        super().restore(tensors)
        self.memory.restore(dict(tensors))

    def stored_bytes(self, tasks: Sequence[TaskData]) -> int:
        """Return the weights and the remembered frames."""
        return super().stored_bytes(tasks) + self.memory.bytes(tasks, self.policy.sizes)


class ExperienceReplay(Remembering):
    """See the module."""

    name = "er"

    def lesson(self, task: int, tasks: Sequence[TaskData]) -> Teachable:
        """See `Algorithm`."""
        return ReplayLesson(self, self.sources(task, tasks), self.memory.sources(tasks))


class ReplayLesson(Lesson):
    """Half of the sequences are new, half remembered."""

    def __init__(self, algorithm: Remembering, sources: Sequence[Source], remembered: Sequence[Source]) -> None:
        super().__init__(algorithm.learner(), sources, algorithm.settings, looks=algorithm.looks)
        self.remembered = list(remembered)

    def forward(self, step: int) -> tuple[Tensor, Tensor]:
        """Return the mean losses of both halves; still pictures, which are not remembered, count beside them."""
        new = self.losses(self.draw(step))
        if self.remembered:
            old = self.losses(self.recalled(step))
            new = (new[0] + old[0]) / 2, (new[1] + old[1]) / 2
        return self.glanced(step, new)

    def recalled(self, step: int) -> Batch:
        """Draw remembered sequences."""
        return self.drawn_from(self.remembered, step, REMEMBERED)
