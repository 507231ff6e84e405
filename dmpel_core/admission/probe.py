"""How far actions move when coefficients do, on probes: the stored instruction and joints of a context, and a fixed picture.

Replay memories hold no pictures, so what is seen is the same noise for all. The adapted layers, the text and the arm's pose are
those of the task, and both sides of the comparison see the same: what differs is what the coefficients make of it.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from dmpel_core.admission.contexts import Contexts
from dmpel_core.experts.library import Library
from dmpel_core.inference.flat_pool import FlatPool
from dmpel_core.inference.workspace import Workspace
from dmpel_core.observation import Observation

PROBES = 6
"""Contexts of one task that are acted on, spread over its episodes."""


class Prober:
    """Acts as a generation would. Opens a backbone of its own, so that one that runs is left alone."""

    def __init__(self, library: Library) -> None:
        """Open a generation.

        Raises:
            DmpelError: It is damaged or has no graphs.
        """
        self._work = Workspace(library, 1, "cpu")
        self._pool = FlatPool(self._work.layout, max(1, len(library.experts)))
        keys = range(len(library.experts))
        self._rows = np.array([self._pool.hold(str(key), partial(library.factors, key)) for key in keys], int)
        noise = np.random.default_rng(0)
        pictures = {name: noise.integers(0, 256, shape, dtype=np.uint8) for name, shape in library.observation["cameras"].items()}
        self._work.observe(Observation(**pictures, joints=np.zeros(7), gripper=np.zeros(2)))

    def __call__(self, contexts: Contexts, now: np.ndarray) -> float:
        """Return the mean change of the six pose deltas between the stored coefficients and those of now."""
        chosen = np.unique(np.linspace(0, len(now) - 1, PROBES).astype(int))
        self._work.read(contexts.instruction)
        changes = [np.abs(self._act(contexts, row, now[row]) - self._act(contexts, row, contexts.targets[row])).mean() for row in chosen]
        return float(np.mean(changes))

    def _act(self, contexts: Contexts, row: int, coefficients: np.ndarray) -> np.ndarray:
        """Return the pose deltas (6,) that coefficients (6, experts) lead to in one context."""
        work = self._work
        if work.sizes.query_state:
            work.state[0] = contexts.queries[row, -work.state.shape[1] :]
        work.mixed[:] = 0
        self._pool.mix(self._rows, coefficients, np.asarray(coefficients.any(1)), work.mixed)
        work.understand(adapted=True)
        work.encode()
        logits, mean, _ = work.act(0)
        return mean[logits.argmax(), 0, :6].copy()


def lazily(library: Library) -> Callable[[Contexts, np.ndarray], float] | None:
    """Return what measures a generation's actions and opens it at first use; None for a library without experts or graphs."""
    if not (library.experts and library.manifest.graphs):
        return None
    opened: list[Prober] = []

    def measure(contexts: Contexts, now: np.ndarray) -> float:
        if not opened:
            opened.append(Prober(library))
        return opened[0](contexts, now)

    return measure
