"""One task as an environment: reset to a state, act at 20 Hz, observe, judge the goal.

The model, the arm's operational-space controller and what counts as success are LIBERO's and robosuite's own. Left out are
robosuite's observables and renderer, which cost several times the physics, and its reset, which compiles the model anew.
"""

from typing import TYPE_CHECKING

import mujoco
import numpy as np

from dmpel_core.errors import DmpelError
from dmpel_core.observation import Observation
from dmpel_core.simulation.rendering import Moment, Renderer
from dmpel_core.simulation.scene import FREQUENCY, Positioned, build_scene
from dmpel_core.simulation.task import Task

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
        world: Its scene.
        robosuite: The benchmark's environment, for objects, contacts and sites by name; step and reset through this class only.
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
        self.world = build_scene(task, reduce_meshes=reduce_meshes, cache=cache)
        self.robosuite = self.world.robosuite
        self.model: mujoco.MjModel = self.robosuite.sim.model._model  # noqa: SLF001  robosuite wraps it without a way in
        self.data: mujoco.MjData = self.robosuite.sim.data._data  # noqa: SLF001  as above
        self._arm = self.robosuite.robots[0]
        self._arm.controller.sim = Positioned(self.robosuite.sim)
        self._joints = [self.model.joint(name).qposadr[0] for name in JOINTS]
        self._fingers = [self.model.joint(name).qposadr[0] for name in FINGERS]
        self._substeps = round(1 / (FREQUENCY * self.model.opt.timestep))
        self._size = size
        self._renderer = Renderer(self.model, size) if render else None
        self.reset(task.initial_states[0])

    def reset(self, state: np.ndarray) -> None:
        """Start an episode at a flattened state as `Task.initial_states` has them, (D,), forgetting all that went before."""
        environment = self.robosuite
        if np.shape(state) != self.state_shape:
            task = f"{self.task.suite} task {self.task.index}"
            raise SimulationError(f"{task} has states of shape {self.state_shape}, got {np.shape(state)}; use a state of this task")
        environment.sim.reset()
        self.restore(state)
        environment.timestep, environment.cur_time, environment.done = 0, 0.0, False
        self._arm.controller.update(force=True)
        self._arm.controller.reset_goal()
        self._arm.gripper.current_action = np.zeros(self._arm.gripper.dof)
        self.world.refresh()

    @property
    def state_shape(self) -> tuple[int]:
        """The shape of a flattened state, `(D,)`."""
        return (1 + self.model.nq + self.model.nv + 7 * len(self.world.posed),)

    def pose_address(self, body: int) -> int:
        """Return where in a flattened state the pose (7,) of a movable body begins."""
        if body in self.world.posed:
            return 1 + self.model.nq + self.model.nv + 7 * self.world.posed.index(body)
        return 1 + int(self.model.jnt_qposadr[self.model.body_jntadr[body]])

    def restore(self, state: np.ndarray) -> None:
        """Set time, positions and velocities and what follows from them, to look at a state; to act from it takes `reset`."""
        self.set_positions(state)
        self.data.time, self.data.qvel[:] = state[0], state[1 + self.model.nq :][: self.model.nv]
        mujoco.mj_forward(self.model, self.data)

    def set_positions(self, state: np.ndarray) -> None:
        """Set what a state says of positions, and nothing that follows from them."""
        self.data.qpos[:] = state[1 : 1 + self.model.nq]
        for body in self.world.posed:
            pose = state[self.pose_address(body) :][:7]
            self.model.body_pos[body], self.model.body_quat[body] = pose[:3], pose[3:]

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
        self.world.refresh()

    def observe(self, *, blind: bool = False) -> Observation:
        """Return what the arm sees and feels now; `blind`, with black pictures, which need not be drawn."""
        agentview, eye_in_hand = np.zeros((2, self._size, self._size, 3), np.uint8) if blind else self._pictures()
        return Observation(agentview, eye_in_hand, self.joints(), self.gripper())

    def moment(self) -> Moment:
        """Return what the pictures of now depend on, for `pictures_of`."""
        return Moment.now(self.model, self.data)

    def pictures_of(self, moment: Moment) -> list[np.ndarray]:
        """Return what each camera saw at an earlier moment, to the bit what `observe` would have returned then."""
        now = self.moment()
        moment.put(self.model, self.data)
        try:
            return self._pictures()
        finally:
            now.put(self.model, self.data)

    def _pictures(self) -> list[np.ndarray]:
        if self._renderer is None:
            raise SimulationError("this environment was built with render=False; build it with render=True to observe")
        return self._renderer.render(self.data)

    def joints(self) -> np.ndarray:
        """Return the arm's joint positions, (7,) [rad]."""
        return self.data.qpos[self._joints]

    def gripper(self) -> np.ndarray:
        """Return the finger joints' positions, (2,) [m]."""
        return self.data.qpos[self._fingers]

    def success(self) -> bool:
        """Return whether the task is solved now, as the benchmark judges it."""
        return bool(self.robosuite._check_success())  # noqa: SLF001  has no public name

    def state(self) -> np.ndarray:
        """Return the flattened state as `Task.initial_states` has them, (D,)."""
        poses = [np.append(self.model.body_pos[body], self.model.body_quat[body]) for body in self.world.posed]
        return np.concatenate([[self.data.time], self.data.qpos, self.data.qvel, *poses])

    def close(self) -> None:
        """Free what the operating system lent."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
