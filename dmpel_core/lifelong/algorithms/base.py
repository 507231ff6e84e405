"""What a lifelong algorithm must be able to do.

An algorithm is told of the tasks one after another. For each it gives a lesson, which the common loop trains, and takes in what
was learned. What it keeps between tasks is a set of tensors, so a run goes on after a kill with the state of the last whole task.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor

from dmpel_core.experts.library import Library
from dmpel_core.lifelong.settings import Options
from dmpel_core.lifelong.student import Student
from dmpel_core.lifelong.tasks import TaskData
from dmpel_core.policy.policy import Policy
from dmpel_core.training.settings import LearnSettings


class Teachable(Protocol):
    """A module that the common loop trains: `Lesson`, or DMPEL's own."""

    policy: Policy
    process: int

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Return the losses of one step."""

    def parameters_by_name(self) -> Mapping[str, Tensor]:
        """Return what is trained."""


Optimise = Callable[[Teachable, LearnSettings, str], None]
"""Trains a lesson with these settings under a name of its own; the loop gives it to `absorb`."""


class Algorithm(ABC):
    """One algorithm in the middle of a sequence of tasks.

    Args:
        policy: The pretrained backbone, which stays as it is.
        settings: Of every training.
        options: What single algorithms take.
        accelerator: Device and precision.
    """

    name: ClassVar[str]
    looks: ClassVar[bool]
    """Whether it trains the image tower's trunk and so needs pictures; the others share cached features."""
    joint: ClassVar[bool] = False
    """Whether it learns all tasks at once."""
    named: ClassVar[bool] = False
    """Whether its routers may be pretrained on names, see `dmpel_core.training.skill_routing`."""

    def __init__(self, policy: Policy, settings: LearnSettings, options: Options, accelerator: Accelerator) -> None:
        self.policy, self.options, self.accelerator = policy, options, accelerator
        self.settings = self.own_settings(settings)

    def own_settings(self, settings: LearnSettings) -> LearnSettings:
        """Return the settings that this algorithm needs instead of those of all."""
        return settings

    def settings_for(self, task: int, tasks: Sequence[TaskData]) -> LearnSettings:
        """Return the settings with a lesson's steps: those of all tasks together where they are learned at once."""
        shown = tasks if self.joint else tasks[task : task + 1]
        window, processes = self.policy.sizes.window, self.accelerator.num_processes
        each = [self.settings.sized(len(data.timeline), window, processes) for data in shown]
        return replace(each[0], steps=sum(settings.steps for settings in each))

    @abstractmethod
    def lesson(self, task: int, tasks: Sequence[TaskData]) -> Teachable:
        """Return the training of a task; `tasks` holds it and all earlier ones, or all of them where they are learned at once."""

    @abstractmethod
    def absorb(self, lesson: Teachable, task: int, tasks: Sequence[TaskData], optimise: Optimise) -> None:
        """Take in a lesson that has been trained."""

    @abstractmethod
    def taught(self, lesson: Teachable, task: int) -> Student:
        """Return what a lesson has learned so far, as it plays its task."""

    @abstractmethod
    def student(self, task: int) -> Student:
        """Return what plays a task now. Only algorithms that are told which task it is depend on `task`."""

    def slot_tasks(self) -> list[int] | None:
        """Return for each slot of a student the place of the task that it was made for; None where slots are not made for tasks."""
        return None

    def under_used(self) -> list[int]:
        """Return the slots that hardly any task uses and that the options want gone."""
        return []

    def drop(self, slots: Sequence[int]) -> None:
        """Go on without the slots that `under_used` named."""
        raise NotImplementedError(f"{self.name} cannot go on without slots {list(slots)}")

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """Return what is kept between tasks."""

    @abstractmethod
    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what `tensors` returned."""

    def adjust(self, lesson: Teachable) -> Callable[[int], None] | None:  # noqa: ARG002 - most leave gradients as they are
        """Return what changes the gradients of each step, or None."""
        return None

    def trainable(self, lesson: Teachable) -> int:
        """Return how many numbers a lesson trains."""
        return sum(value.numel() for value in lesson.parameters_by_name().values())

    def stored_bytes(self, tasks: Sequence[TaskData]) -> int:  # noqa: ARG002 - most keep nothing of them
        """Return what has to be kept beside the backbone to play and to learn on, `tasks` being those learned."""
        return sum(value.numel() * value.element_size() for value in self.tensors().values())

    def finish(self, folder: Path, library: Library, tasks: Sequence[TaskData], states: Iterable[Mapping[str, Tensor]]) -> None:  # noqa: B027 - most leave nothing
        """Write what the run leaves beside its record, unless it is there.

        Args:
            folder: The run's.
            library: Where it started.
            tasks: All that were learned.
            states: What `tensors` returned after each of them, before any slot was dropped.
        """

    def seeded(self, task: int) -> torch.Generator:
        """Return a source of chance for one task, and seed that of new layers."""
        torch.manual_seed(self.settings.seed + 7919 * task)
        return torch.Generator().manual_seed(self.settings.seed + 7919 * task)


def numbered(tensors: Mapping[str, Tensor], kind: str) -> list[dict[str, Tensor]]:
    """Return the tensors called `kind.NUMBER.name` as one dictionary for each number, in order."""
    found: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith(f"{kind}."):
            number, rest = name.removeprefix(f"{kind}.").split(".", 1)
            found.setdefault(int(number), {})[rest] = value
    return [found[number] for number in sorted(found)]


def with_numbers(parts: Sequence[Mapping[str, Tensor]], kind: str) -> dict[str, Tensor]:
    """Return what `numbered` reads."""
    return {f"{kind}.{number}.{name}": value for number, part in enumerate(parts) for name, value in part.items()}


def copied(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return detached copies on the processor."""
    return {name: value.detach().cpu().clone() for name, value in values.items()}
