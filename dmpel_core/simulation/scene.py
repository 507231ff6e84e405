"""LIBERO's own scene of a task: robosuite's environment without its observations, its renderer and its chatter."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from dmpel_core.simulation.model_cache import compiling
from dmpel_core.simulation.tasks import Task

FREQUENCY = 20  # actions per second, what LIBERO's demonstrations and policies use [Hz]


def build_scene(task: Task, *, reduce_meshes: bool, cache: bool) -> Any:
    """Return LIBERO's robosuite environment of a task.

    Fixtures are no part of a stored state: where they stand is drawn with seed 0, as in LIBERO's own evaluation.

    Args:
        task: What to build.
        reduce_meshes: Whether to reduce the visual meshes.
        cache: Whether to keep the compiled model on disk.
    """
    with _quiet(), _seeded(0), compiling(reduce_meshes, cache):
        return _build(task)


class Positioned:
    """The simulation as the arm's controller sees it, which asks for a forward pass before it reads positions.

    `step` and `reset` have just made one, and the same numbers twice would cost a fifth of the tick.
    """

    def __init__(self, simulation: Any) -> None:
        """Share the model and data of robosuite's simulation."""
        self.model, self.data = simulation.model, simulation.data

    def forward(self) -> None:
        """Do nothing: positions and velocities are up to date."""


def _build(task: Task) -> Any:
    """Return LIBERO's environment for a task; where its fixtures stand is drawn from numpy's global generator."""
    from libero.libero.envs import TASK_MAPPING
    from libero.libero.envs.bddl_utils import get_problem_info
    from robosuite import load_controller_config

    problem = get_problem_info(str(task.bddl_file))["problem_name"]
    environment = TASK_MAPPING[problem](
        str(task.bddl_file),
        robots=["Panda"],
        controller_configs=load_controller_config(default_controller="OSC_POSE"),
        gripper_types="default",
        initialization_noise=None,
        use_camera_obs=False,
        has_renderer=False,
        has_offscreen_renderer=False,
        control_freq=FREQUENCY,
        ignore_done=True,
    )
    environment.visualize(dict.fromkeys(environment._visualizations, False))  # noqa: SLF001  hides the gripper's markers
    return environment


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the packages' notes on private settings and task orders off the user's screen."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        logging.disable(disabled)


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed numpy's global generator, which LIBERO draws from, and put the caller's back afterwards."""
    state = np.random.get_state()  # noqa: NPY002  LIBERO has no generator of its own
    np.random.seed(seed)  # noqa: NPY002  as above
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002  as above
