"""Closed-loop motion of the hand: every action is computed from the state at hand, never from what was meant to happen.

The moves are generators. They yield the clean action for the current state; whoever executes it (perturbed or not) steps
the simulator before asking for the next one. Because of the feedback, an arm that was pushed off its way recovers.
"""

from collections.abc import Callable, Iterator

import mujoco
import numpy as np

from dmpel_core.simulation.expert.fingers import held
from dmpel_core.simulation.expert.rotations import down, rotation_vector

Actions = Iterator[np.ndarray]
"""A move: yields actions (7,), in [-1, 1]; six pose deltas (1 = 5 cm or 0.5 rad), then the gripper."""

OPEN, CLOSE = -1.0, 1.0

_POSITION_GAIN = 20.0
"""Action per metre of error: the controller lags, so the goal is set well ahead of the hand."""
_ROTATION_GAIN = 2.0
_ROTATION_LIMIT = 0.6
_INTEGRAL_RADIUS, _INTEGRAL_GAIN, _INTEGRAL_LIMIT = 0.02, 0.25, 0.012
"""The impedance controller stops 3-6 mm short; an integral near the goal removes that [m, -, m]."""
_METRES_PER_RADIAN, _PROGRESS, _STALLED_NEAR, _STALLED_ANYWHERE = 0.05, 0.0003, 12, 20
"""A hand that gets no nearer than this [m] in so many ticks rests against something: waiting would teach idling.

Far from the goal more ticks must pass, since a disturbance may have pushed the hand away for a while.
"""
_FINGERS = ("gripper0_finger_joint1", "gripper0_finger_joint2")
_OPEN_ENOUGH = 0.06
"""Fingers that are nearer to each other than this are closed [m]."""
_MOVED, _LATEST = 0.002, 20
"""Fingers have obeyed when their opening has changed by this [m]; those that did not within so many ticks are where they shall be."""


class Arm:
    """The robot hand, its servo and the name of the phase it is in."""

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Start with the hand open, looking down."""
        self._model, self._data = model, data
        self._site = model.site("gripper0_grip_site").id
        self.phase = "reach"
        self.gripper = OPEN
        self.rotation_goal = down()

    @property
    def position(self) -> np.ndarray:
        """The point between the finger pads, (3,) [m]."""
        return self._data.site_xpos[self._site].copy()

    @property
    def opening(self) -> float:
        """The distance between the fingers [m]."""
        first, second = (self._data.joint(name).qpos[0] for name in _FINGERS)
        return float(first - second)

    @property
    def closed(self) -> bool:
        """Whether the fingers are too near to each other to go around something."""
        return self.opening < _OPEN_ENOUGH

    @property
    def holding(self) -> bool:
        """Whether both fingers touch the same thing."""
        return bool(held(self._model, self._data))

    @property
    def rotation(self) -> np.ndarray:
        """The orientation of the hand, (3, 3)."""
        return self._data.site_xmat[self._site].reshape(3, 3).copy()

    def move(
        self,
        goal: np.ndarray,
        rotation: np.ndarray | None = None,
        *,
        within: float = 0.006,
        within_angle: float = 0.06,
        ticks: int = 80,
        speed: float = 1.0,
        until: Callable[[], bool] | None = None,
    ) -> Actions:
        """Move to a pose, until it is reached, `until` holds, the hand stalls or `ticks` have passed.

        Args:
            goal: Where the grip point shall be, (3,) [m].
            rotation: How the hand shall be turned, (3, 3); as before if None.
            within: Distance at which the position counts as reached [m].
            within_angle: Angle at which the rotation counts as reached [rad].
            ticks: Most actions to yield.
            speed: Largest translation command; 1 sets the goal 5 cm ahead.
            until: Ends the move early.

        Yields:
            Actions, (7,).
        """
        if rotation is not None:
            self.rotation_goal = rotation
        integral, best, stalled = np.zeros(3), np.inf, 0
        for _ in range(ticks):
            error, turn = goal - self.position, self._turn()
            distance, angle = float(np.linalg.norm(error)), float(np.linalg.norm(turn))
            if (distance < within and angle < within_angle) or (until is not None and until()):
                return
            remaining = distance + _METRES_PER_RADIAN * angle
            best, stalled = (remaining, 0) if remaining < best - _PROGRESS else (best, stalled + 1)
            if stalled >= (_STALLED_NEAR if distance < _INTEGRAL_RADIUS else _STALLED_ANYWHERE):
                return
            if distance < _INTEGRAL_RADIUS:
                integral = np.clip(integral + error * _INTEGRAL_GAIN, -_INTEGRAL_LIMIT, _INTEGRAL_LIMIT)
            yield self._action(_limited((error + integral) * _POSITION_GAIN, speed), _limited(turn * _ROTATION_GAIN, _ROTATION_LIMIT))

    def raise_to(self, height: float, *, within: float = 0.03, ticks: int = 80) -> Actions:
        """Move straight up or down to a height [m], whatever the rotation; `within` [m] and `ticks` as for `move`."""
        x, y, _ = self.position
        yield from self.move(np.array([x, y, height]), within=within, within_angle=9.0, ticks=ticks)

    def hold(self, ticks: int, gripper: float | None = None) -> Actions:
        """Stay for some ticks, counted from when the fingers begin to close or open if they shall, for they may be late."""
        if gripper is not None and gripper != self.gripper:
            self.gripper, before = gripper, self.opening
            for _ in range(_LATEST):
                yield self._rest()
                if abs(self.opening - before) > _MOVED:
                    break
        for _ in range(ticks):
            yield self._rest()

    def wait(self, until: Callable[[], bool]) -> Actions:
        """Stay until something holds, but not for ever."""
        for _ in range(_LATEST):
            if until():
                return
            yield self._rest()

    def _rest(self) -> np.ndarray:
        return self._action(np.zeros(3), np.clip(self._turn(), -0.3, 0.3))

    def _turn(self) -> np.ndarray:
        return rotation_vector(self.rotation_goal @ self.rotation.T)

    def _action(self, translation: np.ndarray, turn: np.ndarray) -> np.ndarray:
        return np.concatenate([np.clip(translation, -1, 1), np.clip(turn, -1, 1), [self.gripper]])


def _limited(vector: np.ndarray, limit: float) -> np.ndarray:
    return vector * min(1.0, limit / max(float(np.linalg.norm(vector)), 1e-9))
