"""How far the chosen savings move the actions of a real library, on demonstrations: python -m benchmarks.savings DEMONSTRATIONS.hdf5 ...

Open loop: every engine sees the demonstration's observations, whatever it would have done. Adds the part `savings` to the record. What a
saving costs in success, only episodes in the simulator can say: `dmpel evaluate`.
"""

import argparse
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from benchmarks.contestants import MODES
from benchmarks.record import read_record
from dmpel_core.data.hdf5 import read_demonstrations, read_task
from dmpel_core.experts.library import open_library
from dmpel_core.inference import Engine, Savings, load_engine
from dmpel_core.inference.export.command import export_library
from dmpel_core.json_file import write_json
from dmpel_core.observation import Observation

CHOICES = {**MODES, "tolerance 0.02": Savings(tolerance=0.02), "tolerance 0.1": Savings(tolerance=0.1)}


def main() -> None:
    """Measure, print, and add to the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("demonstrations", type=Path, nargs="+", help="files of tasks that the library knows")
    parser.add_argument("--library", type=Path, default=Path("models/libero_goal"))
    parser.add_argument("--episodes", type=int, default=2, help="demonstrations of each file")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), help="folder of engine.json")
    arguments = parser.parse_args()
    path = arguments.out / "engine.json"
    record = read_record(path, resume=True)
    episodes = [episode for file in arguments.demonstrations for episode in read_episodes(file, arguments.episodes)]
    with tempfile.TemporaryDirectory() as folder:
        library = with_graphs(arguments.library, Path(folder) / "library")
        engines = {mode: load_engine(library, engine="onnx", provider="cpu", savings=savings) for mode, savings in CHOICES.items()}
        actions = {mode: act(engine, episodes) for mode, engine in engines.items()}
    record["savings"] = compare(actions)
    write_json(path, record)
    for entry in record["savings"]:
        print(entry)


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
