"""Pack one generation's newest expert, its router and its replay memory into one file, for `dmpel install` or a running node."""

import argparse
from pathlib import Path

from dmpel_core.experts.library import read_library
from dmpel_core.experts.parcel import pack_generation
from dmpel_core.experts.storage import write_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("library", type=Path, help="folder of the library")
    parser.add_argument("--generation", type=int, help="generation to pack; the one in use when left out")
    parser.add_argument("--output", type=Path, required=True, help="file to write, e.g. stove.expert")


def run(arguments: argparse.Namespace) -> int:
    """Pack, say what, and return 0."""
    library = read_library(arguments.library, arguments.generation)
    data = pack_generation(library)
    write_file(arguments.output.parent, arguments.output.name, data)
    print(f"{arguments.output}: generation {library.generation}, {library.experts[-1].name!r}, {len(data) / 1e6:.1f} MB")
    return 0
