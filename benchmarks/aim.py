"""Does a policy see that its open hand stands beside where it should close? Open loop, on demonstrations.

python -m benchmarks.aim LIBRARY DEMONSTRATIONS.hdf5 [--generation N] [--last 10]

Looks at the ticks at which the open hand is less than 5 cm above, and less than 6 cm beside, where it will close. There the expert
steers sideways by 20 times its offset [1/m], clipped at 1. A policy that sees steers likewise: share 1. One that only goes
down has share 0, and comes down on the rim. Take demonstrations that the policy was not trained on; `dmpel collect` disturbs the hand.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from dmpel_core.data.hdf5 import Demonstration
from dmpel_core.experts.chunk import act_on_chunk
from dmpel_core.experts.library import read_library
from dmpel_core.experts.pool import ExpertPool
from dmpel_core.experts.restore import restore_factors, restore_policy, restore_router
from dmpel_core.policy.policy import Frames
from dmpel_core.training.datasets import load_task_file
from dmpel_core.training.episodes import Timeline, stack_floats
from dmpel_core.training.features import compute
from dmpel_core.training.waypoints import SCALE, waypoints

ABOVE, BESIDE, OPEN, OFF = 0.05, 0.06, 0.06, 0.012  # [m]


def low_ticks(demo: Demonstration) -> tuple[np.ndarray, np.ndarray]:
    """Return the ticks (n,) with an open hand low over where it closes, and how far beside it is there, (n, 2) [m]."""
    way = waypoints(demo.ee_pos, demo.actions) / SCALE
    is_open = demo.gripper[:, 0] - demo.gripper[:, 1] > OPEN
    low = is_open & (way[:, 2] < 0.005) & (-way[:, 2] < ABOVE) & (np.linalg.norm(way[:, :2], axis=1) < BESIDE)
    ticks = np.flatnonzero(low)
    return ticks, way[ticks, :2]


class Steering:
    """What a generation does sideways."""

    def __init__(self, path: Path, generation: int | None) -> None:
        library = read_library(path, generation)
        self.policy = restore_policy(library).eval()
        self.pool = ExpertPool(self.policy.modules_adapted, restore_factors(library))
        self.router = restore_router(library, self.policy.sizes, self.policy.query_width)

    @torch.inference_mode()
    def __call__(self, demo: Demonstration, instruction: str, ticks: np.ndarray) -> np.ndarray:
        """Return the action's x and y at each tick, (n, 2), from a full window of the demonstration that ends there."""
        policy, window = self.policy, self.policy.sizes.window
        words = policy.text.trunk(instruction)
        frozen = compute(policy, demo, policy.text.encode(words), view=0, seed=0)
        index = Timeline([demo.actions]).sequences(ticks - window + 1, window, policy.sizes.chunk).index
        tokens, queries = (torch.from_numpy(frozen[name])[index].float() for name in ("tokens", "queries"))
        frames = Frames(tokens, stack_floats([demo.joints])[index], stack_floats([demo.gripper])[index])
        coefficients = self.router(policy.sequence_query(queries))
        answer, _ = act_on_chunk(policy, self.pool, coefficients, frames, words.expand(len(ticks), -1, -1))
        return answer.mode()[:, -1, 0, :2].numpy()


def share(done: np.ndarray, wanted: np.ndarray) -> float:
    """Return the slope of what is done over what is wanted, both (n, 2), through the origin."""
    return float((done * wanted).sum() / (wanted**2).sum())


def main(arguments: list[str] | None = None) -> int:
    """Print how much of the expert's sideways corrections the policy makes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", type=Path)
    parser.add_argument("demonstrations", type=Path, help="HDF5 file of one task")
    parser.add_argument("--generation", type=int)
    parser.add_argument("--last", type=int, default=10, help="demonstrations to take, the file's last ones (default 10)")
    given = parser.parse_args(arguments)
    steering, rows = Steering(given.library, given.generation), []
    for instruction, demo in load_task_file(given.demonstrations)[-given.last :]:
        ticks, beside = low_ticks(demo)
        late = ticks >= steering.policy.sizes.window - 1
        if late.any():
            rows.append(np.hstack([steering(demo, instruction, ticks[late]), demo.actions[ticks[late], :2], beside[late]]))
    done, wanted, beside = np.split(np.concatenate(rows), 3, axis=1)
    for name, chosen in (("all", slice(None)), (f"more than {100 * OFF:.1f} cm beside", np.linalg.norm(beside, axis=1) > OFF)):
        error, still = (np.linalg.norm(miss[chosen], axis=1).mean() for miss in (done - wanted, wanted))
        made = share(done[chosen], wanted[chosen])
        print(f"{name}: {len(done[chosen])} ticks, share {made:.2f}; sideways error {error:.3f}, of a hand that never steers {still:.3f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
