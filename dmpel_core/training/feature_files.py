"""Two arrays on disk that hold the frozen features of one task: filled part by part, read row by row, never whole in memory.

    tokens.npy     (views, frames, cameras, 1 + grid, image_width) float16
    queries.npy    (views, frames, features) float32
    2-17.done      empty: demonstration 17 is in view 2 of both

A part is done only after it has reached the disk, so a kill at any moment loses at most the part that was being written.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dmpel_core.errors import DmpelError
from dmpel_core.paths import locked

TYPES: dict[str, np.dtype] = {"tokens": np.dtype(np.float16), "queries": np.dtype(np.float32)}


class FeatureFiles:
    """The arrays of one folder; several processes may each fill parts of their own once `prepare` was called by one of them."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def prepare(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Make room for `tokens` and `queries` of these shapes, unless it is there.

        Raises:
            DmpelError: The disk has too little of it.
        """
        with locked(self._place):
            older = list(self._place.glob("*.npz"))
            if older:
                print(f"{self._place} holds features as an earlier version kept them; they are removed and computed again")
            if older or not all(self._path(name).exists() for name in shapes):
                for path in (*older, *self._place.glob("*.done")):
                    path.unlink()
                for name, shape in shapes.items():
                    self._make(name, shape)

    def done(self, part: str) -> bool:
        """Return whether a part was written whole."""
        return (self._place / f"{part}.done").exists()

    def write(self, part: str, view: int, frames: slice, arrays: Mapping[str, np.ndarray]) -> None:
        """Write one part's frames of both arrays."""
        for name, values in arrays.items():
            array = self._open(name, "r+")
            array[view, frames] = values
            array.flush()
        (self._place / f"{part}.done").touch()

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Return tokens and queries as arrays that read from the files what they are asked for."""
        return self._open("tokens", "r"), self._open("queries", "r")

    def _path(self, name: str) -> Path:
        return self._place / f"{name}.npy"

    def _open(self, name: str, mode: str) -> np.memmap:
        try:
            array = np.lib.format.open_memmap(self._path(name), mode)
        except (OSError, ValueError) as error:
            raise DmpelError(f"{self._path(name)} cannot be read ({error}): remove {self._place}, it will be computed again") from error
        return array

    def _make(self, name: str, shape: tuple[int, ...]) -> None:
        """Reserve the file now, for a mapped file that finds no room later ends the process without a word."""
        aside = self._place / f"{name}.partial"
        array = np.lib.format.open_memmap(aside, "w+", TYPES[name], shape)
        try:
            with aside.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, array.offset + array.nbytes)
        except OSError as error:
            aside.unlink()
            raise DmpelError(
                f"{self._place} has no room for {array.nbytes / 1e9:.1f} GB of {name} ({error}): DMPEL_CACHE names another place, "
                "fewer --views or --demonstrations need less"
            ) from error
        aside.replace(self._path(name))
