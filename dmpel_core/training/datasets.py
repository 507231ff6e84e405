"""Which demonstration files a training command reads, and a digest that names their content."""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from dmpel_core.data.demonstration_parts import PARTS
from dmpel_core.data.hdf5 import Demonstration, read_demonstrations, read_task
from dmpel_core.data.stills import Stills, read_stills
from dmpel_core.errors import DmpelError


def demonstration_files(places: Sequence[Path]) -> list[Path]:
    """Return the HDF5 files that these folders hold, and those named directly; what a collection under way has not merged is left out.

    Raises:
        DmpelError: A place does not exist or holds none.
    """
    files: list[Path] = []
    for place in places:
        found = _inside(place) if place.is_dir() else [place] if place.exists() else []
        if not found:
            raise DmpelError(
                f"no demonstrations at {place}: expected an .hdf5 file or a folder that holds some; `dmpel collect` makes them"
            )
        files += found
    return files


def _inside(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("**/*.hdf5") if file.parent.suffix != PARTS)


def load_all(files: Sequence[Path]) -> Iterator[tuple[str, Demonstration]]:
    """Yield every demonstration with its file's instruction."""
    for file in tqdm(files, desc="reading", unit="file"):
        yield from load_task_file(file)


def load_task_file(file: Path, limit: int | None = None) -> list[tuple[str, Demonstration]]:
    """Read the first `limit` demonstrations of one file with its instruction."""
    instruction = read_task(file).language
    return [(instruction, demonstration) for demonstration in islice(read_demonstrations(file, states=False), limit)]


def load_task(files: Sequence[Path], limit: int | None = None) -> list[tuple[str, Demonstration]]:
    """Read the first `limit` demonstrations of each file, all of one task.

    Raises:
        DmpelError: The files are of different tasks.
    """
    pairs = [pair for file in files for pair in load_task_file(file, limit)]
    tasks = sorted({instruction for instruction, _ in pairs})
    if len(tasks) != 1:
        raise DmpelError(f"the files show {len(tasks)} tasks ({', '.join(map(repr, tasks))}): an expert learns one")
    return pairs


def load_stills(files: Sequence[Path], instruction: str) -> list[Stills]:
    """Read a task's still pictures, apart by arrangement.

    Raises:
        DmpelError: They are of another task.
    """
    read = [read_stills(file) for file in files]
    other = sorted({sentence for sentence, _ in read} - {instruction})
    if other:
        raise DmpelError(
            f"the still pictures show {', '.join(map(repr, other))}, the demonstrations {instruction!r}; give those of one task"
        )
    return [layout for _, stills in read for layout in stills.by_layout()]


def picture_stack(demo: Demonstration | Stills) -> Tensor:
    """Return both cameras' pictures as uint8 (frames, cameras, 3, height, width)."""
    assert demo.agentview is not None
    assert demo.eye_in_hand is not None
    return torch.from_numpy(np.stack([demo.agentview, demo.eye_in_hand], 1)).permute(0, 1, 4, 2, 3)


def digest(files: Sequence[Path]) -> str:
    """Return the sha256 over the files' content, in order."""
    total = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()
