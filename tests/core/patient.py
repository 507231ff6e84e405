"""A command whose workers never come to an end."""

import argparse
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dmpel_core.crews import ENGINES, crew
from dmpel_core.simulation.jobs import side_by_side


@dataclass(frozen=True)
class Job:
    """Something to do for ever, in a process that holds a named pipe open as long as it lives."""

    pipe: Path
    size: int = 1


def wait(job: Job) -> dict:
    os.write(os.open(job.pipe, os.O_WRONLY), f"{os.getpid()}\n".encode())
    while True:
        signal.pause()


def wait_with(job: Job, _progress: Callable[[], object]) -> dict:
    return wait(job)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("how", choices=("map", "side-by-side"))
    parser.add_argument("pipe", type=Path)
    parser.add_argument("--engine", choices=ENGINES, default="processes")


def run(arguments: argparse.Namespace) -> int:
    jobs = [Job(arguments.pipe)] * 4
    if arguments.how == "side-by-side":
        return len(list(side_by_side(wait_with, jobs, 2, lambda: None, arguments.engine)))
    with crew(arguments.engine, 2) as workers:
        return len(list(workers.map(wait, jobs)))
