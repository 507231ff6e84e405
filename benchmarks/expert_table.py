"""How much of LIBERO the scripted expert solves: `python -m benchmarks.expert_table --output runs/expert.json`.

Every task of the suites is tried from its first stored initial states, undisturbed. An episode has up to three tries, in each of which
the expert goes about it in another way. Tasks that the file has already are left alone, so a run that was stopped goes on; the
table is printed from the file.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from dmpel_core.evaluation.statistics import wilson_interval
from dmpel_core.json_file import write_json

SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10")
WAYS = 3
Row = dict[str, Any]


def measure(suite: str, index: int, states: int) -> Row:
    """Return one task's row: how each episode went, and what demonstrations take."""
    from dmpel_core.simulation.environment import Environment
    from dmpel_core.simulation.tasks import load_task

    task = load_task(suite, index)
    with Environment(task) as environment:
        episodes = [solve(environment, task.initial_states[state]) for state in range(min(states, len(task.initial_states)))]
    return {"suite": suite, "task": index, "instruction": task.instruction, "episodes": episodes}


def solve(environment: Any, state: np.ndarray) -> Row:
    """Return how an episode from a state went: tries, whether the last one succeeded, its ticks, and CPU seconds of all."""
    from dmpel_core.simulation.episodes import LONGEST
    from dmpel_core.simulation.expert import StuckError
    from dmpel_core.simulation.recording import record_episode

    began, reasons = time.process_time(), []
    for way in range(WAYS):
        try:
            shown = record_episode(environment, state, attempt=way, disturb=lambda action, *_: action, longest=LONGEST)
        except StuckError as error:
            reasons.append(str(error))
            continue
        return {"tries": way + 1, "success": True, "ticks": len(shown.actions), "seconds": time.process_time() - began, "reasons": reasons}
    return {"tries": WAYS, "success": False, "ticks": 0, "seconds": time.process_time() - began, "reasons": reasons}


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    yield "| suite | task | instruction | solved | first try | 95 % interval | ticks | CPU s per demonstration |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for row in rows:
        episodes = row["episodes"]
        solved = [episode for episode in episodes if episode["success"]]
        first = sum(episode["tries"] == 1 for episode in solved)
        low, high = wilson_interval(len(solved), len(episodes))
        ticks = f"{np.median([episode['ticks'] for episode in solved]):.0f}" if solved else "-"
        seconds = f"{sum(episode['seconds'] for episode in episodes) / len(solved):.1f}" if solved else "-"
        yield (
            f"| {row['suite']} | {row['task']} | {row['instruction']} | {len(solved)} / {len(episodes)} | {first} / {len(episodes)} "
            f"| {100 * low:.0f}-{100 * high:.0f} % | {ticks} | {seconds} |"
        )
    enough = sum(sum(episode["success"] for episode in row["episodes"]) >= 0.95 * len(row["episodes"]) for row in rows)
    yield f"\n{enough} of {len(rows)} tasks are solved from 95 % or more of their states."


def read_rows(path: Path) -> list[Row]:
    """Return the rows that a file has, none if there is no file."""
    rows: list[Row] = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Measure what is missing and print the table."""
    from dmpel_core.simulation.tasks import task_names

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="JSON file to make or to go on with")
    parser.add_argument("--suites", nargs="+", default=SUITES)
    parser.add_argument("--states", type=int, default=10, help="episodes of each task, one from each of the first stored states")
    arguments = parser.parse_args(argv)
    rows = read_rows(arguments.output)
    known = {(row["suite"], row["task"]) for row in rows if len(row["episodes"]) >= arguments.states}
    wanted = [(suite, index) for suite in arguments.suites for index in range(len(task_names(suite)))]
    for suite, index in tqdm([pair for pair in wanted if pair not in known], desc="tasks"):
        fresh = measure(suite, index, arguments.states)
        rows = sorted([*(row for row in rows if (row["suite"], row["task"]) != (suite, index)), fresh],
                      key=lambda row: (row["suite"], row["task"]))  # fmt: skip
        write_json(arguments.output, {"rows": rows})
    print("\n".join(table([row for row in rows if row["suite"] in arguments.suites])))


if __name__ == "__main__":
    main()
