"""Where generated files that can be made again are kept, and how runs keep out of each other's way there."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_directory() -> Path:
    """Return the cache folder, made if missing: `$DMPEL_CACHE`, else `~/.cache/dmpel`."""
    folder = Path(os.environ.get("DMPEL_CACHE", "~/.cache/dmpel")).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make a folder and hold its lock, having waited for whoever has it: another run must not make the same files at the same time."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
