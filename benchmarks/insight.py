"""What it costs to tell more than the action, the alarm and the heads: `python -m benchmarks.insight LIBRARY`.

Two engines on one library do the same ticks in turn; one of them tells. Ratios are of processor time in the same rounds.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rounds import Contestant, compete, quartiles
from dmpel_core.errors import DmpelError
from dmpel_core.experts.library import open_library
from dmpel_core.inference import Engine, load_engine
from dmpel_core.skills.results import keep


def contestant(mode: str, engine: Engine, experts: int) -> Contestant:
    """Return an engine as a contestant; it follows the library's first task."""
    return Contestant("onnx-cpu", mode, experts, engine.tick, settle=engine.catch_up)


def measure(path: Path, rounds: int) -> dict[str, Any]:
    """Return the median tick without telling [ms], and by how much telling makes it longer, as a share: quartiles over the rounds."""
    library = open_library(path)
    modes = {"silent": False, "telling": True}
    engines = {mode: load_engine(path, engine="onnx", provider="cpu", insight=insight) for mode, insight in modes.items()}
    for engine in engines.values():
        engine.set_instruction(library.experts[0].instructions[0])
    silent, telling = (contestant(mode, engine, len(library.experts)) for mode, engine in engines.items())
    times = compete([silent, telling], rounds, np.inf, time.perf_counter)
    if times.off[telling] > 0:
        raise DmpelError(f"telling has moved the actions by {times.off[telling]:.2g}: it must not")
    extra = quartiles(np.array(times.cpu[telling]) / np.array(times.cpu[silent]) - 1.0)
    return {
        "insight_tick_ms": round(1e3 * float(np.median(times.cpu[silent])), 3),
        "insight_extra_share": [round(value, 4) for value in extra],
        "insight_tells": ["alarm", "skill, phase, progress, event"] if library.manifest.heads else ["alarm"],
        "insight_rounds": len(times.rate),
    }


def main() -> None:
    """Measure, print, and keep where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", type=Path, help="library with graphs; with heads, if their cost is asked for (`dmpel heads`)")
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--results", type=Path, help="keep the figures in this JSON file")
    arguments = parser.parse_args()
    figures = measure(arguments.library, arguments.rounds)
    for name, value in figures.items():
        print(f"{name:24} {value}")
    if arguments.results:
        keep(arguments.results, figures)


if __name__ == "__main__":
    main()
