"""What the node asks of libraries on disk beside running them; the engine reads the tensors itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from dmpel_core.experts.library import Limits, generations, read_library


class Catalogue(Protocol):
    """Where libraries are looked up; every method raises DmpelError when there is none or it is damaged."""

    def observation(self, library: Path, generation: int | None) -> tuple[int, Mapping[str, Any]]:
        """Return the number of a generation, None for the one in use, and what it expects of a robot."""

    def parent(self, library: Path, generation: int) -> int | None:
        """Return the generation that one was made from."""

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

    def contents(self, library: Path) -> dict[str, Any]:
        """Read and check every generation, signed or not."""
        selected = read_library(library).generation
        read = {str(number): read_library(library, number) for number in generations(library)}
        return {
            "selected": selected,
            "generations": {number: [expert.name for expert in found.experts] for number, found in read.items()},
        }
