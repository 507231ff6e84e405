"""Temporal ensembling: each tick's plan votes on the action of the ticks it covers (Zhao et al. 2023, ACT)."""

import numpy as np

FADE = 0.5  # weight of a plan relative to the plan made one tick later: newer plans saw more


class ChunkEnsemble:
    """Averages the actions that the last plans foresee for now.

    The weighted sum of all plans obeys a recurrence: the sum of before, one tick on and faded, plus the newest plan.
    """

    def __init__(self, fade: float = FADE) -> None:
        self._fade = fade
        self._sum = self._weight = np.zeros(0)

    def reset(self) -> None:
        """Forget all plans."""
        self._sum = self._weight = np.zeros(0)

    def next(self, plan: np.ndarray) -> np.ndarray:
        """Add the newest plan (chunk, action) and return the action for now; the gripper follows the weighted majority."""
        if len(self._sum) != len(plan):
            self._sum, self._weight = np.zeros(plan.shape), np.zeros(len(plan))
        self._sum = self._one_tick_on(self._sum) + plan
        self._weight = self._one_tick_on(self._weight) + 1
        action = self._sum[0] / self._weight[0]
        action[-1] = 1.0 if action[-1] > 0 else -1.0
        return action

    def _one_tick_on(self, votes: np.ndarray) -> np.ndarray:
        """Fade votes for now and the ticks after it, and let those for now fall out."""
        later = np.zeros_like(votes)
        np.multiply(votes[1:], self._fade, out=later[:-1])
        return later
