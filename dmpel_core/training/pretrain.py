"""Pretrain the backbone on demonstrations of many tasks and write a library without experts.

Every weight but the text encoder's is trained. Pictures are shifted and recoloured; joints get noise and are hidden in
some samples, so that the policy has to look. The run resumes exactly after a kill.
"""

import argparse
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from dmpel_core.errors import DmpelError
from dmpel_core.experts.library import create_library
from dmpel_core.policy import text
from dmpel_core.policy.policy import Frames, Policy
from dmpel_core.policy.sizes import PolicySizes
from dmpel_core.training.augmentation import augment, disturb_state, short_memory
from dmpel_core.training.checkpoint import load_checkpoint, save_checkpoint
from dmpel_core.training.datasets import demonstration_files, digest, load_all
from dmpel_core.training.episodes import Sequences
from dmpel_core.training.foresight import foresight
from dmpel_core.training.interface import OBSERVATION, library_modules
from dmpel_core.training.losses import imitation_loss
from dmpel_core.training.pictures import PictureSet
from dmpel_core.training.run import Run
from dmpel_core.training.schedule import chance_for, set_learning_rate, shape_for
from dmpel_core.training.settings import PretrainSettings

CHECKPOINT_EVERY = 250
VALIDATE_EVERY = 1000


def loss_on(
    policy: Policy, data: PictureSet, batch: Sequences, texts: Tensor, settings: PretrainSettings, chance: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return the mean negative log-likelihood of a batch of sequences and the error of the foreseen waypoints [dm]."""
    rows, window = batch.index.shape
    pictures = augment(data.pictures[batch.index].float() / 255, chance)
    tokens = policy.image.trunk(pictures.flatten(0, 1)).unflatten(0, (rows, window))
    frames = Frames(tokens, data.joints[batch.index], data.gripper[batch.index])
    state = policy.proprioception.normalise(frames.joints, frames.gripper)
    state = disturb_state(state, settings.state_noise, settings.state_dropout, chance)
    fused = policy.tokens(frames, texts[data.sentence[batch.index[:, 0]]], state=state)
    mixture, ways = policy.act_and_foresee(fused, horizon=short_memory(rows, window, settings.forget, chance))
    return imitation_loss(mixture, ways, batch, data.waypoints[batch.index])


def pretrain(
    data: PictureSet, settings: PretrainSettings, sizes: PolicySizes, run: Run, data_digest: str, checkpoint_every: int = CHECKPOINT_EVERY
) -> Policy:
    """Train a policy, going on from the run's checkpoint when there is one."""
    torch.manual_seed(settings.seed)
    policy = Policy(sizes)
    mean, std = data.statistics()
    policy.proprioception.mean.copy_(mean)
    policy.proprioception.std.copy_(std)
    parameters = {name: value for name, value in policy.named_parameters() if value.requires_grad}
    optimizer = torch.optim.AdamW(parameters.values(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    fixed = {**asdict(settings), "sizes": sizes.to_json(), "data": data_digest}
    checkpoint = run.folder / "checkpoint.safetensors"
    done = load_checkpoint(checkpoint, parameters, optimizer, fixed)
    with torch.no_grad():
        texts = torch.cat([policy.text.encode(policy.text.trunk(sentence)) for sentence in data.sentences])
    policy.train()
    for step, report in run.steps(done, settings.steps):
        set_learning_rate(optimizer, settings.learning_rate, step, settings.steps)
        rng, chance = chance_for(settings.seed, step)
        rows, window = shape_for(step, settings.batch, sizes.window)
        batch = data.timeline.sequences(data.timeline.draw(rng, data.training, rows, window), window, sizes.chunk)
        likelihood, way = loss_on(policy, data, batch, texts, settings, chance)
        loss = likelihood + settings.waypoint * way
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters.values(), settings.clip)
        optimizer.step()
        report(loss=likelihood.item(), waypoint_cm=10 * way.item())
        if settings.held_out and ((step + 1) % VALIDATE_EVERY == 0 or step + 1 == settings.steps):
            report.note(**foresight(policy, data, texts))
        if (step + 1) % checkpoint_every == 0 or step + 1 == settings.steps:
            save_checkpoint(checkpoint, parameters, optimizer, step + 1, fixed)
    return policy.eval()


def refuse_existing(output: Path) -> None:
    """Raise a `DmpelError` when there is a library already, before hours are spent."""
    if (output / "manifest.json").exists():
        raise DmpelError(f"{output} already holds a library; choose another --output, or remove it to pretrain anew")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders with LIBERO-layout HDF5 files, or such files")
    parser.add_argument("--output", type=Path, required=True, help="library folder to write")
    parser.add_argument("--run", type=Path, default=Path("runs/pretrain"), help="folder of checkpoint, TensorBoard log and summary")
    parser.add_argument("--steps", type=int, default=6000, help="optimiser steps")
    parser.add_argument("--batch", type=int, default=16, help="sequences of 10 ticks in a step")
    parser.add_argument("--held-out", type=int, default=1, help="demonstrations of each task that only measure whether the policy looks")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2, help="processor threads; results depend on it in the last digits")


def run(arguments: argparse.Namespace) -> int:
    """Pretrain and write the library."""
    torch.set_num_threads(arguments.threads)
    sizes = PolicySizes()
    files = demonstration_files(arguments.data)
    refuse_existing(arguments.output)
    settings = PretrainSettings(arguments.seed, arguments.steps, arguments.batch, held_out=arguments.held_out)
    log = Run(arguments.run, "pretrain")
    data = PictureSet(load_all(files), sizes, settings.held_out)
    policy = pretrain(data, settings, sizes, log, digest(files))
    library = create_library(
        arguments.output,
        backbone={name: value.numpy() for name, value in policy.backbone_state().items()},
        policy=sizes.to_json(),
        modules=library_modules(policy),
        text_encoder=text.identity(),
        observation=OBSERVATION,
    )
    log.summary(
        {
            **asdict(settings),
            "tasks": data.sentences,
            "frames": len(data.timeline),
            "demonstrations": len(data.timeline.lengths),
            "library": str(library.path),
            **log.noted,
        }
    )
    print(f"wrote {library.path}: backbone pretrained on {len(data.sentences)} tasks, {len(data.timeline)} frames")
    return 0
