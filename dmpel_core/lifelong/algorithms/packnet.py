"""PackNet: every task gets weights of its own inside one network (Mallya and Lazebnik 2018, section 3).

A task trains all weights that are free. Then a share of them, the smallest of each layer, is set to zero and freed for later tasks, and
the rest is trained once more and never again. Biases and norms are trained with the first task only. A task is played with the
weights of its own and of the tasks before it, so it must be known which task it is. Repaired of the official code: weights that
are not free are no parameters here, so no decay or momentum moves them, and neither tokens nor positions stay trainable.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from dmpel_core.lifelong.algorithms.base import Optimise, Teachable, copied
from dmpel_core.lifelong.algorithms.sequential import Sequential
from dmpel_core.lifelong.batch import Source
from dmpel_core.lifelong.lesson import Lesson
from dmpel_core.lifelong.student import Slot, Student
from dmpel_core.lifelong.tasks import TaskData

FREE = 255


class PackNet(Sequential):
    """One network, and whose each weight is.

    Attributes:
        owner: For each weight of a linear or convolutional layer the task it belongs to, or `FREE`, uint8.
    """

    name = "packnet"

    def __init__(self, *given: object, **named: object) -> None:
        super().__init__(*given, **named)
        layers = {name for name, module in self.policy.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)}
        packed = [name for name in self.weights if name.removesuffix(".weight") in layers and name.endswith(".weight")]
        self.owner = {name: torch.full(self.weights[name].shape, FREE, dtype=torch.uint8) for name in packed}

    def lesson(self, task: int, tasks: Sequence[TaskData]) -> Teachable:
        """See `Algorithm`."""
        return PackedLesson(self, self.sources(task, tasks), task, FREE)

    def absorb(self, lesson: Teachable, task: int, tasks: Sequence[TaskData], optimise: Optimise) -> None:
        """Free the smallest weights, and train once more those that are left."""
        self.weights = lesson_weights(lesson)
        for name, owner in self.owner.items():
            free = owner == FREE
            owner[free & ~smallest(self.weights[name], free, self.options.prune)] = task
            self.weights[name] = torch.where(owner == FREE, 0.0, self.weights[name])
        settings = self.settings_for(task, tasks)
        steps = self.options.post_prune_steps or settings.steps
        again = PackedLesson(self, self.sources(task, tasks), task, task)
        optimise(again, replace(settings, steps=steps), "after-pruning")
        self.weights = lesson_weights(again)

    def taught(self, lesson: Teachable, task: int) -> Student:  # noqa: ARG002
        """See `Algorithm`."""
        return Student(self.policy, [Slot(whole=lesson_weights(lesson))])

    def student(self, task: int) -> Student:
        """See `Algorithm`."""
        shown = {name: torch.where(owner <= task, self.weights[name], 0.0) for name, owner in self.owner.items()}
        return Student(self.policy, [Slot(whole={**self.weights, **shown})])

    def trainable(self, lesson: Teachable) -> int:
        """Return how many weights were free."""
        assert isinstance(lesson, PackedLesson)
        return lesson.trained

    def tensors(self) -> dict[str, Tensor]:
        """See `Algorithm`."""
        return {**super().tensors(), **{f"owner.{name}": value for name, value in self.owner.items()}}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """See `Algorithm`."""
        super().restore(tensors)
        self.owner = {name: tensors[f"owner.{name}"].clone() for name in self.owner}


class Masked(nn.Module):
    """A weight of which a part is trained and the rest is a constant."""

    mine: Tensor
    fixed: Tensor

    def __init__(self, mine: Tensor, fixed: Tensor) -> None:
        super().__init__()
        self.register_buffer("mine", mine)
        self.register_buffer("fixed", fixed)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight with its constant part."""
        return torch.where(self.mine, weight, self.fixed)


class PackedLesson(Lesson):
    """Trains the weights whose owner is `trains`.

    Args:
        algorithm: The network so far.
        sources: What the task shows.
        task: The first one also trains what belongs to no layer's weights.
        trains: A task, or `FREE`.
    """

    def __init__(self, algorithm: PackNet, sources: Sequence[Source], task: int, trains: int) -> None:
        super().__init__(algorithm.learner(), sources, algorithm.settings, looks=algorithm.looks)
        self.trained, self.names = 0, list(algorithm.weights)
        layers = dict(self.policy.named_modules())
        for name, value in list(self.parameters_by_name().items()):
            owner = algorithm.owner.get(name)
            if owner is None:
                value.requires_grad_(task == 0)
                self.trained += value.numel() * (task == 0)
            else:
                mine = (owner == trains).to(value.device)
                parametrize.register_parametrization(layers[name.removesuffix(".weight")], "weight", Masked(mine, value.detach().clone()))
                self.trained += int(mine.sum())


def lesson_weights(lesson: Teachable) -> dict[str, Tensor]:
    """Return the weights of a packed lesson under the policy's names."""
    assert isinstance(lesson, PackedLesson)
    plain, layers = dict(lesson.policy.named_parameters()), dict(lesson.policy.named_modules())
    return copied(
        {name: plain[name] if name in plain else cast(Tensor, layers[name.removesuffix(".weight")].weight) for name in lesson.names}
    )


def smallest(weight: Tensor, among: Tensor, share: float) -> Tensor:
    """Return which weights are the given share of those `among` with the smallest magnitude, ties by place."""
    chosen = torch.zeros_like(among)
    places = among.flatten().nonzero()[:, 0]
    order = weight.flatten()[places].abs().sort(stable=True).indices
    chosen.view(-1)[places[order[: round(share * len(places))]]] = True
    return chosen
