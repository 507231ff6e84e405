"""What the two choices of `dmpel learn` beside the paper do and cost, on a problem of the golden cases' size.

python -m benchmarks.choices [--steps 120] [--epochs 40] [--seeds 2]

A random policy imitates itself: demonstrations are what it does with a random expert that no library holds. Costs are in
processor seconds, so that other work on the machine does not count. The figures say what a choice does, not what it is worth on a robot.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from dmpel_core.experts.pool import ExpertPool
from dmpel_core.experts.replay import ReplayMemory, replay_loss
from dmpel_core.experts.router import Router
from dmpel_core.inference.episode import Episode
from dmpel_core.policy.policy import Frames, Policy
from dmpel_core.policy.presets import CLIP_VIT_B16, SMALL
from dmpel_core.policy.sizes import LanguageSizes, VisionSizes
from dmpel_core.training.episodes import Timeline
from dmpel_core.training.expert import ExpertLosses, learn_expert
from dmpel_core.training.features import FeatureSet
from dmpel_core.training.recall import recall
from dmpel_core.training.run import Run
from dmpel_core.training.settings import LearnSettings
from dmpel_core.training.start import start_for
from dmpel_core.training.workers import on_processor

SIZES = replace(
    CLIP_VIT_B16, pixels=32, image_width=48, width=48, heads=4, film_hidden=24, temporal_blocks=2, temporal_hidden=64, window=4,
    head_hidden=24, rank=4, tower_rank=2, router_hidden=20, minimum_std=0.05,
    vision=VisionSizes(32, 8, 4, (2, 3), 4, 192, unused=0), language=LanguageSizes(32, 4, (2, 3), 4, 64, 16, 16, 100, 99, 32),
)  # fmt: skip
EARLIER, LENGTH, DEMONSTRATIONS, HELD_OUT = 2, 24, 16, 4  # experts in the library; ticks, number of demonstrations, and last of them
TASKS, SAMPLES = 5, 32  # of coefficient replay

_Result = TypeVar("_Result")


def timed(work: Callable[[], _Result]) -> tuple[_Result, float]:
    """Return a result and the processor seconds that it took."""
    began = time.process_time()
    return work(), time.process_time() - began


def random_expert(policy: Policy, chance: torch.Generator) -> dict[str, Tensor]:
    """Return an expert that changes what the policy does."""
    shapes = {name: shape for module in policy.modules_adapted for name, shape in module.shapes().items()}
    return {name: 0.15 * torch.randn(shape, generator=chance) for name, shape in shapes.items()}


def demonstrations(policy: Policy, seed: int) -> FeatureSet:
    """Return pictures and joints that drift, with what the policy does there with an expert of its own."""
    chance, count = torch.Generator().manual_seed(seed), DEMONSTRATIONS * LENGTH
    drift = torch.randn(DEMONSTRATIONS, LENGTH, 2, 3, 8, 8, generator=chance).cumsum(1).flatten(0, 1).sigmoid()
    pictures = drift.repeat_interleave(4, -1).repeat_interleave(4, -2)
    joints = 0.3 * torch.randn(DEMONSTRATIONS, LENGTH, 7, generator=chance).cumsum(1).flatten(0, 1)
    gripper = torch.rand(count, 2, generator=chance)
    words = policy.text.embed(torch.tensor([[0, 5, 9, 99]]))  # type: ignore[operator]
    frames = Frames(policy.image.trunk(pictures)[None], joints[None], gripper[None])
    pool, ones = ExpertPool(policy.modules_adapted, [random_expert(policy, chance)]), torch.ones(1, 6, 1)
    mixture = pool.mix(ones)
    actions = policy.act(policy.tokens(frames, policy.text.encode(words, mixture), mixture), mixture).mode()[0, :, 0]
    queries = policy.query(frames, policy.text.encode(words))
    timeline = Timeline(list(actions.view(DEMONSTRATIONS, LENGTH, 7).numpy()))
    return FeatureSet(timeline, frames.tokens.half().numpy(), queries.numpy(), joints, gripper, torch.zeros(count, 3), words)


def first(data: FeatureSet, count: int) -> FeatureSet:
    """Return the first demonstrations."""
    actions = data.timeline.actions[: count * LENGTH].view(count, LENGTH, 7)
    return replace(data, timeline=Timeline(list(actions.numpy())))


def played(policy: Policy, pool: ExpertPool, router: Router, data: FeatureSet) -> float:
    """Return the mean negative log-likelihood of the held-out demonstrations, tick by tick as an engine computes it."""
    text, losses = policy.text.encode(data.text), []
    for number in range(DEMONSTRATIONS - HELD_OUT, DEMONSTRATIONS):
        episode = Episode(policy.sizes)
        for tick in range(number * LENGTH, (number + 1) * LENGTH):
            frame = data.frames(np.zeros(1, int), torch.tensor([[tick]]))
            answer, _ = episode.tick(policy, pool, router, frame, data.text, text)
            losses.append(answer.negative_log_likelihood(data.timeline.actions[tick][None, None]).item())
    return float(np.mean(losses))


def train(policy: Policy, earlier: list[dict[str, Tensor]], data: FeatureSet, steps: int, query: str) -> tuple[ExpertPool, Router]:
    """Learn an expert with the loop of `dmpel learn`."""
    settings = LearnSettings(seed=0, steps=steps, batch=8, views=1, state_noise=0.0, state_dropout=0.0, query=query)
    with tempfile.TemporaryDirectory() as folder:
        start = start_for(policy, earlier, None, data, "nothing", settings.seed)
        factors, router = learn_expert(policy, earlier, start, data, settings, Run(Path(folder), "learn", shown=False), {})
    return ExpertPool(policy.modules_adapted, [*earlier, factors]), router


def compare_queries(steps: int, seed: int) -> dict[str, tuple[float, float]]:
    """Return for each training query the likelihood as played, and the processor seconds of a step."""
    torch.manual_seed(seed)
    policy, chance = Policy(SIZES).eval().requires_grad_(False), torch.Generator().manual_seed(seed + 1)
    earlier = [random_expert(policy, chance) for _ in range(EARLIER)]
    with torch.no_grad():
        data = demonstrations(policy, seed + 2)
    seen, rows = first(data, DEMONSTRATIONS - HELD_OUT), {}
    for query in ("chunk", "causal"):
        train(policy, earlier, seen, 1, query)  # what only the first step needs is not counted
        (pool, router), seconds = timed(partial(train, policy, earlier, seen, steps, query))
        with torch.inference_mode():
            rows[query] = (played(policy, pool, router, data), seconds / steps)
    return rows


def backward(losses: ExpertLosses, step: int) -> None:
    """Compute the gradients of one step."""
    torch.stack(losses(step)).sum().backward()


def step_seconds(frames: int = 100) -> dict[str, tuple[float, float]]:
    """Return for each training query the processor seconds of a whole window's step and a short one's, with the small preset."""
    torch.manual_seed(0)
    policy = Policy(SMALL).requires_grad_(False)
    tokens, queries = torch.randn(1, frames, 2, 65, SMALL.image_width).half(), torch.randn(1, frames, policy.query_width)
    body = torch.randn(frames, 7), torch.rand(frames, 2), torch.zeros(frames, 3)
    words = policy.text.trunk("put the bowl on the plate")
    data, rows = FeatureSet(Timeline([np.zeros((frames, 7))]), tokens.numpy(), queries.numpy(), *body, words), {}
    for query in ("chunk", "causal"):
        settings, start = LearnSettings(seed=0, steps=9, batch=8, views=1, query=query), start_for(policy, [], None, data, "nothing", 0)
        losses = ExpertLosses(policy, [], start, data, settings, on_processor())
        times = [timed(partial(backward, losses, step))[1] for step in (1, 4, 5)]  # the first one is not counted
        rows[query] = (times[1], times[2])
    return rows


def memories(seed: int) -> list[ReplayMemory]:
    """Return what tasks that chose experts at random would have stored."""
    chance = torch.Generator().manual_seed(seed)
    stored = []
    for task in range(TASKS):
        queries = torch.randn(1, 137, generator=chance) + 0.3 * torch.randn(SAMPLES, 137, generator=chance)
        answers = torch.zeros(SAMPLES, 6, TASKS)
        for row in range(6):
            chosen = torch.randperm(task + 1, generator=chance)[:3]
            answers[:, row, chosen] = torch.linspace(1.9, 0.3, len(chosen))
        stored.append(ReplayMemory.of(queries, 32, answers, 3))
    return stored


def compare_replay(epochs: int, seed: int) -> dict[str, tuple[float, float, float]]:
    """Return for each replay loss the error of the router's top-3, the share of stored choices missing from it, and seconds a step."""
    torch.manual_seed(seed)
    stored, fresh = memories(seed), Router(137, 20, TASKS, 3)
    queries = torch.cat([memory.queries() for memory in stored])
    targets = torch.cat([memory.targets(TASKS) for memory in stored])
    rows = {}
    for loss in ("sparse", "dense"):
        (router, _), seconds = timed(partial(recall, fresh, stored, epochs, seed, dense=loss == "dense"))
        with torch.inference_mode():
            missing = ((router(queries) == 0) & (targets > 0)).sum() / (targets > 0).sum()
            rows[loss] = (replay_loss(router, queries, targets).item(), missing.item(), seconds / (epochs * TASKS * SAMPLES / 32))
    return rows


def main() -> None:
    """Print one row for each choice and seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=120, help="of learning an expert")
    parser.add_argument("--epochs", type=int, default=40, help="of coefficient replay, five steps each")
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    print("| query | seed | nats as played | ms a step | cost |\n| --- | --- | --- | --- | --- |", flush=True)
    for seed in range(arguments.seeds):
        rows = compare_queries(arguments.steps, seed)
        for name, (loss, seconds) in rows.items():
            cost = seconds / rows["chunk"][1]
            print(f"| {name} | {seed} | {loss:.2f} | {1000 * seconds:.0f} | {cost:.1f} |", flush=True)
    print("\n| query, small preset | s a step of whole windows | of two ticks |\n| --- | --- | --- |", flush=True)
    for name, (whole, short) in step_seconds().items():
        print(f"| {name} | {whole:.2f} | {short:.2f} |", flush=True)
    print("\n| replay loss | seed | error of the top-3 | choices missing | ms a step | cost |\n| --- | --- | --- | --- | --- | --- |")
    for seed in range(arguments.seeds):
        replayed = compare_replay(arguments.epochs, seed)
        for name, (error, missing, seconds) in replayed.items():
            cost = seconds / replayed["sparse"][2]
            print(f"| {name} | {seed} | {error:.4f} | {missing:.1%} | {1000 * seconds:.1f} | {cost:.1f} |", flush=True)


if __name__ == "__main__":
    main()
