"""Where configuration files and libraries lie: in a source tree, or in the share folder that an installation made."""

import os
import sys
from pathlib import Path

from dmpel_core.errors import DmpelError

PACKAGE = "dmpel_ros"


def roots() -> list[Path]:
    """Return the folders that may hold `config` and `models`, nearest first."""
    prefixes = [*os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), sys.prefix]
    return [Path(__file__).resolve().parents[1], *(Path(prefix) / "share" / PACKAGE for prefix in prefixes if prefix)]


def config_file(name: str) -> Path:
    """Return a file of the `config` folder.

    Raises:
        DmpelError: No installation holds it.
    """
    places = [root / "config" / name for root in roots()]
    for place in places:
        if place.is_file():
            return place
    raise DmpelError(f"no configuration file {name} in {', '.join(str(place.parent) for place in places)}: install the package again")


def find_library(name: str) -> Path:
    """Return the folder of a library named by an absolute path, or relative to the working directory or the package.

    Raises:
        DmpelError: The name is empty or there is no such folder.
    """
    if not name:
        raise DmpelError("no library is named: set the parameter 'library' to a library's folder")
    places = [Path.cwd() / name, *(root / name for root in roots())]
    for place in places:
        if place.is_dir():
            return place
    raise DmpelError(
        f"no library '{name}' in {', '.join(str(place.parent) for place in places)}: give its folder in the parameter 'library'"
    )
