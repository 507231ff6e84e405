"""What it costs to tell more than the action, the alarm and the heads: `python -m benchmarks.insight LIBRARY`.

An engine tells of ticks on pictures that move, and every part of the telling is compared with the rest of its own tick. What nothing
waits for, to read probabilities from the heads' outputs, is timed on its own.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rounds import LOOP, PAUSE, WARM_UP, observations, quartiles
from dmpel_core.experts.library import open_library
from dmpel_core.inference import load_engine
from dmpel_core.skills.heads import Told
from dmpel_core.skills.results import keep


def measure(path: Path, ticks: int) -> dict[str, Any]:
    """Return the median of a tick without telling [ms], each part's share of it, quartiles over the ticks, and what reading costs [ms]."""
    library = open_library(path)
    engine = load_engine(path, engine="onnx", provider="cpu", insight=True)
    engine.set_instruction(library.experts[0].instructions[0])
    seen, silent, reading = observations(LOOP), list[float](), list[float]()
    parts: dict[str, list[float]] = {"alarm": [], **({"heads": []} if library.manifest.heads else {})}
    for number in range(WARM_UP + ticks):
        time.sleep(PAUSE)
        began = time.perf_counter()
        insight = engine.tick(seen[number % LOOP]).insight
        spent = time.perf_counter() - began
        engine.catch_up()
        if insight is None or number < WARM_UP:
            continue
        silent.append(spent - sum(insight.seconds.values()))
        for name, values in parts.items():
            values.append(insight.seconds[name])
        if insight.told is not None:
            reading.append(seconds_to_read(insight.told))
    figures: dict[str, Any] = {"insight_tick_ms": round(1e3 * float(np.median(silent)), 3), "insight_ticks": len(silent)}
    for name, values in parts.items():
        figures[f"{name}_extra_share"] = [round(value, 4) for value in quartiles(np.array(values) / np.array(silent))]
    return figures | ({"heads_reading_ms": round(1e3 * float(np.median(reading)), 3)} if reading else {})


def seconds_to_read(told: Told) -> float:
    """Read all that the heads tell, as the ROS node does when the action is out, and return how long it took [s]."""
    began = time.perf_counter()
    told.skills.tolist(), told.phases.tolist(), told.progress, told.event
    return time.perf_counter() - began


def main() -> None:
    """Measure, print, and keep where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", type=Path, help="library with graphs; with heads, if their cost is asked for (`dmpel heads`)")
    parser.add_argument("--ticks", type=int, default=1000)
    parser.add_argument("--results", type=Path, help="keep the figures in this JSON file")
    arguments = parser.parse_args()
    figures = measure(arguments.library, arguments.ticks)
    for name, value in figures.items():
        print(f"{name:24} {value}")
    if arguments.results:
        keep(arguments.results, figures)


if __name__ == "__main__":
    main()
