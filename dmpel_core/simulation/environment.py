"""One LIBERO task as an environment: reset to a state, act at 20 Hz, observe, judge the goal.

The model, the arm's operational-space controller and the goal predicates are LIBERO's and robosuite's own. Left out are
robosuite's observables and renderer, which cost several times the physics, and its reset, which compiles the model anew.
"""

from typing import TYPE_CHECKING

import mujoco
import numpy as np

from dmpel_core.errors import DmpelError
from dmpel_core.observation import Observation
from dmpel_core.simulation.rendering import Renderer
from dmpel_core.simulation.scene import FREQUENCY, Positioned, build_scene
from dmpel_core.simulation.tasks import Task

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["FREQUENCY", "Environment", "SimulationError"]

JOINTS = tuple(f"robot0_joint{number}" for number in range(1, 8))
FINGERS = ("gripper0_finger_joint1", "gripper0_finger_joint2")


class SimulationError(DmpelError):
    """A state or an action that does not fit the task."""


class Environment:
    """A running task. Starts at the task's first stored state.

    Attributes:
        task: The task.
        robosuite: LIBERO's environment, for objects, contacts and sites by name; step and reset through this class only.
        model: Compiled MuJoCo model.
        data: Its state.
    """

    def __init__(self, task: Task, *, size: int = 128, render: bool = True, reduce_meshes: bool = True, cache: bool = True) -> None:
        """Build the task's scene.

        Args:
            task: What to build.
            size: Height and width of the pictures [pixels].
            render: Whether `observe` will be called; without it no OpenGL is needed.
            reduce_meshes: Whether to draw coarser visual meshes, five times faster; physics is the same.
            cache: Whether to keep the compiled model on disk for the next time.
        """
        self.task = task
        self.robosuite = build_scene(task, reduce_meshes=reduce_meshes, cache=cache)
        self.model: mujoco.MjModel = self.robosuite.sim.model._model  # noqa: SLF001  robosuite wraps it without a way in
        self.data: mujoco.MjData = self.robosuite.sim.data._data  # noqa: SLF001  as above
        self._arm = self.robosuite.robots[0]
        self._arm.controller.sim = Positioned(self.robosuite.sim)
        self._joints = [self.model.joint(name).qposadr[0] for name in JOINTS]
        self._fingers = [self.model.joint(name).qposadr[0] for name in FINGERS]
        self._substeps = round(1 / (FREQUENCY * self.model.opt.timestep))
        self._renderer = Renderer(self.model, size) if render else None
        self.reset(task.initial_states[0])

    def reset(self, state: np.ndarray) -> None:
        """Start an episode at a flattened MuJoCo state `[time, qpos, qvel]`, (D,), forgetting all that went before."""
        environment = self.robosuite
        expected = (1 + self.model.nq + self.model.nv,)
        if np.shape(state) != expected:
            task = f"{self.task.suite} task {self.task.index}"
            raise SimulationError(f"{task} has states of shape {expected}, got {np.shape(state)}; use a state of this task")
        environment.sim.reset()
        environment.sim.set_state_from_flattened(state)
        environment.sim.forward()
        environment.timestep, environment.cur_time, environment.done = 0, 0.0, False
        self._arm.controller.update(force=True)
        self._arm.controller.reset_goal()
        self._arm.gripper.current_action = np.zeros(self._arm.gripper.dof)
        self._update_appearance()

    def step(self, action: np.ndarray) -> None:
        """Act for one twentieth of a second.

        Args:
            action: Six pose deltas in [-1, 1] (x1 = 5 cm or 0.5 rad), then the gripper (-1 open, +1 close), (7,).
        """
        if np.shape(action) != (7,) or not np.isfinite(action).all():
            raise SimulationError(f"an action is 7 finite numbers, got {action}; check what computes it")
        for substep in range(self._substeps):
            mujoco.mj_step1(self.model, self.data)
            self.robosuite._pre_action(action, substep == 0)  # noqa: SLF001  its public step costs five times this one
            mujoco.mj_step2(self.model, self.data)
        self.robosuite.timestep += 1
        self.robosuite.cur_time += 1 / FREQUENCY
        self._update_appearance()

    def observe(self) -> Observation:
        """Return what the arm sees and feels now."""
        if self._renderer is None:
            raise SimulationError("this environment was built with render=False; build it with render=True to observe")
        agentview, eye_in_hand = self._renderer.render(self.data)
        return Observation(agentview, eye_in_hand, self.joints(), self.gripper())

    def joints(self) -> np.ndarray:
        """Return the arm's joint positions, (7,) [rad]."""
        return self.data.qpos[self._joints]

    def gripper(self) -> np.ndarray:
        """Return the finger joints' positions, (2,) [m]."""
        return self.data.qpos[self._fingers]

    def success(self) -> bool:
        """Return whether all goal predicates hold now."""
        return bool(self.robosuite._check_success())  # noqa: SLF001  has no public name

    def state(self) -> np.ndarray:
        """Return the flattened MuJoCo state as LIBERO stores it, `[time, qpos, qvel]`, (D,)."""
        return np.concatenate([[self.data.time], self.data.qpos, self.data.qvel])

    def close(self) -> None:
        """Free what the operating system lent."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _update_appearance(self) -> None:
        """Let a lit burner glow: LIBERO shows it by a site that it toggles after each step."""
        self.robosuite._post_process()  # noqa: SLF001  has no public name
