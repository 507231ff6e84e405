"""Records of runs that never took place, and the report of them."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from dmpel_core.lifelong import report
from dmpel_core.lifelong.intervals import Counts, intervals
from dmpel_core.lifelong.player import routing
from dmpel_core.lifelong.result import figures_of

TASKS = [{"number": number, "instruction": f"put it on <{number}>", "frames": 9, "demonstrations": 1, "data": "ab"} for number in (3, 5)]


def record(algorithm: str, seed: int = 0, **changes: Any) -> dict[str, Any]:
    joint = algorithm == "multitask"
    table = [[0.5, 1.0]] if joint else [[1.0], [0.5, 1.0]]
    values = {
        "format": 2, "algorithm": algorithm, "name": algorithm, "suite": "libero_goal", "seed": seed, "tasks": TASKS,
        "success_matrix": table,
        "learning_curves": [] if joint else [[0.0, 0.8], [0.2, 0.6]], "curve_steps": [] if joint else [[0, 10], [0, 30]],
        "episodes": 10, "selection_episodes": 5, "control_episodes": 20,
        "trainable_parameters": 1234567, "stored_bytes": 2500000, "minutes": 61.0, "routing": [None, None],
        "controls": {"blank": [0.0, 0.1]},
    }  # fmt: skip
    values |= changes
    counts = Counts.of(values)
    return {**values, **figures_of(counts), "intervals": intervals(counts)}


ROUTES = [routing([np.eye(3)[[0, 0, 0, 1, 1, 2]]]), routing([np.full((6, 3), 0.5)])]
FIGURES = {"accuracy_at_start": 0.75, "switches_per_episode": 2.0, "jerk_at_switches": 0.3, "jerk_elsewhere": None}


def write(folder: Path, *records: dict[str, Any]) -> list[Path]:
    places = [folder / f"{number}" for number in range(len(records))]
    for place, values in zip(places, records, strict=True):
        place.mkdir(parents=True)
        (place / "result.json").write_text(json.dumps(values))
    return places


def write_report(folder: Path, places: list[Path]) -> Path:
    """Run `dmpel report` and return the page."""
    parser = argparse.ArgumentParser()
    report.add_arguments(parser)
    assert report.run(parser.parse_args([*map(str, places), "--output", str(folder)])) == 0
    return folder / "index.html"
