"""The tasks of all suites by name: LIBERO's and robosuite's own. Nothing here starts a simulator, so listing and loading is quick."""

from functools import lru_cache
from typing import Protocol

from dmpel_core.simulation import libero_tasks, robosuite_tasks
from dmpel_core.simulation.task import Task, TaskError

__all__ = ["PERTURBATIONS", "SUITES", "Task", "TaskError", "find_task", "instructions", "load_task", "perturbed", "task_names"]

SUITES = (*libero_tasks.SUITES, *robosuite_tasks.SUITES)
PERTURBATIONS = {"object": "object", "swap": "swap", "paraphrase": "lan", "task": "task"}
"""LIBERO-PRO's changes of a task (other objects, exchanged places, other words, another goal) and how the suites with them end."""


class _Benchmark(Protocol):
    """What a module that knows a benchmark's tasks offers."""

    def task_names(self, suite: str) -> tuple[str, ...]:
        """Return the names of a suite's tasks, in the benchmark's own order."""

    def instruction(self, suite: str, name: str) -> str:
        """Return a task's instruction."""

    def read_task(self, suite: str, index: int) -> Task:
        """Read a task; the index is valid."""


_BENCHMARKS: dict[str, _Benchmark] = {
    **dict.fromkeys((*libero_tasks.SUITES, *libero_tasks.PERTURBED), libero_tasks),
    **dict.fromkeys(robosuite_tasks.SUITES, robosuite_tasks),
}


def task_names(suite: str) -> tuple[str, ...]:
    """Return the names of a suite's tasks, in the benchmark's own order."""
    return _benchmark(suite).task_names(suite)


def perturbed(suite: str, kind: str) -> str:
    """Return the name of the suite with one of `PERTURBATIONS`; an empty kind changes nothing.

    Raises:
        TaskError: The benchmark package has no such suite.
    """
    changed = f"{suite}_{PERTURBATIONS[kind]}" if kind else suite
    if kind and changed not in libero_tasks.PERTURBED:
        raise TaskError(f"{suite} has no tasks with the perturbation {kind!r}; those with it: {', '.join(libero_tasks.PERTURBED)}")
    return changed


def instructions(suite: str) -> tuple[str, ...]:
    """Return the instructions of a suite's tasks, by index."""
    return tuple(_benchmark(suite).instruction(suite, name) for name in task_names(suite))


@lru_cache(maxsize=128)
def load_task(suite: str, index: int) -> Task:
    """Load one task.

    Args:
        suite: Suite name, one of `SUITES`, or one of them with a perturbation.
        index: Place in the suite, from 0.
    """
    names = task_names(suite)
    if not 0 <= index < len(names):
        raise TaskError(f"{suite} has no task {index}; valid indices: 0 to {len(names) - 1}")
    return _benchmark(suite).read_task(suite, index)


def find_task(suite: str, instruction: str) -> Task:
    """Load the one task of a suite that has this instruction, ignoring case and surplus spaces."""
    known = instructions(suite)
    wanted = " ".join(instruction.lower().split())
    matches = [index for index, text in enumerate(known) if text == wanted]
    if len(matches) == 1:
        return load_task(suite, matches[0])
    if matches:
        raise TaskError(f"{suite} has this instruction in several scenes: {wanted!r}; choose one by index: {matches}")
    listing = "\n".join(f"  {index}: {text}" for index, text in enumerate(known))
    raise TaskError(f"{suite} has no task with the instruction {wanted!r}; valid instructions:\n{listing}")


def _benchmark(suite: str) -> _Benchmark:
    if suite not in _BENCHMARKS:
        raise TaskError(f"unknown suite {suite!r}; valid suites: {', '.join((*SUITES, *libero_tasks.PERTURBED))}")
    return _BENCHMARKS[suite]
