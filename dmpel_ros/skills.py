"""Loading, adding, rolling back and listing generations while the node runs.

Called from service callbacks' worker threads; the engine hands what is loaded to the next tick. Owns which generation was
loaded last and knows what may be loaded; knows no ROS.
"""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dmpel_core.errors import DmpelError
from dmpel_core.inference.engine import Engine
from dmpel_ros.catalogue import Catalogue
from dmpel_ros.contract import Promise, check

Answer = tuple[bool, str]
"""Success, and what to tell the caller."""


@dataclass(frozen=True)
class Permission:
    """What may be loaded.

    Attributes:
        loading: Whether anything may.
        root: Folder that it must lie in.
        gate: Whether it must also leave old tasks as they are, see `dmpel_core.admission.gate`; a roll-back need not.
    """

    loading: bool
    root: Path
    gate: bool = True


class Skills:
    """The generations that one engine may run."""

    def __init__(self, engine: Engine, catalogue: Catalogue, promise: Promise, permission: Permission, library: Path, number: int) -> None:
        """Start from the generation `number` of a library, which the engine runs."""
        self._engine, self._catalogue, self._promise, self._permission = engine, catalogue, promise, permission
        self._library, self._number = library, number
        self._busy = threading.Lock()

    def load(self, library: Path, generation: int | None) -> Answer:
        """Load a generation, None for the one in use, beside the running ticks."""
        return self._change(lambda: self._load(library, generation, gate=self._permission.gate))

    def add(self, file: Path) -> Answer:
        """Take the expert of a file into the library and load it, beside the running ticks."""
        return self._change(lambda: self._add(file))

    def roll_back(self) -> Answer:
        """Load the generation that the running one was made from."""
        return self._change(self._load_parent)

    def contents(self) -> Answer:
        """Return the library's generations and their experts as JSON, and which one runs."""
        try:
            found = self._catalogue.contents(self._library)
        except DmpelError as error:
            return False, str(error)
        return True, json.dumps({"library": str(self._library), "running": self._number, **found})

    @property
    def number(self) -> int:
        """The generation loaded last."""
        return self._number

    def _change(self, change: Callable[[], str]) -> Answer:
        if not self._permission.loading:
            return False, "loading is not allowed: start the node with the parameter 'allow_loading' set"
        if not self._busy.acquire(blocking=False):
            return False, "another generation is being loaded: ask again when that is done"
        try:
            return True, change()
        except DmpelError as error:
            return False, f"{error}; generation {self._number} stays in use"
        finally:
            self._busy.release()

    def _load_parent(self) -> str:
        parent = self._catalogue.parent(self._library, self._number)
        if parent is None:
            raise DmpelError(f"generation {self._number} was made from none")
        return self._load(self._library, parent, gate=False)

    def _add(self, file: Path) -> str:
        self._confine(file)
        number = self._catalogue.install(self._library, file)
        try:
            return self._load(self._library, number, gate=self._permission.gate)
        except DmpelError as error:
            raise DmpelError(f"{file} is generation {number} of the library now, but it does not run: {error}") from error

    def _load(self, library: Path, generation: int | None, *, gate: bool) -> str:
        self._confine(library)
        number, expected = self._catalogue.observation(library, generation)
        check(expected, self._promise)
        if gate:
            self._catalogue.admit((self._library, self._number), (library, number))
        self._engine.load(library, number)
        self._library, self._number = library, number
        return f"generation {number} is loaded and takes over at the next tick"

    def _confine(self, place: Path) -> None:
        root = self._permission.root.resolve()
        if not place.resolve().is_relative_to(root):
            raise DmpelError(f"{place} lies outside of {root}, the folder that the parameter 'library_root' allows")
