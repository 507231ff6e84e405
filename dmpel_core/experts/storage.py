"""Bytes in and out of a library's folder: confined, bounded, hashed when read; whole or absent when written."""

import contextlib
import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from dmpel_core.experts.manifest import LibraryError, StoredFile


def write_file(root: Path, relative: str, data: bytes) -> StoredFile:
    """Write a file so that after a crash it is either whole or absent.

    The bytes go to a neighbouring name, are flushed to the disk, and take their name in one step.

    Args:
        root: Folder of the library.
        relative: Place below `root`; folders are made.
        data: The content.
    """
    target = root / relative
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.unfinished")
    with open(unfinished, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, target)
    _flush_folder(target.parent)
    return StoredFile(relative, hashlib.sha256(data).hexdigest(), len(data))


def read_file(root: Path, relative: str, cap: int) -> bytes:
    """Return the content of a file of at most `cap` bytes that lies inside `root`.

    Raises:
        LibraryError: It is missing, larger, no regular file, unreadable, or a link that leaves `root`.
    """
    place = root / relative
    try:
        resolved = place.resolve(strict=True)
        if not resolved.is_relative_to(root.resolve(strict=True)):
            raise LibraryError(f"{place} leads out of the library to {resolved}: a library must hold its own files")
        if not stat.S_ISREG(resolved.stat().st_mode):  # a pipe would block the reader for ever
            raise LibraryError(f"{place} is no regular file")
        with open(resolved, "rb") as file:
            data = file.read(cap + 1)
    except FileNotFoundError as error:
        raise LibraryError(f"{place} is missing: copy the library again, whole") from error
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, on Python before 3.13
        raise LibraryError(f"{place} cannot be read: {error}") from error
    if len(data) > cap:
        raise LibraryError(f"{place} has more than the {cap} bytes expected: the file is damaged, copy it again")
    return data


def read_stored(root: Path, file: StoredFile) -> bytes:
    """Return the content of a file that must have the size and hash which the manifest gives.

    Raises:
        LibraryError: As `read_file`, or size or hash differ.
    """
    data = read_file(root, file.path, file.bytes)
    if len(data) != file.bytes:
        raise LibraryError(f"{root / file.path} is truncated: it has {len(data)} bytes, the manifest says {file.bytes}; copy it again")
    found = hashlib.sha256(data).hexdigest()
    if found != file.sha256:
        fault = "is not the backbone of this library" if file.path == "backbone.safetensors" else "is damaged or was exchanged"
        hashes = f"its sha256 is {found[:16]}.., the manifest says {file.sha256[:16]}.."
        raise LibraryError(f"{root / file.path} {fault}: {hashes}; copy it again")
    return data


@contextlib.contextmanager
def writing(root: Path) -> Iterator[None]:
    """Hold the library's folder against a second writer; readers are never held up.

    Raises:
        LibraryError: Another process writes to it now.
    """
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise LibraryError(f"{root} is being written by another process: try again when that has finished") from error
    finally:
        os.close(folder)  # gives the lock back as well


def _flush_folder(folder: Path) -> None:
    """Make a rename inside `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
