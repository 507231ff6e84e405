"""One training step of an expert of the published policy, random weights: its time and its memory.

python -m benchmarks.full_size [--rows 1] [--steps 3]
"""

import argparse
import resource
import time

import torch

from dmpel_core.experts.chunk import act_on_chunk
from dmpel_core.experts.pool import ExpertPool, start_expert
from dmpel_core.experts.router import Router
from dmpel_core.policy.policy import Frames, Policy
from dmpel_core.policy.presets import CLIP_VIT_B16
from dmpel_core.training.run import machine

WORDS = 8  # tokens of a usual instruction


def main() -> None:
    """Run the steps and print what they took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1, help="sequences of 10 ticks in a step (paper: 32)")
    parser.add_argument("--steps", type=int, default=3)
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    policy = Policy(CLIP_VIT_B16).requires_grad_(False).to(device)
    factors = start_expert(policy.modules_adapted, [], torch.Generator().manual_seed(0))
    newest = {name: torch.nn.Parameter(value.to(device)) for name, value in factors.items()}
    pool = ExpertPool(policy.modules_adapted, [], newest)
    router = Router(policy.query_width, policy.sizes.router_hidden, 1, policy.sizes.top_k).to(device)
    optimizer = torch.optim.AdamW([*newest.values(), *router.parameters()], lr=1e-4, weight_decay=0.1)
    for step in range(arguments.steps):
        began = time.perf_counter()
        loss = train_step(policy, pool, router, optimizer, arguments.rows, device)
        print(
            f"step {step}: {arguments.rows} x {policy.sizes.window} ticks, {time.perf_counter() - began:.2f} s, loss {loss:.3f}", flush=True
        )
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    peak = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else resident
    print(f"peak memory {peak:.1f} GiB; {machine()}, {torch.get_num_threads()} threads")


def train_step(
    policy: Policy, pool: ExpertPool, router: Router, optimizer: torch.optim.Optimizer, rows: int, device: torch.device
) -> float:
    """Do one step on random pictures: frozen pass, routing, adapted pass, gradients, update. Return the loss."""
    sizes = policy.sizes
    pictures = torch.rand(rows * sizes.window, len(sizes.cameras), 3, sizes.pixels, sizes.pixels, device=device)
    joints, gripper = torch.randn(rows, sizes.window, 7, device=device), torch.randn(rows, sizes.window, 2, device=device)
    actions = torch.rand(rows, sizes.window, 1, sizes.action, device=device) * 2 - 1
    ids = torch.full((rows, WORDS), 7, device=device)
    with torch.no_grad():
        frames = Frames(policy.image.trunk(pictures).unflatten(0, (rows, sizes.window)), joints, gripper)
        words = policy.text.embed(ids)  # type: ignore[operator, union-attr]
        query = policy.sequence_query(policy.query(frames, policy.text.encode(words)))
    mixture, _ = act_on_chunk(policy, pool, router(query), frames, words, dropout=0.15)  # as the official code trains
    loss = mixture.negative_log_likelihood(actions).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


if __name__ == "__main__":
    main()
