"""Run a whole sequence of tasks with one algorithm or several: pretrained backbone, then task after task, evaluated as it goes.

The record of each becomes RUNS/SUITE-ALGORITHM-SEED/result.json; `dmpel report` draws them. A run that was stopped goes on when it is
started again with the same options, and ends with the same numbers.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from dmpel_core.crews import ENGINES
from dmpel_core.errors import DmpelError
from dmpel_core.evaluation.evaluate import numbers
from dmpel_core.experts.library import read_library
from dmpel_core.lifelong.algorithms import ALGORITHMS, algorithm_called
from dmpel_core.lifelong.intervals import METRICS
from dmpel_core.lifelong.protocol import run_lifelong
from dmpel_core.lifelong.rollouts import Rollouts
from dmpel_core.lifelong.settings import KEEP, Options, Plan, Protocol
from dmpel_core.training.options import EPOCHS, add_setting_arguments, add_stills_arguments, settings_of, stills_of
from dmpel_core.training.settings import LearnSettings
from dmpel_core.training.skill_routing import CHOICES
from dmpel_core.training.start import STARTS
from dmpel_core.training.workers import on_device

OPTIONS = {
    "replay_ratio": "dmpel: share of the sequences kept for coefficient replay (paper: 1.0)",
    "replay_epochs": "dmpel: passes over the replay memories (paper: 10)",
    "prune_below": "dmpel: after each task take out experts whose mean share of all tasks' coefficients is below this; 0 for none",
    "memory": "er, agem: most sequences of all earlier tasks together",
    "penalty": "ewc: lambda",
    "decay": "ewc: gamma, what is left of older tasks' Fisher information at each new one",
    "fisher_samples": "ewc: sequences that the Fisher information is measured on",
    "prune": "packnet: share of a task's weights that are freed",
    "post_prune_steps": "packnet: steps after pruning; 0 for as many as before",
    "slots": "l2m: size of the pool",
    "pull": "l2m: weight of the pull of keys towards queries",
    "centres": "iscil: prototypes of a task",
    "skills": "lotus: most skills",
    "segment": "lotus: ticks that a segment of a demonstration has at least",
    "old_demonstrations": "lotus: demonstrations of each earlier task that stay",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    own, protocol = Options(), Protocol()
    parser.add_argument("library", type=Path, help="library whose backbone is where everything starts; its experts are not used")
    parser.add_argument("--algorithm", choices=ALGORITHMS, nargs="+", default=["dmpel"], help="one after another (default: dmpel)")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders that hold SUITE/TASK_demo.hdf5 of every task")
    parser.add_argument("--suite", nargs="+", default=["libero_goal"], help="several: all tasks of the first, then of the next")
    parser.add_argument(
        "--tasks", type=numbers, help="numbers in each suite, in the order they are learned in (default: the first ten, or all there are)"
    )
    parser.add_argument("--demonstrations", type=int, help="use only the first N demonstrations of each file")
    parser.add_argument("--runs", type=Path, default=Path("runs/lifelong"), help="the folders of the runs are below it")
    parser.add_argument("--note", default="", help="tells runs of one algorithm with other options apart, in folder names and reports")
    parser.add_argument("--processes", type=int, default=2, help="episodes that are played side by side")
    parser.add_argument(
        "--engine", choices=ENGINES, default="processes", help="ray: on the cluster that RAY_ADDRESS names, or one of this machine"
    )
    add_setting_arguments(parser, LearnSettings(0, 1200, 16))
    parser.add_argument("--epochs", type=float, default=LearnSettings.epochs, help=EPOCHS)
    add_stills_arguments(parser)
    parser.add_argument("--views", type=int, default=LearnSettings.views, help="cached views of each picture: itself and N - 1 changes")
    parser.add_argument("--query", choices=("chunk", "causal"), default=LearnSettings.query, help="dmpel: see `dmpel learn`")
    parser.add_argument("--replay-loss", choices=("dense", "sparse"), default=LearnSettings.replay_loss, help="dmpel: see `dmpel learn`")
    parser.add_argument("--start", choices=STARTS, default=LearnSettings.start, help="dmpel: see `dmpel learn`")
    parser.add_argument("--coefficient-dropout", type=float, default=LearnSettings.coefficient_dropout, help="dmpel: see `dmpel learn`")
    parser.add_argument("--names", choices=CHOICES, default=LearnSettings.skills, help="dmpel: as `dmpel learn --skills`, for every task")
    parser.add_argument("--states", type=numbers, default=protocol.states, help="stored initial states that are reported (default 40:50)")
    parser.add_argument("--selection-states", type=numbers, default=protocol.selection_states,
                        help="those of learning curves and selection (default 35:40)")  # fmt: skip
    parser.add_argument("--keep", choices=KEEP, default=protocol.keep, help="weights of a learning curve's best point, or the last")
    parser.add_argument("--curve-points", type=int, default=protocol.curve_points, help="points of a learning curve (paper: 6)")
    parser.add_argument("--horizon", type=int, default=protocol.horizon, help="most ticks of an episode (paper: 600)")
    parser.add_argument("--patience", type=float, default=protocol.patience,
                        help="an episode ends after so many times the median length of its demonstrations; 0: at --horizon")  # fmt: skip
    parser.add_argument("--controls", default="", help="play the final policy again: comma-separated conditions, see `dmpel evaluate`")
    parser.add_argument("--control-states", type=numbers, default=(), help="those of the controls (default: as reported)")
    parser.add_argument("--reach", type=float, default=protocol.reach, help="of `wide` [m]")
    parser.add_argument("--loss-samples", type=int, default=protocol.loss_samples, help="sequences of each task behind the loss matrix")
    for name, text in OPTIONS.items():
        default = getattr(own, name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default, help=f"{text} (default {default})")


def run(arguments: argparse.Namespace) -> int:
    """Run the sequence with each algorithm and print its figures."""
    torch.set_num_threads(arguments.threads)
    library, plans = read_library(arguments.library), [plan_of(arguments, name) for name in arguments.algorithm]
    files = task_files(arguments.data, plans[0])
    stills = still_files(arguments.stills, plans[0]) if arguments.stills else []
    with Rollouts(arguments.processes, arguments.engine) as scorer:
        for plan in plans:
            folder, accelerator = (
                arguments.runs / f"{plan.suite}-{plan.name.replace(' ', '-')}-{plan.learn.seed}",
                on_device(plan.learn.precision),
            )
            record = run_lifelong(plan, library, files, folder, scorer, accelerator, stills)
            if accelerator.is_main_process:
                show(record, folder)
    return 0


def show(record: Mapping[str, Any], folder: Path) -> None:
    """Print a run's figures."""
    for name in METRICS:
        if record[name] is not None:
            low, high = record["intervals"][name]
            print(f"{name:14s} {record[name]:6.3f}  95 % interval {low:.3f} to {high:.3f}")
    print(f"{folder / 'result.json'}: {record['minutes']:.0f} minutes, {record['stored_bytes'] / 1e6:.1f} MB stored")


def plan_of(arguments: argparse.Namespace, algorithm: str) -> Plan:
    """Return the run of one algorithm that the options ask for."""
    names = arguments.names if algorithm_called(algorithm).named else LearnSettings.skills
    learn = settings_of(
        arguments, LearnSettings, views=arguments.views, query=arguments.query, replay_loss=arguments.replay_loss, skills=names,
        stills=stills_of(arguments), epochs=arguments.epochs, start=arguments.start,
        coefficient_dropout=arguments.coefficient_dropout,
    )  # fmt: skip
    protocol = Protocol(
        arguments.states, arguments.selection_states, arguments.horizon, arguments.patience, arguments.curve_points, arguments.keep,
        tuple(name for name in arguments.controls.split(",") if name), arguments.control_states, arguments.reach, arguments.loss_samples,
    )  # fmt: skip
    options = Options(**{name: getattr(arguments, name) for name in OPTIONS})
    tasks = arguments.tasks or first_tasks(arguments.suite)
    return Plan(algorithm, "+".join(arguments.suite), tasks, learn, options, protocol, arguments.demonstrations, arguments.note)


def first_tasks(suites: list[str]) -> tuple[int, ...]:
    """Return the numbers of the first ten tasks, fewer where one of the suites has fewer."""
    from dmpel_core.simulation.tasks import task_names

    return tuple(range(min(10, *(len(task_names(suite)) for suite in suites))))


def task_files(folders: list[Path], plan: Plan) -> list[list[Path]]:
    """Return each task's demonstration files, in the plan's order.

    Raises:
        DmpelError: No folder holds any of a task.
    """
    found = named_files(folders, plan, "demo")
    missing = [(suite, name) for suite, name, files in found if not files]
    if missing:
        raise DmpelError(
            f"no demonstrations of {', '.join(name for _, name in missing)} in {', '.join(map(str, folders))}: "
            f"`dmpel collect --suite {missing[0][0]}` makes them"
        )
    return [files for _, _, files in found]


def still_files(folders: list[Path], plan: Plan) -> list[list[Path]]:
    """Return each task's files of still pictures, in the plan's order; not every task can have some.

    Raises:
        DmpelError: No folder holds any of any task.
    """
    found = named_files(folders, plan, "stills")
    if not any(files for _, _, files in found):
        raise DmpelError(
            f"no still pictures of these tasks in {', '.join(map(str, folders))}: `dmpel stills --suite {found[0][0]}` makes them, as "
            f"{found[0][1]} and so on"
        )
    return [files for _, _, files in found]


def named_files(folders: list[Path], plan: Plan, kind: str) -> list[tuple[str, str, list[Path]]]:
    """Return suite, file name and files of each task, in the plan's order, of one kind: `demo` or `stills`."""
    from dmpel_core.simulation.tasks import load_task

    names = [(suite, f"{load_task(suite, number).name}_{kind}.hdf5") for suite, number in plan.sequence]
    return [
        (suite, name, [path for folder in folders for path in (folder / suite / name, folder / name) if path.exists()])
        for suite, name in names
    ]
