"""A demonstration file that grows one demonstration at a time and survives being killed at any moment.

While it grows, every demonstration is a file of its own in a folder beside it, renamed into place when whole. At the end
they are merged into one file, which is renamed into place too. What a reader sees is always whole.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import h5py

from dmpel_core.data.hdf5 import Demonstration, TaskRecord, write_demonstration, write_task_attributes
from dmpel_core.data.hdf5_access import DemonstrationError

PARTS = ".parts"
"""How the name of the folder of a growing file ends."""


class Parts:
    """The demonstrations of one file, whole or still in parts."""

    def __init__(self, path: Path, settings: str) -> None:
        """Look at what is there.

        Args:
            path: The file to be made.
            settings: Text that must be the same for everything in one file.

        Raises:
            DemonstrationError: What is there was made with other settings.
        """
        self.path = path
        self.folder = path.with_suffix(PARTS)
        self._settings = settings
        for file, name, attributes in self._entries():
            if attributes.get("settings") != settings:
                made = f"{file} ({name}) was made with {attributes.get('settings', 'unknown settings')}"
                raise DemonstrationError(f"{made}, not {settings}; use the same settings, or another output folder")

    def kept(self) -> list[dict]:
        """Return the attributes of the demonstrations that are there, in the order of their episodes."""
        return [attributes for _, _, attributes in self._entries()]

    def is_whole(self) -> bool:
        """Say whether all there is lies in the one file."""
        return self.path.exists() and not self.folder.exists()

    def add(self, episode: int, demonstration: Demonstration) -> dict:
        """Add a demonstration; once this returns its attributes, no crash can lose it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        noted = replace(demonstration, attributes={**demonstration.attributes, "episode": episode, "settings": self._settings})
        with written_whole(self.folder / f"episode_{episode:05d}.hdf5") as file:
            write_demonstration(file.create_group("data/demo_0"), noted)
        return {**noted.attributes, "num_samples": len(noted)}

    def merge(self, task: TaskRecord) -> None:
        """Bring all demonstrations into the one file."""
        with written_whole(self.path) as target:
            data = target.create_group("data")
            for number, (file, name, _) in enumerate(self._entries()):
                with h5py.File(file, "r") as source:
                    source.copy(f"data/{name}", data, name=f"demo_{number}")
            write_task_attributes(data, task)
        if self.folder.exists():
            shutil.rmtree(self.folder)

    def _entries(self) -> list[tuple[Path, str, dict]]:
        """Return file, name and attributes of each demonstration; the merged file counts first where a crash left both."""
        found: dict[int, tuple[Path, str, dict]] = {}
        for file in [*([self.path] if self.path.exists() else []), *sorted(self.folder.glob("episode_*.hdf5"))]:
            with h5py.File(file, "r") as opened:
                for name, group in opened["data"].items():
                    attributes = dict(group.attrs)
                    found.setdefault(int(attributes.get("episode", len(found))), (file, name, attributes))
        return [found[episode] for episode in sorted(found)]


@contextmanager
def written_whole(path: Path) -> Iterator[h5py.File]:
    """Yield a new file that appears under its name only when it is complete and on the disk."""
    fresh = path.with_suffix(".unfinished")
    with h5py.File(fresh, "w") as file:
        yield file
    with open(fresh, "rb") as written:
        os.fsync(written.fileno())
    fresh.replace(path)
