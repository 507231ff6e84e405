"""Elastic weight consolidation: weights that mattered to earlier tasks are held by springs (Kirkpatrick et al. 2017, equation 3).

The loss has (lambda / 2) sum_i F_i (theta_i - theta*_i)^2 beside it, where F is the diagonal of the Fisher information; with
several earlier tasks one spring with F = gamma F_old + F_new (online EWC, Schwarz et al. 2018). Repaired of the official code: its
F squares the gradient of a batch's mean, with dropout and augmentation on. This one is the mean of the squares over single
sequences as they are, with actions drawn from the policy itself. It also multiplies by lambda, without the half.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from dmpel_core.lifelong.algorithms.base import Optimise, Teachable
from dmpel_core.lifelong.algorithms.sequential import Sequential
from dmpel_core.lifelong.batch import Source, act, gather
from dmpel_core.lifelong.lesson import Lesson
from dmpel_core.lifelong.tasks import TaskData
from dmpel_core.policy.policy import Policy


class Ewc(Sequential):
    """Sequential fine-tuning on springs.

    Attributes:
        fisher: Strength of each weight's spring; none before the first task is learned.
    """

    name = "ewc"

    def __init__(self, *given: object, **named: object) -> None:
        super().__init__(*given, **named)
        self.fisher: dict[str, Tensor] = {}

    def lesson(self, task: int, tasks: Sequence[TaskData]) -> Teachable:
        """See `Algorithm`."""
        return SpringLesson(self, self.sources(task, tasks))

    def absorb(self, lesson: Teachable, task: int, tasks: Sequence[TaskData], optimise: Optimise) -> None:
        """Measure the Fisher information where the weights are now."""
        super().absorb(lesson, task, tasks, optimise)
        learner = self.learner().eval().to(self.accelerator.device)
        new = fisher(learner, tasks[task], self.options.fisher_samples, self.settings.seed, looks=self.looks)
        learner.cpu()  # it shares the text tower with the backbone
        self.fisher = {name: value + self.options.decay * self.fisher.get(name, torch.zeros(())) for name, value in new.items()}

    def tensors(self) -> dict[str, Tensor]:
        """See `Algorithm`."""
        return {**super().tensors(), **{f"fisher.{name}": value for name, value in self.fisher.items()}}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """See `Algorithm`."""
        super().restore(tensors)
        self.fisher = {name.removeprefix("fisher."): value for name, value in tensors.items() if name.startswith("fisher.")}


class SpringLesson(Lesson):
    """Imitation on springs."""

    def __init__(self, algorithm: Ewc, sources: Sequence[Source]) -> None:
        super().__init__(algorithm.learner(), sources, algorithm.settings, looks=algorithm.looks)
        self._strength, self._rest = algorithm.fisher, algorithm.weights
        self._penalty = algorithm.options.penalty

    def forward(self, step: int) -> tuple[Tensor, Tensor]:
        """Return the losses, the first with the springs' energy."""
        likelihood, way = super().forward(step)
        return likelihood + self.energy(), way

    def energy(self) -> Tensor:
        """Return (lambda / 2) sum F (theta - theta*)^2."""
        weights, device = self.parameters_by_name(), self.device
        parts = [(part.to(device) * (weights[name] - self._rest[name].to(device)) ** 2).sum() for name, part in self._strength.items()]
        return self._penalty / 2 * sum(parts, torch.zeros((), device=device))


def fisher(policy: Policy, data: TaskData, samples: int, seed: int, *, looks: bool) -> dict[str, Tensor]:
    """Return the mean over single ticks of the squared gradient of log p(a), a drawn from the policy, for every trained weight.

    Args:
        policy: In evaluation mode.
        data: The task.
        samples: How many sequences; the action is that of each one's last tick.
        seed: Of their choice and of the actions.
        looks: Whether the policy is given pictures.
    """
    sizes, device = policy.sizes, policy.proprioception.mean.device
    rng, chance = np.random.default_rng(seed), torch.Generator(device).manual_seed(seed)
    weights = {name: value for name, value in policy.named_parameters() if value.requires_grad}
    total = {name: torch.zeros_like(value) for name, value in weights.items()}
    for start in rng.choice(data.frames, samples, replace=samples > len(data.frames)):
        part = data.timeline.sequences(np.array([start]), sizes.window, sizes.chunk)
        batch = gather([data], [part], [np.zeros(1, int)], policy, looks=looks, device=device)
        answer, _ = act(policy, batch)
        drawn = answer.sample(chance).detach()
        surprise = answer.negative_log_likelihood(drawn)[0, int(part.valid[0, :, 0].sum()) - 1]  # of the last tick that exists
        gradients = torch.autograd.grad(surprise, list(weights.values()), allow_unused=True)
        for name, gradient in zip(weights, gradients, strict=True):
            if gradient is not None:
                total[name] += gradient**2 / samples
    return {name: value.cpu() for name, value in total.items()}
