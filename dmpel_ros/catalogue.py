"""What the node asks of libraries on disk beside running them; the engine reads the tensors itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from dmpel_core.experts.library import Limits, generations, open_library, read_library
from dmpel_core.experts.parcel import install


class Catalogue(Protocol):
    """Where libraries are looked up; every method raises DmpelError when there is none or it is damaged."""

    def observation(self, library: Path, generation: int | None) -> tuple[int, Mapping[str, Any]]:
        """Return the number of a generation, None for the one in use, and what it expects of a robot."""

    def parent(self, library: Path, generation: int) -> int | None:
        """Return the generation that one was made from."""

    def admit(self, running: tuple[Path, int], candidate: tuple[Path, int]) -> None:
        """Let a generation, of a library and a number, follow the running one; raise where it would change how old tasks are done."""

    def install(self, library: Path, file: Path) -> int:
        """Add the generation that an expert file holds to a library and return its number."""

    def contents(self, library: Path) -> dict[str, Any]:
        """Return, as JSON, the generations and the experts of each."""


class LibraryCatalogue:
    """Libraries as `dmpel` writes them."""

    def __init__(self, signed_by: bytes | None = None) -> None:
        """Look up generations that are signed by the owner of a public key, or any."""
        self._limits = Limits(signed_by=signed_by)

    def observation(self, library: Path, generation: int | None) -> tuple[int, Mapping[str, Any]]:
        """Read and check the generation, every hash of it."""
        read = read_library(library, generation, self._limits)
        return read.generation, read.observation

    def parent(self, library: Path, generation: int) -> int | None:
        """Read and check the generation."""
        return read_library(library, generation, self._limits).parent

    def admit(self, running: tuple[Path, int], candidate: tuple[Path, int]) -> None:
        """Send the contexts of old tasks through it; of what runs only its memories are read, for the rest may be damaged."""
        from dmpel_core.admission.gate import admit  # only a node that may load needs them
        from dmpel_core.admission.probe import lazily

        coming = open_library(*candidate, self._limits)
        admit(open_library(*running, self._limits), coming, actions=lazily(coming))

    def install(self, library: Path, file: Path) -> int:
        """Check the file against the library and write what is new."""
        return install(library, file, self._limits).generation

    def contents(self, library: Path) -> dict[str, Any]:
        """Read and check every generation, signed or not."""
        selected = read_library(library).generation
        read = {str(number): read_library(library, number) for number in generations(library)}
        return {
            "selected": selected,
            "generations": {number: [expert.name for expert in found.experts] for number, found in read.items()},
        }
