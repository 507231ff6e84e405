"""What the chosen savings cost a real library: python -m benchmarks.savings DEMONSTRATIONS.hdf5 ... --tasks 8,1,0,4 --states 40:50.

On demonstrations, open loop: every engine sees their observations, whatever it would have done, and its actions are compared with the exact
ones. With --tasks also in episodes of the simulator, as `dmpel evaluate` plays them. Adds the part `savings` to the record.
"""

import argparse
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from benchmarks.contestants import MODES
from benchmarks.record import read_record
from dmpel_core.data.hdf5 import read_demonstrations, read_task
from dmpel_core.evaluation.evaluate import Job, evaluate, numbers
from dmpel_core.evaluation.rollout import Condition
from dmpel_core.evaluation.statistics import wilson_interval
from dmpel_core.experts.library import open_library
from dmpel_core.experts.tensors import pack
from dmpel_core.inference import Engine, Savings, load_engine
from dmpel_core.inference.export.command import export_library
from dmpel_core.inference.frames_command import take
from dmpel_core.inference.int8 import FEWEST
from dmpel_core.json_file import write_json
from dmpel_core.observation import Observation

HORIZON = 250


def main() -> None:
    """Measure, print, and add to the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("demonstrations", type=Path, nargs="+", help="files of tasks that the library knows")
    parser.add_argument("--library", type=Path, default=Path("models/libero_goal"))
    parser.add_argument("--episodes", type=int, default=2, help="demonstrations of each file")
    parser.add_argument("--suite", default="libero_goal", help="of --tasks")
    parser.add_argument("--tasks", type=numbers, default=(), help="tasks to play with every saving; none unless named")
    parser.add_argument("--states", type=numbers, default=numbers("40:50"), help="stored initial states, one episode each")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), help="folder of engine.json")
    arguments = parser.parse_args()
    path = arguments.out / "engine.json"
    record = read_record(path, resume=True)
    episodes = [episode for file in arguments.demonstrations for episode in read_episodes(file, arguments.episodes)]
    with tempfile.TemporaryDirectory() as folder:
        library, chosen = with_graphs(arguments.library, Path(folder) / "library"), choices(arguments.demonstrations, Path(folder))
        engines = {mode: load_engine(library, provider="cpu", savings=savings) for mode, savings in chosen.items()}
        found = compare({mode: act(engine, episodes) for mode, engine in engines.items()})
        if arguments.tasks:
            jobs = partial(jobs_of, library, arguments.suite, arguments.tasks, arguments.states)
            found = [entry | play(jobs(chosen[entry["mode"]])) for entry in found]
    record["savings"] = found
    write_json(path, record)
    for entry in record["savings"]:
        print(entry)


def choices(demonstrations: list[Path], folder: Path) -> dict[str, Savings]:
    """Return all that is tried; eight bits on pictures of the demonstrations, written into the folder."""
    frames = folder / "frames.safetensors"
    frames.write_bytes(pack(take(demonstrations, FEWEST)))
    return {
        **MODES, "int8": Savings(int8=frames), "tolerance 0.02": Savings(tolerance=0.02), "tolerance 0.1": Savings(tolerance=0.1),
        "all": Savings(route_every=10, route_after=True, tolerance=0.02, int8=frames),
        "bf16": Savings(precision="bf16"), "fp16": Savings(precision="fp16"),
    }  # fmt: skip


def jobs_of(library: Path, suite: str, tasks: Sequence[int], states: tuple[int, ...], savings: Savings) -> list[Job]:
    """Return the episodes that a saving is played in."""
    normal = Condition("normal")
    return [Job(library, None, suite, task, task, normal, states, HORIZON, seed=0, savings=savings) for task in tasks]


def play(jobs: Sequence[Job]) -> dict:
    """Return how many episodes succeed, of how many, with the 95 % interval."""
    rows = list(evaluate(jobs, processes=2))
    successes, episodes = (sum(row[name] for row in rows) for name in ("successes", "episodes"))
    return {"successes": successes, "played": episodes, "interval": wilson_interval(successes, episodes)}


def with_graphs(library: Path, folder: Path) -> Path:
    """Return the library, or a copy that has graphs."""
    if open_library(library).manifest.graphs:
        return library
    shutil.copytree(library, folder)
    export_library(folder)
    return folder


def read_episodes(path: Path, count: int) -> Iterator[tuple[str, list[Observation]]]:
    """Yield the instruction and the observations of a file's first demonstrations."""
    instruction = read_task(path).language
    for demonstration in islice(read_demonstrations(path), count):
        parts = (demonstration.agentview, demonstration.eye_in_hand, demonstration.joints, demonstration.gripper)
        yield instruction, [Observation(*seen) for seen in zip(*parts, strict=True)]


def act(engine: Engine, episodes: Sequence[tuple[str, list[Observation]]]) -> np.ndarray:
    """Return the actions of all ticks of all episodes, (ticks, 7)."""
    actions = []
    for instruction, observations in episodes:
        engine.reset()
        engine.set_instruction(instruction)
        for observation in observations:
            actions.append(engine.tick(observation).action)
            engine.catch_up()
    return np.stack(actions)


def compare(actions: Mapping[str, np.ndarray]) -> list[dict]:
    """Return how far each mode's actions are off the exact ones: of the six pose numbers mean and p99, of the gripper how often."""
    exact = actions["exact"]
    found = []
    for mode, other in actions.items():
        off = np.abs(other - exact)
        found.append({"mode": mode, "ticks": len(exact), "mean": float(off[:, :6].mean()), "p99": float(np.percentile(off[:, :6], 99)),
                      "mean_action": float(np.abs(exact[:, :6]).mean()), "gripper_differs": float((off[:, 6] > 0).mean())})  # fmt: skip
    return found


if __name__ == "__main__":
    main()
