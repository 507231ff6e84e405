"""Experts as rows of one array, mixed without torch: what a tick reads never moves, and a new expert takes a free row.

Mixing a module group is a weighted sum of a few contiguous slices, whatever the number of experts (the arithmetic of
`dmpel_core.experts.pool.ExpertPool.mix`).
"""

from collections.abc import Callable, Mapping

import numpy as np

from dmpel_core.experts.manifest import LibraryError
from dmpel_core.groups import GROUPS
from dmpel_core.inference.layout import Layout


class FlatPool:
    """Rows for a fixed number of experts; memory is touched only where an expert lies.

    `hold` and `keep` are called by whoever loads, one at a time; `mix` by the control thread. A row that a generation in use
    names is never written, so neither waits for the other.
    """

    def __init__(self, layout: Layout, capacity: int) -> None:
        self.layout = layout
        self.capacity = capacity
        self._rows = np.empty((capacity, layout.size), np.float32)
        self._row_of: dict[str, int] = {}
        self._free = list(range(capacity - 1, -1, -1))
        self._scratch = np.empty(layout.size, np.float32)

    def hold(self, key: str, factors: Callable[[], Mapping[str, np.ndarray]]) -> int:
        """Return the row of the expert that `key` names, after reading it in if it is not there yet.

        Raises:
            LibraryError: All rows are taken, or the factors do not fit.
        """
        if key not in self._row_of:
            if not self._free:
                raise LibraryError(f"all {self.capacity} rows for experts are taken: start with higher caps, or load fewer experts")
            self.layout.write(self._rows[self._free[-1]], factors())
            self._row_of[key] = self._free.pop()
        return self._row_of[key]

    def keep(self, keys: set[str]) -> None:
        """Give back the rows of all other experts."""
        for key in self._row_of.keys() - keys:
            self._free.append(self._row_of.pop(key))

    def mix(self, rows: np.ndarray, coefficients: np.ndarray, wanted: np.ndarray, out: np.ndarray) -> None:
        """Write the weighted sum of the chosen experts, group by group.

        Args:
            rows: (experts,), each expert's row.
            coefficients: (6, experts), zero for experts outside the top-k.
            wanted: (6,), True for groups that are to be mixed; the others keep what stands in `out`.
            out: (size,).
        """
        for group in np.flatnonzero(wanted):
            place = self.layout.groups[GROUPS[group]]
            target, scratch = out[place], self._scratch[place]
            first, *others = np.flatnonzero(coefficients[group])
            np.multiply(self._rows[rows[first], place], coefficients[group, first], out=target)
            for expert in others:
                np.multiply(self._rows[rows[expert], place], coefficients[group, expert], out=scratch)
                target += scratch
