"""Figures that were measured, kept in one JSON file together with how they were measured."""

import json
from pathlib import Path
from typing import Any

from dmpel_core.errors import DmpelError
from dmpel_core.json_file import write_json


def keep(path: Path, figures: dict[str, Any]) -> None:
    """Put figures into a file that may hold others; those of the same name are replaced.

    Raises:
        DmpelError: What is there is not such a file.
    """
    try:
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError as error:
        raise DmpelError(f"{path} is not JSON ({error}): name another file, or remove this one") from error
    if not isinstance(known, dict):
        raise DmpelError(f"{path} holds a JSON {type(known).__name__}, expected an object: name another file, or remove this one")
    write_json(path, dict(sorted((known | figures).items())))
