"""The running mean of the weights in training."""

import numpy as np
import torch
from torch import Tensor, nn

from dmpel_core.training.average import RunningMean


def trained(decay: float, steps: int) -> tuple[nn.Parameter, RunningMean, list[Tensor]]:
    """Return a weight that chases noise about (1, -2), its mean, and where it was after each step."""
    weight, noise = nn.Parameter(torch.zeros(2)), torch.Generator().manual_seed(0)
    optimizer, been = torch.optim.AdamW([weight], lr=0.2, weight_decay=0.0), []
    mean = RunningMean([weight], optimizer, decay)
    for step in range(steps):
        optimizer.zero_grad()
        goal = torch.tensor([1.0, -2.0]) + torch.randn(2, generator=noise)
        ((weight - goal) ** 2).sum().backward()
        optimizer.step()
        mean.update(step)
        been.append(weight.detach().clone())
    return weight, mean, been


def test_the_mean_is_exponential_and_forgets_its_start() -> None:
    weight, mean, been = trained(0.75, 40)
    wanted = been[0]
    for step, value in enumerate(been[1:], 1):
        decay = min(0.75, (1 + step) / (10 + step))
        wanted = decay * wanted + (1 - decay) * value
    with mean.shown():
        np.testing.assert_allclose(weight.detach(), wanted, rtol=1e-5)
    assert torch.equal(weight, been[-1]), "it is shown for a while only"
    mean.settle()
    np.testing.assert_allclose(weight.detach(), wanted, rtol=1e-5)


def test_the_mean_is_nearer_to_what_noisy_steps_wander_about() -> None:
    weight, mean, been = trained(0.98, 400)
    goal = torch.tensor([1.0, -2.0])
    wandering = torch.stack([(value - goal).norm() for value in been[-100:]]).mean()
    mean.settle()
    assert (weight.detach() - goal).norm() < 0.5 * wandering


def test_without_decay_there_is_no_mean() -> None:
    weight, mean, been = trained(0.0, 5)
    mean.settle()
    assert torch.equal(weight, been[-1])


def test_what_was_never_stepped_has_no_mean() -> None:
    weight = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([weight])
    mean = RunningMean([weight], optimizer, 0.99)
    mean.update(0)  # as after a step that half precision skipped
    mean.settle()
    assert torch.equal(weight, torch.ones(2))
    weight.grad = torch.ones(2)
    optimizer.step()  # an optimiser that finds state it did not make would fail
    mean.update(1)
    assert optimizer.state[weight].keys() == {"step", "exp_avg", "exp_avg_sq", "average"}
