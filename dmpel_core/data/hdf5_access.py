"""Careful access to HDF5 files from elsewhere: nothing outside the file, no objects, errors that name the place.

An HDF5 file can point to other files (external links, external and virtual data sets) and can hold types whose reading
runs code or follows references. None of that is needed here, so none of it is read.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from dmpel_core.errors import DmpelError

LARGEST = 2**32
"""Bytes of the largest data set that is read: compressed, a far larger one could hide in a small file."""


class DemonstrationError(DmpelError):
    """A demonstration file that is damaged, unsafe or not in LIBERO's layout."""


@contextmanager
def opened(path: Path | str) -> Iterator[h5py.Group]:
    """Open a file read-only and yield its `data` group; what h5py finds wrong with it names the file."""
    try:
        with h5py.File(path, "r") as file:
            yield child_group(file, "data")
    except OSError as error:
        raise DemonstrationError(f"cannot read {path} as HDF5: {error}; if it is damaged, collect or download it again") from error


def child_group(parent: h5py.Group, name: str) -> h5py.Group:
    """Return a group below another one."""
    member = _child(parent, name)
    if not isinstance(member, h5py.Group):
        raise DemonstrationError(f"{_place(parent, name)} is a data set, expected a group as in LIBERO's layout")
    return member


def child_data(parent: h5py.Group, name: str, length: int | None = None) -> h5py.Dataset:
    """Return a data set of numbers, of `length` rows where given, without reading it."""
    member = _child(parent, name)
    if not isinstance(member, h5py.Dataset):
        raise DemonstrationError(f"{_place(parent, name)} is a group, expected a data set")
    if member.external or member.is_virtual:
        raise DemonstrationError(
            f"{_place(parent, name)} keeps its numbers in another file; only data in the file itself is read, copy it in"
        )
    if member.dtype.kind not in "fiu":
        raise DemonstrationError(f"{_place(parent, name)} holds {member.dtype}, expected plain numbers")
    if member.size * member.dtype.itemsize > LARGEST:
        raise DemonstrationError(f"{_place(parent, name)} has shape {member.shape} of {member.dtype}, more than {LARGEST} bytes")
    if length is not None and member.shape[:1] != (length,):
        raise DemonstrationError(f"{_place(parent, name)} has shape {member.shape}, but the demonstration has {length} actions")
    return member


def child_array(parent: h5py.Group, name: str, width: int | None, length: int | None = None) -> np.ndarray:
    """Read a data set, (length,) or, with a width, (length, width)."""
    data = child_data(parent, name, length)
    if data.ndim != (1 if width is None else 2) or (width is not None and data.shape[1] != width):
        expected = "(length,)" if width is None else f"(length, {width})"
        raise DemonstrationError(f"{_place(parent, name)} has shape {data.shape}, expected {expected}")
    return data[()]


def child_images(parent: h5py.Group, name: str, length: int) -> np.ndarray:
    """Read pictures as they are stored, uint8 (length, height, width, 3)."""
    data = child_data(parent, name, length)
    if data.ndim != 4 or data.shape[3] != 3 or data.dtype != np.uint8:
        raise DemonstrationError(f"{_place(parent, name)} is {data.dtype} {data.shape}, expected uint8 (length, height, width, 3)")
    return data[()]


def choice(group: h5py.Group, name: str, absent: str, known: tuple[str, ...]) -> str:
    """Return an attribute that has to be one of a few words; `absent` where there is no such attribute."""
    value = str(group.attrs.get(name, absent))
    if value not in known:
        raise DemonstrationError(f"{group.file.filename} has {name} = {value!r}; known: {', '.join(known)}")
    return value


def json_attribute(path: Path | str, text: str, name: str) -> dict:
    """Return the object that an attribute holds as JSON; an empty one where it holds something else."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise DemonstrationError(f"{path}: attribute {name} is not JSON ({error}); expected what robosuite writes") from error
    return value if isinstance(value, dict) else {}


def _child(parent: h5py.Group, name: str) -> h5py.Group | h5py.Dataset:
    link = parent.get(name, getlink=True)
    if link is None:
        found = ", ".join(parent) or "nothing"
        raise DemonstrationError(f"{_place(parent, name)} is missing; expected LIBERO's layout, found {found}")
    if not isinstance(link, h5py.HardLink):
        raise DemonstrationError(f"{_place(parent, name)} is a {type(link).__name__}; only data in the file itself is read, copy it in")
    return parent[name]


def _place(parent: h5py.Group, name: str) -> str:
    return f"{parent.file.filename}:{parent.name.rstrip('/')}/{name}"
