"""What the simulator adds to a demonstration: contacts, and the drawer, door or knob of the task, at every stored state."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from dmpel_core.data.hdf5 import Demonstration, TaskRecord
from dmpel_core.simulation.environment import Environment, SimulationError
from dmpel_core.simulation.expert.fingers import held
from dmpel_core.simulation.expert.scene import Scene
from dmpel_core.simulation.tasks import find_task
from dmpel_core.skills.motion import Motion, motion_of


def watcher(task: TaskRecord) -> Callable[[Demonstration], Motion]:
    """Return what looks at demonstrations of a task; builds its scene once.

    Raises:
        DmpelError: The simulator does not know the task.
    """
    environment = Environment(find_task(task.suite, task.language), render=False)
    return lambda demonstration: watch(environment, demonstration)


def watch(environment: Environment, demonstration: Demonstration) -> Motion:
    """Return a demonstration's motion with what the simulator sees at its states.

    Raises:
        SimulationError: The demonstration has no states of this task.
    """
    model, data = environment.model, environment.data
    expected = (len(demonstration), *environment.state_shape)
    if demonstration.states is None or demonstration.states.shape != expected:
        found = "none" if demonstration.states is None else demonstration.states.shape
        raise SimulationError(f"this task has states of shape {expected}, the demonstration has {found}; annotate it without --replay")
    joint = yielding_joint(environment)
    holding, position = np.zeros(len(demonstration), bool), np.zeros(len(demonstration))
    for tick, state in enumerate(demonstration.states):
        environment.restore(state)
        holding[tick] = bool(held(model, data))
        position[tick] = data.qpos[model.jnt_qposadr[joint]] if joint is not None else 0.0
    motion = motion_of(demonstration)
    return replace(motion, holding=motion.closing & holding, yielding=None if joint is None else position)


def yielding_joint(environment: Environment) -> int | None:
    """Return the joint that the task's goal asks to be moved: of a drawer, a door or a knob; None where it asks for none."""
    scene = Scene(environment.model, environment.data)
    for kind, *names in environment.task.goal:
        if kind in ("turnon", "turnoff"):
            return int(environment.model.joint(f"{names[0]}_button").id)
        if kind in ("open", "close") and scene.has_site(names[0]):
            return scene.site_joint(names[0])
        if kind in ("open", "close") and scene.has_joint(f"{names[0]}_hinge"):
            return int(environment.model.joint(f"{names[0]}_hinge").id)
    return None
