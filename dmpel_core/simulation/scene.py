"""The benchmark's own scene of a task: robosuite's environment without its observations, its renderer and its chatter."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from dmpel_core.simulation.model_cache import compiling
from dmpel_core.simulation.task import Task, World

FREQUENCY = 20  # actions per second, what LIBERO's demonstrations and policies use [Hz]


def build_scene(task: Task, *, reduce_meshes: bool, cache: bool) -> World:
    """Return a task's scene.

    What the task leaves open and its states do not say, such as where LIBERO's fixtures stand, is drawn with seed 0, as in
    LIBERO's own evaluation.

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


def _build(task: Task) -> World:
    """Return a task's scene, with the arm, the controller and the rate of LIBERO's demonstrations."""
    import libero.libero.envs  # noqa: F401  teaches this robosuite to use this MuJoCo
    from robosuite import load_controller_config

    world = task.build(
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
    world.robosuite.visualize(dict.fromkeys(world.robosuite._visualizations, False))  # noqa: SLF001  hides the gripper's markers
    return world


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
    """Seed numpy's global generator, which both benchmarks draw from, and put the caller's back afterwards."""
    state = np.random.get_state()  # noqa: NPY002  they have no generator of their own
    np.random.seed(seed)  # noqa: NPY002  as above
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002  as above
