"""Coefficients that do not flicker: a stronger expert must be clearly stronger, and nothing moves faster than a limit.

Both are off by default, as published: the router's answer is then used as it is.
"""

import numpy as np


class Calm:
    """Steadies coefficients from one routing to the next."""

    def __init__(self, hysteresis: float, most: float) -> None:
        """Set the limits.

        Args:
            hysteresis: A group keeps its coefficients unless its new strongest expert is ahead of the old one by this; 0 for off.
            most: Largest change of a coefficient from one routing to the next; 0 for any.
        """
        self._hysteresis, self._most = hysteresis, most
        self._last: np.ndarray | None = None

    def reset(self) -> None:
        """Take the next coefficients as they are: a new episode, or other experts."""
        self._last = None

    def __call__(self, coefficients: np.ndarray) -> np.ndarray:
        """Return what to use for the router's answer (6, experts)."""
        last = self._last
        if last is None or last.shape != coefficients.shape:
            self._last = coefficients
            return coefficients
        wanted = coefficients
        if self._hysteresis > 0:
            rows = np.arange(len(wanted))
            old, new = last.argmax(1), wanted.argmax(1)
            unsure = (old != new) & (wanted[rows, new] - wanted[rows, old] < self._hysteresis)
            wanted = np.where(unsure[:, None], last, wanted)
        if self._most > 0:
            wanted = last + np.clip(wanted - last, -self._most, self._most)
        self._last = wanted
        return wanted
