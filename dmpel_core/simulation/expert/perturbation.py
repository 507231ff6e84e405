"""Disturb what is executed, not what is recorded, so that demonstrations show how to come back from errors."""

import numpy as np

from dmpel_core.simulation.expert.rotations import DOWNWARDS, across

_ROTATION_SHARE = 0.3
_BURST_CHANCE = 0.02
_BURST_TICKS = (3, 8)
_BURST_STRENGTH, _BURST_TURN = 6.0, 1.5
"""Standard deviation of a burst's push and turn, in units of the noise level."""
_BURST_LEAST_SPEED = 0.25
_STEADINESS = {"align": 0.1, "turn": 0.1, "grasp": 0.5, "open": 0.5, "place": 0.5, "push": 0.3}
"""Share of the disturbance in phases that need precision; the others take all of it."""
_DRIFT_CHANCE = {"reach": 0.04, "grasp": 0.08, "transport": 0.04, "place": 0.04}
_DRIFT_TICKS, _DRIFT_STRENGTH = (8, 25), (1.5, 6.0)
"""How often a drift sets in in a phase, how long it lasts, and how strong it is, in units of the noise level.

A drift of 0.5 carries a hand that corrects 20 times its error [1/m] 2.5 cm off its way.
"""
_SNAP_CHANCE, _SNAP_TICKS = 0.015, (6, 14)
"""How often, and for how many ticks, the fingers close on the way down to a grasp."""
_LATE_CHANCE, _LATE_TICKS, _SLOWING = 0.7, (2, 15), (0.3, 0.9)
"""How often the fingers are late, by how many ticks, and what share of its command the hand keeps from one late tick to the next."""
_HELD_UP_CHANCE, _HELD_UP_TICKS, _HELD_UP_SHARE = {"turn": 0.08}, (4, 14), (0.0, 0.3)
"""How often a hand is held up in a phase, for how many ticks, and what share of its command it keeps then."""


class Perturbation:
    """Noise that grows with the commanded speed, pushes, long drifts to one side, hold-ups, fingers that close too early or obey late.

    Sideways is across the way that the hand points: level for one that looks down, also up and down for one that faces a drawer.
    A drift goes on when the hand has come low, so demonstrations show a hand beside where it should grasp, and the way back; where
    the hand always was over its goal, a policy would learn that the goal is below the hand. While the fingers are late the hand
    goes on as before, ever slower. So demonstrations show a hand that rests where it should have closed, too low perhaps, with
    closing as what to do: a policy that misses its moment does not wait for ever. Fingers that close too early show how to go on
    from an empty hand. A hand that is held up while it turns something shows that one which rests half way shall turn on.
    """

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
        self._drift_left, self._drift = 0, np.zeros(6)
        self._snap_left = 0
        self._executed = np.zeros(7)
        self._late, self._slowing = 0, 0.0
        self._held_up_left, self._held_up_share = 0, 0.0

    def __call__(self, action: np.ndarray, phase: str, pointing: np.ndarray = DOWNWARDS) -> np.ndarray:
        """Return the action (7,) to execute in place of the clean one, for a hand that shall be pointing that way, unit (3,)."""
        if self._level <= 0:
            return action
        self._executed = self._shaken(self._held_up(self._delayed(action), phase), phase, pointing)
        return np.append(self._executed[:6], self._snapped(self._executed[6], phase))

    def _snapped(self, gripper: float, phase: str) -> float:
        """Return the command to the fingers: closed for a while, now and then, where they shall be open on the way down."""
        if phase != "grasp" or gripper > 0:
            self._snap_left = 0
        elif self._snap_left == 0 and self._rng.random() < _SNAP_CHANCE:
            self._snap_left = int(self._rng.integers(*_SNAP_TICKS))
        if self._snap_left == 0:
            return gripper
        self._snap_left -= 1
        return 1.0

    def _delayed(self, action: np.ndarray) -> np.ndarray:
        """Return the action, or while the fingers are late what was executed before, slower."""
        turned = self._executed[6] * action[6] < 0
        if turned and self._late == 0 and self._rng.random() < _LATE_CHANCE:
            self._late, self._slowing = int(self._rng.integers(*_LATE_TICKS)), self._rng.uniform(*_SLOWING)
        if not turned or self._late <= 1:
            self._late = 0
            return action
        self._late -= 1
        return np.append(self._slowing * self._executed[:6], self._executed[6])

    def _held_up(self, action: np.ndarray, phase: str) -> np.ndarray:
        """Return the action, or while the hand is held up a share of it."""
        if phase not in _HELD_UP_CHANCE:
            self._held_up_left = 0
        elif self._held_up_left == 0 and self._rng.random() < _HELD_UP_CHANCE[phase]:
            self._held_up_left, self._held_up_share = int(self._rng.integers(*_HELD_UP_TICKS)), self._rng.uniform(*_HELD_UP_SHARE)
        if self._held_up_left == 0:
            return action
        self._held_up_left -= 1
        return np.append(self._held_up_share * action[:6], action[6])

    def _shaken(self, action: np.ndarray, phase: str, pointing: np.ndarray) -> np.ndarray:
        share = _STEADINESS.get(phase, 1.0)
        speed = float(np.linalg.norm(action[:3]))
        disturbed = action.copy()
        disturbed[:6] += share * (self._noise(speed) + self._burst(speed)) + self._sideways(phase, pointing)
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

    def _sideways(self, phase: str, pointing: np.ndarray) -> np.ndarray:
        if phase not in _DRIFT_CHANCE:
            self._drift_left = 0
        elif self._drift_left == 0 and self._rng.random() < _DRIFT_CHANCE[phase]:
            self._drift_left = int(self._rng.integers(*_DRIFT_TICKS))
            angle, strength = self._rng.uniform(0, 2 * np.pi), self._level * self._rng.uniform(*_DRIFT_STRENGTH)
            self._drift = np.append(strength * across(pointing, angle), np.zeros(3))
        if self._drift_left == 0:
            return np.zeros(6)
        self._drift_left -= 1
        return self._drift

    def _vector(self, push: float, turn: float) -> np.ndarray:
        return np.concatenate([self._rng.normal(0, push, 3), self._rng.normal(0, turn, 3)])
