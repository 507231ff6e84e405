"""Make a library of a checkpoint of the paper's own code: the pretrained policy, or a task's with its experts and router.

The checkpoint is a pickle. It is read by an unpickler that builds tensors and plain containers only, and refused if there is
code in it. The official code saves of each task only what was trained: give the pretrained policy with --backbone then. Imported
experts come without replay memory, so `dmpel learn` asks before it goes on from them. The policy needs CLIP's tokenizer.json
to understand sentences; it is part of every copy of openai/clip-vit-base-patch16.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from dmpel_core.errors import DmpelError
from dmpel_core.official.checkpoint import read_state
from dmpel_core.official.convert import file_digest, import_state, join_states
from dmpel_core.policy.presets import CLIP_VIT_B16
from dmpel_core.policy.sizes import PolicySizes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("checkpoint", type=Path, help="official file: state dict, configuration and more")
    parser.add_argument("--to", type=Path, required=True, metavar="LIBRARY", help="library folder to write")
    parser.add_argument(
        "--backbone", type=Path, help="official file of the pretrained policy, where CHECKPOINT holds a task's experts only"
    )
    parser.add_argument("--tokenizer", type=Path, help="CLIP's tokenizer.json, or the folder that holds it")
    parser.add_argument("--instructions", type=Path, help="text file with one instruction a line, for each expert (default: expert 1, ...)")
    parser.add_argument("--sizes", type=Path, help="JSON of sizes that no tensor's shape tells, where they are not the published ones")


def run(arguments: argparse.Namespace) -> int:
    """Import and print what the library holds."""
    state = read_state(arguments.checkpoint)
    if arguments.backbone:
        state = join_states(state, read_state(arguments.backbone), str(arguments.checkpoint))
    library = import_state(
        state, arguments.to, source=f"{arguments.checkpoint.name} {file_digest(arguments.checkpoint)}",
        instructions=_lines(arguments.instructions), tokenizer=_tokenizer(arguments.tokenizer), base=read_sizes(arguments.sizes),
    )  # fmt: skip
    print(f"wrote {library.path}: generation {library.generation}, experts: {', '.join(e.name for e in library.experts) or 'none'}")
    return 0


def read_sizes(path: Path | None) -> PolicySizes:
    """Return the published sizes with the changes of a JSON file, such as `{"heads": 4, "vision": {"heads": 4}}`.

    Raises:
        DmpelError: It is no JSON object, or names a size that there is not.
    """
    changes: Any = json.loads(_text(path) or "{}")
    if not isinstance(changes, dict):
        raise DmpelError(f"{path} holds a JSON {type(changes).__name__}, expected an object of sizes")
    towers = {name: getattr(CLIP_VIT_B16, name) for name in ("vision", "language")}
    try:
        changed = {name: replace(tower, **_plain(changes.pop(name, {}))) for name, tower in towers.items()}
        return replace(CLIP_VIT_B16, **_plain(changes), **changed)
    except TypeError as error:
        raise DmpelError(f"{path} names a size that there is not: {error}") from error


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _lines(path: Path | None) -> list[str]:
    """Return the lines of a file that are not empty."""
    return [line.strip() for line in _text(path).splitlines() if line.strip()]


def _tokenizer(path: Path | None) -> bytes:
    """Return a tokenizer's file; of a folder, its `tokenizer.json`."""
    return _text(path / "tokenizer.json" if path and path.is_dir() else path).encode()


def _text(path: Path | None) -> str:
    """Return a file's text, nothing without a file.

    Raises:
        DmpelError: It cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8") if path else ""
    except (OSError, UnicodeDecodeError) as error:
        raise DmpelError(f"{path} cannot be read: {error}") from error
