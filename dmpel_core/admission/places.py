"""How commands name a generation: `LIBRARY` for the one in use, `LIBRARY@3` for another."""

import re
from pathlib import Path

from dmpel_core.experts.library import Library, read_library


def library_at(text: str) -> Library:
    """Read and check the generation that a text names.

    Raises:
        LibraryError: There is no such library or generation, or it is damaged.
    """
    path, generation = re.fullmatch(r"(.*?)(?:@(\d+))?", text, re.DOTALL).groups()  # type: ignore[union-attr]  # matches every text
    return read_library(Path(path), None if generation is None else int(generation))
