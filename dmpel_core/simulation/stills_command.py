"""Make still pictures of tasks, one HDF5 file per task, from which `dmpel pretrain` and `dmpel learn` take waypoints.

Each shows an arrangement of objects, varied up to --reach around the stored initial states, and a hand that may be anywhere, empty
or with the object in it; beside it stands where its fingers would next close or open. For tasks that begin with picking an object up
and putting it down, with a drawer or with a knob. A file that is there is left alone.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from dmpel_core.crews import ENGINES
from dmpel_core.data.stills import write_stills
from dmpel_core.simulation.collect import task_record
from dmpel_core.simulation.environment import Environment
from dmpel_core.simulation.jobs import or_error, parse_states, parse_tasks, side_by_side
from dmpel_core.simulation.stills import Settings, make_stills
from dmpel_core.simulation.tasks import SUITES, load_task


@dataclass(frozen=True)
class Job:
    """One task's share of a run."""

    suite: str
    index: int
    folder: Path
    settings: Settings

    @property
    def size(self) -> int:
        """How many arrangements it is."""
        return self.settings.layouts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `dmpel stills`."""
    own = Settings()
    parser.add_argument("--suite", required=True, help=f"one of {', '.join(SUITES)}")
    parser.add_argument("--tasks", default="all", help="task numbers, e.g. 0,1,8, or all (default)")
    parser.add_argument("--layouts", type=int, default=own.layouts, help=f"arrangements of each task (default {own.layouts})")
    parser.add_argument("--each", type=int, default=own.each, help=f"pictures of each arrangement (default {own.each})")
    parser.add_argument("--output", type=Path, required=True, help="folder; files become OUTPUT/<suite>/<task>_stills.hdf5")
    parser.add_argument("--reach", type=float, default=own.reach, help="how far objects are moved [m] (default 0.10)")
    parser.add_argument("--states", default="0:35", help="stored states to start from, FIRST:END (default 0:35)")
    parser.add_argument("--processes", type=int, default=2, help="tasks side by side (default 2)")
    parser.add_argument(
        "--engine", choices=ENGINES, default="processes", help="ray: on the cluster that RAY_ADDRESS names, or one of this machine"
    )
    parser.add_argument("--seed", type=int, default=own.seed, help="seed of placements and hands (default 0)")


def run(arguments: argparse.Namespace) -> int:
    """Make what was asked for and print a line per task."""
    states = parse_states(arguments.states)
    settings = Settings(arguments.layouts, arguments.each, arguments.seed, arguments.reach, states)
    chosen = parse_tasks(arguments.suite, arguments.tasks)
    jobs = [Job(arguments.suite, index, arguments.output / arguments.suite, settings) for index in chosen]
    failed = 0
    with tqdm(total=len(jobs) * settings.layouts, unit="layout", desc=arguments.suite, smoothing=0.05) as bar:
        for summary in side_by_side(_make_or_explain, jobs, arguments.processes, bar.update, arguments.engine):
            failed += "error" in summary
            found = f"not made: {summary['error']}" if "error" in summary else summary["found"]
            tqdm.write(f"{summary['index']:>3} {summary['instruction']}: {found}")
    return 1 if failed else 0


def make_task(job: Job, progress: Callable[[], object]) -> dict:
    """Make one task's still pictures and return a summary."""
    task = load_task(job.suite, job.index)
    path = job.folder / f"{task.name}_stills.hdf5"
    summary = {"name": task.name, "index": task.index, "instruction": task.instruction}
    if path.exists():
        for _ in range(job.settings.layouts):
            progress()
        return {**summary, "found": f"{path} is there already"}
    with Environment(task) as environment:
        stills = make_stills(environment, job.settings, progress)
    job.folder.mkdir(parents=True, exist_ok=True)
    write_stills(path, stills, task_record(task))
    return {**summary, "found": f"{len(stills)} pictures of {job.settings.layouts} arrangements"}


def _make_or_explain(job: Job, progress: Callable[[], object]) -> dict:
    return or_error(job.suite, job.index, lambda: make_task(job, progress))
