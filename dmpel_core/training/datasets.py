"""Which demonstration files a training command reads, and a digest that names their content."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from dmpel_core.data.hdf5 import Demonstration, read_demonstrations
from dmpel_core.errors import DmpelError


def demonstration_files(places: Sequence[Path]) -> list[Path]:
    """Return the HDF5 files that these folders hold, and those named directly.

    Raises:
        DmpelError: A place does not exist or holds none.
    """
    files: list[Path] = []
    for place in places:
        found = sorted(place.glob("**/*.hdf5")) if place.is_dir() else [place] if place.exists() else []
        if not found:
            raise DmpelError(f"no demonstrations at {place}: expected an .hdf5 file or a folder that holds some; `dmpel collect` makes them")
        files += found
    return files


def load_all(files: Sequence[Path]) -> list[tuple[str, Demonstration]]:
    """Read every demonstration with its file's instruction."""
    return [pair for file in tqdm(files, desc="reading", unit="file") for pair in read_demonstrations(file)]


def digest(files: Sequence[Path]) -> str:
    """Return the sha256 over the files' content, in order."""
    total = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()
