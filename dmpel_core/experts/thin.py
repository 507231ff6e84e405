"""Copy a library with smaller coefficient replay memories: to ship it, or for a robot with a small disk.

Every generation of the copy acts as its original does, bit for bit. What it learns later, and the gate, ask fewer stored contexts of the
old tasks; the alarm has to be calibrated again (`dmpel alarm`), and the copy is not signed. The original stays as it is.
"""

import argparse
from pathlib import Path

from dmpel_core.experts.keeping import copy_with_less_replay


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("library", type=Path, help="folder of the library")
    parser.add_argument("output", type=Path, help="new folder for the copy")
    parser.add_argument("--replay", type=float, required=True, help="share of each replay memory to keep, in (0, 1]")
    parser.add_argument("--seed", type=int, default=0, help="of the choice (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Copy, say how large both are, and return 0."""
    copy_with_less_replay(arguments.library, arguments.output, arguments.replay, arguments.seed)
    before, after = (
        sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) for path in (arguments.library, arguments.output)
    )
    print(f"{arguments.output}: {after / 1e6:.1f} MB of {before / 1e6:.1f} MB")
    return 0
