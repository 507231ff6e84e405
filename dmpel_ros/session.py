"""The simulated arm and the policy as two processes with an evaluator beside them: what `simulate`, `demo` and the tests share."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rclpy
from rclpy.signals import SignalHandlerOptions

from dmpel_ros.background import spinning
from dmpel_ros.evaluator import Evaluator
from dmpel_ros.locations import config_file, find_library
from dmpel_ros.processes import Processes, private_network


@dataclass(frozen=True)
class Setup:
    """What the two processes are started with, beside the files in `config/`.

    Attributes:
        library: Folder of the library.
        generation: Generation to start with; -1 for the selected one.
        logs: Folder for the processes' logs.
        real_time_factor: Simulated seconds per second at most; 0.0 for as fast as it can.
        record: Whether outcomes hold pictures.
        viewer: Whether a window shows the simulation.
    """

    library: str
    generation: int
    logs: Path
    real_time_factor: float = 1.0
    record: bool = False
    viewer: bool = False


def ros_arguments(parameters_file: str, **parameters: Any) -> list[str]:
    """Return the arguments that give a node its file and, above it, single parameters."""
    single = [argument for name, value in parameters.items() for argument in ("-p", f"{name}:={value}")]
    return ["--ros-args", "--params-file", str(config_file(parameters_file)), *single]


@contextmanager
def _initialised() -> Iterator[None]:
    """Initialise rclpy without its signal handlers: a Ctrl-C must first end the episode, then the network."""
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    try:
        yield
    finally:
        rclpy.try_shutdown()


@contextmanager
def session(setup: Setup) -> Iterator[Evaluator]:
    """Start both nodes on a network of their own and yield an evaluator that has found them; end them with the block."""
    library = find_library(setup.library)
    with ExitStack() as stack:
        environment = stack.enter_context(private_network())
        processes = Processes(setup.logs, environment)
        stack.callback(processes.stop)
        processes.start(
            "policy",
            "dmpel_ros.policy_node",
            ros_arguments("policy.yaml", use_sim_time=True, library=library.resolve(), generation=setup.generation),
        )
        processes.start(
            "simulation",
            "dmpel_ros.bridge_node",
            ros_arguments("simulation.yaml", real_time_factor=setup.real_time_factor, viewer=setup.viewer),
        )
        stack.enter_context(_initialised())
        evaluator = Evaluator(processes.check, setup.record)
        stack.enter_context(spinning(evaluator))
        evaluator.wait_for_nodes()
        yield evaluator


@contextmanager
def recording(folder: Path, logs: Path) -> Iterator[None]:
    """Record into a folder what a session does while the block runs; the file is whole when it has ended."""
    processes = Processes(logs, os.environ)
    processes.start("recorder", "dmpel_ros.recorder", ros_arguments("policy.yaml", folder=folder.resolve()))
    try:
        yield
    finally:
        processes.stop()


def parse_states(text: str) -> Sequence[int]:
    """Return the indices that `40:50` or `40,41,47` name."""
    if ":" in text:
        first, end = text.split(":")
        return range(int(first), int(end))
    return [int(part) for part in text.split(",")]
