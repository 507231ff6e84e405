"""Write a library's policy and experts as a checkpoint that the paper's own code loads."""

import argparse
from pathlib import Path

from dmpel_core.experts.library import read_library
from dmpel_core.official.checkpoint import write_state
from dmpel_core.official.convert import export_state


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("library", type=Path, help="folder of the library")
    parser.add_argument("--to", type=Path, required=True, metavar="FILE", help="checkpoint to write")
    parser.add_argument("--generation", type=int, help="generation to export; the one in use when left out")
    parser.add_argument("--position-ids", action="store_true",
                        help="add the position numbers that transformers before 4.31 keeps; the official code loads either")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Export and print what was written."""
    library = read_library(arguments.library, arguments.generation)
    state = export_state(library, position_ids=arguments.position_ids)
    write_state(arguments.to, state)
    print(f"wrote {arguments.to}: {len(state)} tensors, {len(library.experts)} experts")
    return 0
