"""Disturb what is executed, not what is recorded, so that demonstrations show how to come back from errors."""

import numpy as np

_ROTATION_SHARE = 0.3
_BURST_CHANCE = 0.02
_BURST_TICKS = (3, 8)
_BURST_STRENGTH, _BURST_TURN = 6.0, 1.5
"""Standard deviation of a burst's push and turn, in units of the noise level."""
_BURST_LEAST_SPEED = 0.25
_STEADINESS = {"align": 0.1, "turn": 0.1, "grasp": 0.5, "open": 0.5, "place": 0.5, "push": 0.3}
"""Share of the disturbance in phases that need precision; the others take all of it."""


class Perturbation:
    """Noise that grows with the commanded speed, and now and then a short push to one side."""

    def __init__(self, level: float, rng: np.random.Generator) -> None:
        """Prepare the disturbance of one episode.

        Args:
            level: Standard deviation of the noise at full speed, as a share of the largest action; 0 disturbs nothing.
            rng: Source of randomness, drawn from only if the level is above 0.
        """
        self._level = level
        self._rng = rng
        self._ticks_left = 0
        self._push = np.zeros(6)

    def __call__(self, action: np.ndarray, phase: str) -> np.ndarray:
        """Return the action (7,) to execute in place of the clean one; the gripper is never disturbed."""
        if self._level <= 0:
            return action
        share = _STEADINESS.get(phase, 1.0)
        speed = float(np.linalg.norm(action[:3]))
        disturbed = action.copy()
        disturbed[:6] += share * (self._noise(speed) + self._burst(speed))
        disturbed[:6] = np.clip(disturbed[:6], -1, 1)
        return disturbed

    def _noise(self, speed: float) -> np.ndarray:
        return self._vector(self._level, self._level * _ROTATION_SHARE) * (0.35 + 0.65 * min(1.0, speed))

    def _burst(self, speed: float) -> np.ndarray:
        if self._ticks_left == 0 and speed > _BURST_LEAST_SPEED and self._rng.random() < _BURST_CHANCE:
            self._ticks_left = int(self._rng.integers(*_BURST_TICKS))
            self._push = self._vector(self._level * _BURST_STRENGTH, self._level * _BURST_TURN)
        if self._ticks_left == 0:
            return np.zeros(6)
        self._ticks_left -= 1
        return self._push

    def _vector(self, push: float, turn: float) -> np.ndarray:
        return np.concatenate([self._rng.normal(0, push, 3), self._rng.normal(0, turn, 3)])
