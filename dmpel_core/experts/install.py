"""Add an expert file to a library and make its generation the one in use. The library must have the generation it was made from."""

import argparse
from pathlib import Path

from dmpel_core.experts.library import Limits, select_generation
from dmpel_core.experts.parcel import install
from dmpel_core.experts.signature import read_public_key


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("library", type=Path, help="folder of the library")
    parser.add_argument("file", type=Path, help="what `dmpel pack` wrote")
    parser.add_argument("--public-key", type=Path, metavar="FILE", help="refuse what is not signed by this key, see `dmpel sign`")


def run(arguments: argparse.Namespace) -> int:
    """Install, say what, and return 0."""
    limits = Limits(signed_by=read_public_key(arguments.public_key) if arguments.public_key else None)
    added = install(arguments.library, arguments.file, limits)
    library = select_generation(arguments.library, added.generation, limits)
    print(f"{library.path}: generation {library.generation}, experts: {', '.join(expert.name for expert in library.experts)}")
    return 0
