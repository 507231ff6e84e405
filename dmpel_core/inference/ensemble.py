"""Temporal ensembling: each tick's plan votes on the action of the ticks it covers (Zhao et al. 2023, ACT)."""

from collections import deque

import numpy as np

FADE = 0.5  # weight of a plan relative to the plan made one tick later: newer plans saw more


class ChunkEnsemble:
    """Averages the actions that the last plans foresee for now."""

    def __init__(self, fade: float = FADE) -> None:
        self._fade = fade
        self._plans: deque[np.ndarray] = deque()

    def reset(self) -> None:
        """Forget all plans."""
        self._plans.clear()

    def next(self, plan: np.ndarray) -> np.ndarray:
        """Add the newest plan (chunk, action) and return the action for now; the gripper follows the weighted majority."""
        self._plans.appendleft(plan)
        while len(self._plans) > len(plan):
            self._plans.pop()
        votes = np.stack([plan[age] for age, plan in enumerate(self._plans)])  # (plans, action)
        weights = self._fade ** np.arange(len(votes))
        action = (weights[:, None] * votes).sum(0) / weights.sum()
        action[-1] = 1.0 if action[-1] > 0 else -1.0
        return action
