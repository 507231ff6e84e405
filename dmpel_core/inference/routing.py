"""Coefficients over an episode, without torch: the arithmetic of `dmpel_core.inference.episode.Episode` and of the router's query."""

import numpy as np

from dmpel_core.groups import GROUPS
from dmpel_core.inference.flat_pool import FlatPool
from dmpel_core.inference.flat_router import FlatRouter
from dmpel_core.policy.sizes import PolicySizes


def query_width(sizes: PolicySizes, text_width: int, state_width: int) -> int:
    """Return the width of the router's query, as `dmpel_core.policy.query.query_width` does."""
    views = len(sizes.cameras) * sizes.image_width * (sizes.query_mean + sizes.query_difference)
    return text_width + views + state_width * sizes.query_state


class Queries:
    """The last ticks' queries in one array, and their mean."""

    def __init__(self, sizes: PolicySizes, text_width: int, state_width: int) -> None:
        self._ring = np.zeros((sizes.window, query_width(sizes, text_width, state_width)), np.float32)
        self._newest = np.zeros(self._ring.shape[1], np.float32)
        camera = sizes.image_width * (sizes.query_mean + sizes.query_difference)
        after_views = text_width + len(sizes.cameras) * camera
        views = self._newest[text_width:after_views].reshape(len(sizes.cameras), camera)
        self._text, self._state = self._newest[:text_width], self._newest[after_views:]
        self._classes = views[:, : sizes.image_width * sizes.query_mean]  # the rest is last minus first: of one tick alone, zero
        self.count = 0

    def reset(self) -> None:
        """Forget all ticks."""
        self.count = 0

    def see(self, text: np.ndarray, classes: np.ndarray) -> None:
        """Take the frozen features of now: (1, text_width) and (cameras, image_width)."""
        self._text[:] = text[0]
        self._classes[:] = classes[:, : self._classes.shape[1]]

    def remember(self, state: np.ndarray) -> None:
        """Keep this tick's query, with the features that were seen last and the state (1, 9) of now."""
        self._state[:] = state[0, : len(self._state)]
        self._ring[self.count % len(self._ring)] = self._newest
        self.count += 1

    def mean(self) -> np.ndarray:
        """Return the mean of the last queries, (query_width,)."""
        return self._ring[: self.count].mean(0)


class Mixer:
    """Keeps the mixed factors of one workspace up to date with the coefficients, group by group."""

    def __init__(self, mixed: np.ndarray, tolerance: float) -> None:
        self._mixed, self._tolerance = mixed, tolerance
        self._of: tuple[FlatRouter, np.ndarray] | None = None

    def reset(self) -> None:
        """Return to the backbone alone."""
        self._mixed[:] = 0
        self._of = None

    def update(self, pool: FlatPool, rows: np.ndarray, router: FlatRouter, coefficients: np.ndarray) -> np.ndarray:
        """Mix the groups whose coefficients have moved; return which, (6,)."""
        if self._of is None or self._of[0] is not router:
            moved = np.ones(len(GROUPS), bool)
            self._of = (router, coefficients.copy())
        else:
            moved = ~(np.abs(coefficients - self._of[1]).max(1) <= self._tolerance)  # so that what is not a number is replaced
            self._of[1][moved] = coefficients[moved]
        pool.mix(rows, coefficients, moved, self._mixed)
        return moved
