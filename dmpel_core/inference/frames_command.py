"""Take pictures out of demonstrations or converted recordings, for engines that try eight bits on what a robot's own cameras see.

The file is what the policy node's parameter `int8` names; `dmpel convert` turns a robot's recordings into such HDF5 files.
"""

import argparse
from pathlib import Path

import numpy as np

from dmpel_core.data.hdf5 import read_demonstrations
from dmpel_core.errors import DmpelError
from dmpel_core.experts.tensors import pack
from dmpel_core.inference.int8 import FEWEST


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `dmpel frames`."""
    parser.add_argument("files", type=Path, nargs="+", help="LIBERO-layout HDF5 files")
    parser.add_argument("--count", type=int, default=64, help="ticks to take, evenly over all that there are (default 64)")
    parser.add_argument("--output", type=Path, required=True, help="file to write, e.g. frames.safetensors")


def run(arguments: argparse.Namespace) -> int:
    """Write the file and say what is in it."""
    frames = take(arguments.files, arguments.count)
    arguments.output.write_bytes(pack(frames))
    shapes = ", ".join(f"{camera} {array.shape}" for camera, array in frames.items())
    print(f"{arguments.output}: {shapes}")
    return 0


def take(files: list[Path], count: int) -> dict[str, np.ndarray]:
    """Return pictures of both cameras at ticks that lie evenly over all demonstrations, uint8 (count, height, width, 3) each.

    Raises:
        DmpelError: There are fewer ticks than asked for, or fewer are asked for than say something.
    """
    demonstrations = [demonstration for file in files for demonstration in read_demonstrations(file, states=False)]
    total = sum(map(len, demonstrations))
    if not FEWEST <= count <= total:
        raise DmpelError(f"{count} pictures cannot be taken from {total} ticks: --count is {FEWEST} or more, and not more than there are")
    chosen = np.linspace(0, total - 1, count).round().astype(int)
    found = {}
    for camera in ("agentview", "eye_in_hand"):
        pictures = [getattr(demonstration, camera) for demonstration in demonstrations]
        found[camera] = np.concatenate(pictures)[chosen]
    return found
