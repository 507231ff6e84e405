"""The optimiser's loop, which pretraining and the learning of an expert share."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from dmpel_core.training.average import RunningMean
from dmpel_core.training.checkpoint import load_checkpoint, save_checkpoint
from dmpel_core.training.run import Run
from dmpel_core.training.schedule import set_learning_rate
from dmpel_core.training.settings import ImitationSettings

MEASURE_EVERY = 1000


def optimise(
    losses: nn.Module,
    parameters: Mapping[str, Tensor],
    settings: ImitationSettings,
    run: Run,
    checkpoint: Path,
    identity: Mapping[str, object],
    every: int,
    accelerator: Accelerator,
    measure: Callable[[], Mapping[str, float]] | None = None,
    keep: Callable[[int], None] | None = None,
    points: Collection[int] = (),
    adjust: Callable[[int], None] | None = None,
) -> None:
    """Minimise what a module returns, going on from the checkpoint when there is one.

    The gradients of several processes are averaged as the module's own `forward` is left, so each step calls that and nothing else;
    every process draws its own batch and all hold the same weights. What is measured, kept and left in the end is the running mean of
    the weights, see `dmpel_core.training.average`.

    Args:
        losses: Called with the step, returns the negative log-likelihood and the waypoint's error of this process's batch.
        parameters: What is trained, by name; all of it belongs to `losses`, on the device.
        settings: Steps, rates and weights.
        run: Where the losses are shown.
        checkpoint: File of parameters and optimiser.
        identity: What else the run depends on; a checkpoint of another is refused.
        every: Steps between checkpoints.
        accelerator: Device and processes.
        measure: Returns figures to note every thousand steps and at the end.
        keep: Called after so many steps as `points` holds.
        points: From 0, before the first step, to all of them.
        adjust: Called with each step when its gradients are clipped, and may change them.
    """
    optimizer = torch.optim.AdamW(parameters.values(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    processes = {"processes": accelerator.num_processes} if accelerator.num_processes > 1 else {}
    fixed = {**settings.record(), **identity, **processes}
    done = load_checkpoint(checkpoint, parameters, optimizer, fixed)
    mean = RunningMean(list(parameters.values()), optimizer, settings.average)
    model, stepper = accelerator.prepare(losses, optimizer)
    for step, report in run.steps(done, settings.steps):
        if keep is not None and step in points:
            with mean.shown():
                keep(step)
        set_learning_rate(optimizer, settings.learning_rate, step, settings.steps, settings.schedule)
        likelihood, way = model(step)
        stepper.zero_grad()
        accelerator.backward(likelihood + settings.waypoint * way)
        accelerator.clip_grad_norm_(parameters.values(), settings.clip)
        if adjust is not None:
            adjust(step)
        stepper.step()
        mean.update(step)
        report(loss=likelihood.item(), waypoint_cm=10 * way.item())
        if not accelerator.is_main_process:
            continue
        if measure is not None and due(step, settings.steps, MEASURE_EVERY):
            with mean.shown():
                report.note(**measure())
        if due(step, settings.steps, every):
            save_checkpoint(checkpoint, parameters, optimizer, step + 1, fixed)
    mean.settle()
    if keep is not None and settings.steps in points:
        keep(settings.steps)
    accelerator.free_memory()


def due(step: int, steps: int, every: int) -> bool:
    """Return whether something that is done every so many steps, and at the end, is to be done after this one."""
    return (step + 1) % every == 0 or step + 1 == steps
