"""Time one control tick of the shipped library, alone on the machine.

usage: python -m benchmarks.tick [library]

Prints one line for the whole tick and one per stage, each a median with its share of the tick, measured in one run.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from dmpel_core.experts.library import read_library
from dmpel_core.inference.torch_engine import TorchEngine, build, frames_of
from dmpel_core.observation import Observation

ROUNDS = 200


def observation(seed: int) -> Observation:
    """Return a random observation of the shipped size."""
    rng = np.random.default_rng(seed)
    return Observation(*rng.integers(0, 256, (2, 128, 128, 3), dtype=np.uint8), rng.normal(size=7), rng.uniform(0, 0.04, 2))


def milliseconds(call: Callable[[], object]) -> float:
    """Return the median time of a call [ms]."""
    times = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        call()
        times.append(time.perf_counter() - begun)
    return 1000 * float(np.median(times))


@torch.inference_mode()
def main(library: Path) -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    engine, seen = TorchEngine(library), observation(0)
    engine.set_instruction(engine.expert_names[0])
    for _ in range(20):
        engine.tick(seen)
    current = build(read_library(library))
    policy, pool, router = current.policy, current.pool, current.router
    assert pool is not None
    assert router is not None
    frames = frames_of(policy, seen)
    words = policy.text.trunk(engine.expert_names[0])
    query = policy.query(frames, policy.text.encode(words))[0]
    mixture = pool.mix(router(query))
    text = policy.text.encode(words, mixture)
    window = policy.tokens(frames, text, mixture).expand(1, policy.sizes.window, -1, -1)
    stages = {
        "pictures, frozen half": lambda: frames_of(policy, seen),
        "query, frozen second half": lambda: policy.query(frames, policy_text),
        "router": lambda: router(query),
        "mixing": lambda: pool.mix(router(query)),
        "text, adapted half": lambda: policy.text.encode(words, mixture),
        "image, adapted half, and fusion": lambda: policy.tokens(frames, text, mixture),
        "temporal transformer and head": lambda: policy.act(window, mixture).mode(),
    }
    policy_text = policy.text.encode(words)
    whole = milliseconds(lambda: engine.tick(seen))
    print(f"{'tick':34s} {whole:7.2f} ms   {len(engine.expert_names)} experts, 1 thread, median of {ROUNDS}")
    for name, call in stages.items():
        taken = milliseconds(call)
        print(f"  {name:32s} {taken:7.2f} ms   {taken / whole:5.0%}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("models/libero_goal"))
