"""Limits between the policy and the arm: how far, how suddenly and where to the tool may be told to move.

Works on actions in the policy's own unit, full deflection = 1, for whatever output follows. Owns the last action and the
ramp, nothing else; called from the control thread only.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

ROUNDING = 1e-3
"""How far beyond [-1, 1] arithmetic may carry an action that is in range."""


@dataclass(frozen=True)
class Limits:
    """What the guard enforces, (6,) per axis unless said otherwise.

    Attributes:
        action: Largest pose delta.
        change: Largest change of the delta from tick to tick.
        jerk: Largest change of that change from tick to tick.
        ramp: Ticks until the motion has its full size.
        box_low: Lower corner of the tool's box in the base frame, (3,) [m].
        box_high: Upper corner, (3,) [m].
        reach: How far the tool may travel on one full deflection [m].
    """

    action: np.ndarray
    change: np.ndarray
    jerk: np.ndarray
    ramp: int
    box_low: np.ndarray
    box_high: np.ndarray
    reach: float


def fault(action: np.ndarray) -> str | None:
    """Return what makes an action one to hold on, (7,), or None: such numbers come from a broken policy and are not worth bounding."""
    if not np.isfinite(action).all():
        return "the policy computed an action that is not finite: load another generation of the library"
    if np.abs(action).max() > 1.0 + ROUNDING:
        return f"the policy computed an action of {np.abs(action).max():.3g}, full deflection is 1: load another generation of the library"
    return None


class Guard:
    """Bounds one action after another."""

    def __init__(self, limits: Limits, position: Callable[[np.ndarray], np.ndarray]) -> None:
        """Start at rest.

        Args:
            limits: What to enforce.
            position: The tool's position (3,) [m] at joint positions (joints,) [rad].
        """
        self._limits, self._position = limits, position
        self.rest()

    def rest(self) -> None:
        """Start anew: the arm stands still, and the next actions ramp in."""
        self._ticks = 0
        self._last, self._last_change = np.zeros(6), np.zeros(6)

    def restrain(self, action: np.ndarray, joints: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
        """Return the action, (7,), within the limits, and the names of the limits that bit; where two disagree the later one wins.

        Args:
            action: Finite, (7,), six pose deltas and the gripper.
            joints: Measured joint positions, (joints,) [rad].
        """
        limits, wanted = self._limits, np.clip(action, -1.0, 1.0)
        bitten = []
        delta = wanted[:6] * self._ramp()
        for name, bound in (
            ("jerk", lambda x: _around(self._last + self._last_change, x, limits.jerk)),
            ("change", lambda x: _around(self._last, x, limits.change)),
            ("value", lambda x: np.clip(x, -limits.action, limits.action)),
            ("box", lambda x: self._inside(x, joints)),
        ):
            bounded = bound(delta)
            if not np.array_equal(bounded, delta):
                bitten.append(name)
            delta = bounded
        self._last_change, self._last = delta - self._last, delta
        return np.append(delta, wanted[6]), tuple(bitten)

    def _ramp(self) -> float:
        self._ticks += 1
        return min(1.0, self._ticks / (self._limits.ramp + 1))

    def _inside(self, delta: np.ndarray, joints: np.ndarray) -> np.ndarray:
        """Stop what leads out of the box; a tool that is outside may still come back. Has the last word, above change and jerk."""
        limits, position = self._limits, self._position(joints)
        room_up = np.maximum(limits.box_high - position, 0.0) / limits.reach
        room_down = np.maximum(position - limits.box_low, 0.0) / limits.reach
        return np.concatenate([np.clip(delta[:3], -room_down, room_up), delta[3:]])


def _around(centre: np.ndarray, value: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Return the value, no further than `radius` from the centre."""
    bounded = np.clip(value, centre - radius, centre + radius)
    return np.where(np.abs(value - centre) <= radius, value, bounded)  # unchanged values keep their bits
