"""Evaluate a library in simulation without ROS, with the controls that show whether it looks.

Beside the normal figure stand the same episodes with both pictures black (`blank`), with another task's instruction
(`wrong`) and with objects moved up to --reach metres (`wide`), and LIBERO-PRO's changes of the task: other objects (`object`), exchanged
places (`swap`), other words (`paraphrase`), another goal (`task`). Parts join with _, as in `wide_blank`.

With --output an evaluation that was stopped goes on when it is started again, and further tasks and conditions are added to the file.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

from tqdm import tqdm

from dmpel_core.crews import ENGINES, crew
from dmpel_core.errors import DmpelError
from dmpel_core.evaluation.rollout import Condition, Episode, run_episode, staged
from dmpel_core.evaluation.statistics import wilson_interval
from dmpel_core.experts.library import open_library
from dmpel_core.inference.options import EXACT, Savings, add_savings_arguments, savings_of
from dmpel_core.json_file import write_json
from dmpel_core.simulation.tasks import SUITES, task_names
from dmpel_core.skills.alarm import FREQUENCY

Row = dict[str, Any]

SETTINGS = ("suite", "states", "reach", "horizon", "actions", "seed")
"""Options that all rows of one file share; tasks and conditions may be added to it."""


@dataclass(frozen=True)
class Job:
    """The episodes of one task under one condition."""

    library: Path
    generation: int | None
    suite: str
    task: int
    other: int
    condition: Condition
    states: tuple[int, ...]
    horizon: int
    seed: int
    sample: bool = False
    savings: Savings = EXACT


def run_job(job: Job) -> tuple[str, list[Episode]]:
    """Run a job in this process and return the task's instruction and its episodes."""
    from dmpel_core.inference import load_engine
    from dmpel_core.simulation.environment import Environment

    task, told = staged(job.suite, job.task, job.other, job.condition)
    engine = load_engine(job.library, job.generation, sample_seed=job.seed if job.sample else None, savings=job.savings, insight=True)
    with Environment(task) as environment:
        return task.instruction, [
            run_episode(environment, engine, told, state, job.condition, job.horizon, job.seed) for state in job.states
        ]


def evaluate(jobs: Sequence[Job], processes: int, engine: str = "processes") -> Iterator[Row]:
    """Run all jobs and yield a row for each: task, instruction, condition, what was told, episodes, successes, interval, outcomes."""
    with crew(engine, processes) as workers:
        for job, (instruction, episodes) in zip(
            jobs, tqdm(workers.map(run_job, jobs), total=len(jobs), desc="evaluating", unit="job"), strict=True
        ):
            successes = sum(episode.success for episode in episodes)
            tqdm.write(f"{instruction:55s} {job.condition.name:12s} {successes:3d} / {len(episodes)}")
            yield {
                **key(job),
                "instruction": instruction,
                "episodes": len(episodes),
                "successes": successes,
                "interval": wilson_interval(successes, len(episodes)),
                "outcomes": [asdict(episode) for episode in episodes],
            }


def key(job: Job) -> Row:
    """Return what tells a job from others of one evaluation."""
    return {"task": job.task, "condition": job.condition.name, "told": job.other if job.condition.wrong else job.task}


def known_rows(path: Path | None, settings: Row) -> list[Row]:
    """Return the rows that an evaluation which was stopped has left in its file; none if there is no file.

    Raises:
        DmpelError: The file is of another evaluation, or something else.
    """
    if path is None or not path.exists():
        return []
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        rows, stored = kept["tasks"], kept["settings"]
    except (ValueError, TypeError, KeyError) as error:
        raise DmpelError(
            f"{path} is not what this version of `dmpel evaluate` writes ({error!r}): remove it or name another --output"
        ) from error
    changed = {name: (stored.get(name), value) for name, value in json.loads(json.dumps(settings)).items() if stored.get(name) != value}
    if changed:
        raise DmpelError(f"{path} holds other episodes, {changed} (stored, asked): remove it or name another --output")
    return list(rows)


def totals(rows: Sequence[Row]) -> list[Row]:
    """Return one row for each condition, over all tasks, with how many episodes raised the alarm and how long all lasted [h]."""
    result = []
    for name in dict.fromkeys(row["condition"] for row in rows):
        chosen = [row for row in rows if row["condition"] == name]
        successes, outcomes = sum(row["successes"] for row in chosen), [outcome for row in chosen for outcome in row["outcomes"]]
        told = [outcome["alarms"] for outcome in outcomes if outcome["alarms"] is not None]
        result.append(
            {
                "condition": name,
                "episodes": len(outcomes),
                "successes": successes,
                "interval": wilson_interval(successes, len(outcomes)),
                "alarmed": sum(count > 0 for count in told) if len(told) == len(outcomes) else None,
                "hours": sum(outcome["ticks"] for outcome in outcomes) / FREQUENCY / 3600,
            }
        )
    return result


def numbers(text: str) -> tuple[int, ...]:
    """Read `0,3,8` or `40:50`."""
    if ":" in text:
        first, _, last = text.partition(":")
        return tuple(range(int(first), int(last)))
    return tuple(int(part) for part in text.split(","))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("library", type=Path)
    parser.add_argument("--generation", type=int, help="default: the selected one")
    parser.add_argument("--suite", default="libero_goal", help=f"one of {', '.join(SUITES)} (default libero_goal)")
    parser.add_argument("--tasks", type=numbers, required=True, help="task numbers, as in 0,3,8")
    parser.add_argument(
        "--states",
        type=numbers,
        default=numbers("40:50"),
        help="stored initial states, one episode each (35 and up were never trained on); select on others than you report",
    )
    parser.add_argument(
        "--conditions",
        default="normal",
        help="comma-separated: normal, blank, wrong, wide, object, swap, paraphrase, task, or joined as in wide_blank",
    )
    parser.add_argument("--reach", type=float, default=0.07, help="of `wide` [m]")
    parser.add_argument("--horizon", type=int, default=600, help="most ticks of an episode (paper: 600)")
    parser.add_argument("--actions", choices=("mode", "sample"), default="mode", help="sample: draw from the mixture, as officially")
    parser.add_argument("--seed", type=int, default=0, help="of the wide placements and of sampled actions")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument(
        "--engine", choices=ENGINES, default="processes", help="ray: on the cluster that RAY_ADDRESS names, or one of this machine"
    )
    add_savings_arguments(parser)
    parser.add_argument("--output", type=Path, help="JSON file for the rows, to make or to go on with")


def run(arguments: argparse.Namespace) -> int:
    """Evaluate and print a table."""
    conditions = [Condition.parse(name, arguments.reach) for name in arguments.conditions.split(",")]
    tasks, savings = arguments.tasks, savings_of(arguments)
    others = tasks[1:] + tasks[:1] if len(tasks) > 1 else ((tasks[0] + 1) % len(task_names(arguments.suite)),)
    jobs = [
        Job(
            arguments.library,
            arguments.generation,
            arguments.suite,
            task,
            other,
            condition,
            arguments.states,
            arguments.horizon,
            arguments.seed,
            arguments.actions == "sample",
            savings,
        )
        for condition, (task, other) in product(conditions, zip(tasks, others, strict=True))
    ]
    settings = {name: getattr(arguments, name) for name in SETTINGS}
    settings["savings"] = savings.record() or None  # files of earlier versions tell none
    manifest = open_library(arguments.library, arguments.generation).manifest
    settings["files"], settings["limits"] = manifest.what_acts(), manifest.alarm_limits()
    rows = known_rows(arguments.output, settings)
    left = [job for job in jobs if not any(key(job).items() <= row.items() for row in rows)]
    for row in evaluate(left, arguments.processes, arguments.engine):
        rows.append(row)
        if arguments.output:
            write_json(arguments.output, {"settings": settings, "tasks": rows, "totals": totals(rows)})
    for row in totals(rows):
        low, high = row["interval"]
        alarm = "" if row["alarmed"] is None else f"  alarm in {row['alarmed']} of {row['episodes']} episodes, {row['hours']:.2f} h"
        print(f"{row['condition']:12s} {row['successes']} / {row['episodes']}  95 % interval {low:.0%} to {high:.0%}{alarm}")
    return 0
