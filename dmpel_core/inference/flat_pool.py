"""Experts as rows of one array, mixed without torch: what a tick reads never moves, and a new expert takes a free row.

An expert's factors lie group by group and module by module in one row, so that mixing a module group is a weighted sum of
three contiguous slices, whatever the number of experts (the arithmetic of `dmpel_core.experts.pool.ExpertPool.mix`).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from dmpel_core.errors import DmpelError
from dmpel_core.experts.manifest import Module
from dmpel_core.groups import GROUPS


class Layout:
    """Where each factor lies in a row.

    Attributes:
        size: Numbers in a row.
        groups: For each module group, its slice of the row.
    """

    def __init__(self, modules: Sequence[Module]) -> None:
        """Lay the factors of these modules out: all A and B of the first group, then of the second, and so on."""
        self._places: dict[str, tuple[slice, tuple[int, int]]] = {}
        self.groups: dict[str, slice] = {}
        end = 0
        for group in GROUPS:
            first = end
            for module in (module for module in modules if module.group == group):
                for letter, shape in (("A", (module.inputs, module.rank)), ("B", (module.rank, module.outputs))):
                    self._places[f"{module.name}.{letter}"] = (slice(end, end + shape[0] * shape[1]), shape)
                    end += shape[0] * shape[1]
            self.groups[group] = slice(first, end)
        self.size = end

    def write(self, row: np.ndarray, factors: Mapping[str, np.ndarray]) -> None:
        """Copy an expert's factors into a row (size,)."""
        for name, (place, shape) in self._places.items():
            if factors[name].shape != shape:
                raise DmpelError(f"factor {name} is {factors[name].shape}, the policy needs {shape}: the expert is of another policy")
            row[place] = factors[name].ravel()

    def places(self, group: str) -> dict[str, tuple[int, tuple[int, int]]]:
        """Return, for each factor of a group, where it starts in the group's slice and its shape (rows, columns)."""
        first = self.groups[group].start
        return {
            name: (place.start - first, shape)
            for name, (place, shape) in self._places.items()
            if self.groups[group].start <= place.start < self.groups[group].stop
        }


class FlatPool:
    """Rows for a fixed number of experts; memory is touched only where an expert lies.

    `hold` and `keep` are called by whoever loads; `mix` by the control thread. A row that a generation in use names is never
    written, so neither waits for the other.
    """

    def __init__(self, layout: Layout, capacity: int) -> None:
        self.layout = layout
        self.capacity = capacity
        self._rows = np.empty((capacity, layout.size), np.float32)
        self._row_of: dict[str, int] = {}

    def hold(self, key: str, factors: Mapping[str, np.ndarray]) -> int:
        """Return the row of the expert that `key` names, after copying it in if it is new.

        Raises:
            DmpelError: All rows are taken.
        """
        if key not in self._row_of:
            free = sorted(set(range(self.capacity)) - set(self._row_of.values()))
            if not free:
                raise DmpelError(f"all {self.capacity} rows of the expert pool are taken: start with a larger capacity, or drop a generation")
            self.layout.write(self._rows[free[0]], factors)
            self._row_of[key] = free[0]
        return self._row_of[key]

    def keep(self, keys: set[str]) -> None:
        """Give back the rows of all other experts."""
        self._row_of = {key: row for key, row in self._row_of.items() if key in keys}

    def mix(self, rows: np.ndarray, coefficients: np.ndarray, out: np.ndarray) -> None:
        """Write the weighted sum of the chosen experts, group by group.

        Args:
            rows: (experts,), each expert's row.
            coefficients: (6, experts), zero for experts outside the top-k.
            out: (size,), overwritten.
        """
        for group, weights in zip(GROUPS, coefficients, strict=True):
            place = self.layout.groups[group]
            target = out[place]
            target[:] = 0
            for expert in np.flatnonzero(weights):
                target += weights[expert] * self._rows[rows[expert], place]
