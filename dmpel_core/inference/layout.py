"""Where an expert's factors lie in one row of numbers: group by group and module by module, so that mixing is a sum of slices."""

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np

from dmpel_core.experts.manifest import LibraryError, Module
from dmpel_core.groups import GROUPS, WITH_BIAS


class Layout:
    """The order of factors in a row.

    Attributes:
        size: Numbers in a row.
        groups: For each module group, its slice of the row.
        names: The factors' names, in order.
    """

    def __init__(self, modules: Sequence[Module], biases: bool) -> None:
        """Lay the factors of these modules out; with `biases`, experts have some where `WITH_BIAS` says."""
        self._places: dict[str, tuple[slice, tuple[int, ...]]] = {}
        self.groups: dict[str, slice] = {}
        end = 0
        for group in GROUPS:
            first, shapes = end, _shapes([module for module in modules if module.group == group], biases and group in WITH_BIAS)
            for name, shape in shapes.items():
                self._places[name] = (slice(end, end + prod(shape)), shape)
                end += prod(shape)
            self.groups[group] = slice(first, end)
        self.size, self.names = end, tuple(self._places)

    def write(self, row: np.ndarray, factors: Mapping[str, np.ndarray]) -> None:
        """Copy an expert's factors into a row (size,).

        Raises:
            LibraryError: One is missing, too many or of another shape.
        """
        odd = sorted(factors.keys() ^ self._places.keys()) or [name for name, (_, s) in self._places.items() if factors[name].shape != s]
        if odd:
            raise LibraryError(
                f"factor {odd[0]!r} of this expert does not fit the policy ({len(odd)} such in all): train it on this library"
            )
        for name, (place, _) in self._places.items():
            row[place] = factors[name].ravel()

    def view(self, row: np.ndarray, name: str) -> np.ndarray:
        """Return a factor's place in a row, in its shape; writing to the row changes it."""
        place, shape = self._places[name]
        return row[place].reshape(shape)


def _shapes(modules: Sequence[Module], biases: bool) -> dict[str, tuple[int, ...]]:
    """Return the factors of some modules with their shapes, in order."""
    shapes: dict[str, tuple[int, ...]] = {}
    for module in modules:
        shapes |= {f"{module.name}.A": (module.inputs, module.rank), f"{module.name}.B": (module.rank, module.outputs)}
        shapes |= {f"{module.name}.bias": (module.outputs,)} if biases else {}
    return shapes
