"""Sign a generation of a library, after checking every file of it, for robots that run nothing unsigned.

The keys: `openssl genpkey -algorithm ed25519 -out private.pem`, to be kept secret, and
`openssl pkey -in private.pem -pubout -out public.pem`, for the robot.
"""

import argparse
from pathlib import Path

from dmpel_core.experts.library import read_library
from dmpel_core.experts.signature import sign


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("library", type=Path, help="folder of the library")
    parser.add_argument("--key", type=Path, required=True, help="private Ed25519 key in PEM, not encrypted")
    parser.add_argument("--generation", type=int, help="generation to sign; the one in use when left out")


def run(arguments: argparse.Namespace) -> int:
    """Sign, say what, and return 0."""
    library = read_library(arguments.library, arguments.generation)
    file = sign(library.path, library.manifest, arguments.key)
    print(f"{library.path}: generation {library.generation} with {len(library.experts)} experts is signed by {file}")
    return 0
