"""Where generated files that can be made again are kept."""

import os
from pathlib import Path


def cache_directory() -> Path:
    """Return the cache folder, made if missing: `$DMPEL_CACHE`, else `~/.cache/dmpel`."""
    folder = Path(os.environ.get("DMPEL_CACHE", "~/.cache/dmpel")).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    return folder
