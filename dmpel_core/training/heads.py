"""Train the auxiliary heads of a generation: skill, phase, progress and the fingers' next event. Everything else stays frozen.

The heads see the router's last hidden layer and the temporal feature, as the engine computes them at every tick. They are stored
beside the generation's router, which they belong to; a new expert brings a new router, and heads are then trained anew.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmpel_core.experts.keeping import keep_beside
from dmpel_core.experts.library import open_library, read_library
from dmpel_core.inference.onnx_engine import OnnxEngine
from dmpel_core.skills.heads import OTHERS, Heads
from dmpel_core.skills.results import keep
from dmpel_core.skills.vocabulary import PHASES, SKILLS
from dmpel_core.training.head_data import HeadData, head_data

INNER, BATCH, LEARNING_RATE, WEIGHT_DECAY, DROPOUT, NOISE = 64, 256, 2e-3, 1e-2, 0.2, 0.1
PROGRESS_WEIGHT, EVENT_WEIGHT = 5.0, 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("library", type=Path, help="folder of the library; the generation in use gets heads")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="demonstrations with phases, of the library's tasks")
    parser.add_argument("--held-out", type=Path, nargs="*", default=[], help="demonstrations to measure on")
    parser.add_argument("--demonstrations", type=int, default=20, help="of each file of --data (default 20)")
    parser.add_argument("--held-out-demonstrations", type=int, default=5, help="of each file of --held-out (default 5)")
    parser.add_argument("--epochs", type=int, default=40, help="passes over all ticks (default 40)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, help="keep the figures in this JSON file")


def run(arguments: argparse.Namespace) -> int:
    """Train, store, measure."""
    torch.set_num_threads(1)
    library = read_library(arguments.library)
    engine = OnnxEngine(arguments.library, library.generation)
    data = head_data(engine, arguments.data, 0, arguments.demonstrations)
    tensors = train(data, arguments.epochs, arguments.seed)
    library = keep_beside(library, "heads", tensors)
    figures: dict[str, object] = {"heads_ticks_trained": len(data)}
    if arguments.held_out:
        held_out = head_data(engine, arguments.held_out, 0, arguments.held_out_demonstrations)
        width = engine.latent().shape[0]
        figures |= measure(Heads(open_library(arguments.library).heads(), width, 0), held_out)
    for name, value in figures.items():
        print(f"{name:24} {value}")
    if arguments.results:
        keep(arguments.results, figures)
    return 0


def train(data: HeadData, epochs: int, seed: int) -> dict[str, np.ndarray]:
    """Return heads as `Heads` takes them.

    Args:
        data: What they learn from.
        epochs: Passes over it.
        seed: Of weights, order, dropout and noise.
    """
    torch.manual_seed(seed)
    centre, scale = data.latent.mean(0), data.latent.std(0) + 1e-3
    inputs = torch.from_numpy(((data.latent - centre) / scale).astype(np.float32))
    targets = {name: torch.from_numpy(getattr(data, name)) for name in ("skill", "phase", "progress", "event")}
    net = nn.Sequential(
        nn.Linear(inputs.shape[1], INNER), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(INNER, len(SKILLS) + len(PHASES) + OTHERS)
    )
    optimizer = torch.optim.AdamW(net.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    steps = epochs * (1 + (len(inputs) - 1) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(inputs)).split(BATCH):
            seen = inputs[rows] + NOISE * torch.randn(len(rows), inputs.shape[1])
            loss = head_loss(net(seen), {name: values[rows] for name, values in targets.items()})
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    first, last = net[0].state_dict(), net[-1].state_dict()
    layers = {f"first.{name}": value.numpy() for name, value in first.items()} | {
        f"last.{name}": value.numpy() for name, value in last.items()
    }
    counts = np.array([len(SKILLS), len(PHASES)], np.int64)
    return {"centre": centre.astype(np.float32), "scale": scale.astype(np.float32), "counts": counts, **layers}


def head_loss(out: Tensor, target: Mapping[str, Tensor]) -> Tensor:
    """Return the loss of outputs (batch, skills + phases + 2): cross-entropies, and absolute errors of progress and log ticks."""
    skill, phase, others = out.split([len(SKILLS), len(PHASES), OTHERS], 1)
    names = F.cross_entropy(skill, target["skill"].long()) + F.cross_entropy(phase, target["phase"].long())
    progress = F.l1_loss(others[:, 0].sigmoid(), target["progress"].float())
    event = F.l1_loss(others[:, 1], target["event"].float().log1p())
    return names + PROGRESS_WEIGHT * progress + EVENT_WEIGHT * event


def measure(heads: Heads, data: HeadData) -> dict[str, object]:
    """Return how well heads tell episodes that they have not seen."""
    nothing = np.zeros(0, np.float32)
    told = [heads(row, nothing) for row in data.latent]
    return {
        "phase_accuracy": round(float(np.mean([one.phases.argmax() == phase for one, phase in zip(told, data.phase, strict=True)])), 4),
        "skill_accuracy": round(float(np.mean([one.skills.argmax() == skill for one, skill in zip(told, data.skill, strict=True)])), 4),
        "progress_mae": round(float(np.abs(np.array([one.progress for one in told]) - data.progress).mean()), 4),
        "event_median_error_ticks": round(float(np.median(np.abs(np.array([one.event for one in told]) - data.event))), 2),
        "heads_ticks_measured": len(data),
    }
