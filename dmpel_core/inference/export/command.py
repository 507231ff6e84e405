"""Write a library's policy as ONNX graphs, once per backbone: experts that are learned later need no export."""

import argparse
from pathlib import Path

from safetensors import safe_open

from dmpel_core.errors import DmpelError
from dmpel_core.experts.library import Library, keep_graphs, read_library
from dmpel_core.policy import text_files
from dmpel_core.policy.sizes import PolicySizes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("library", type=Path, help="folder of the library; every generation of it will name the graphs")


def run(arguments: argparse.Namespace) -> int:
    """Write the graphs and say how large they are."""
    graphs = export_library(arguments.library).manifest.graphs
    print(f"{arguments.library}: {len(graphs)} graphs of {sum(file.bytes for file in graphs) / 1000:.0f} kB in all, for every generation")
    return 0


def export_library(path: Path) -> Library:
    """Write the graphs of a library into it; return the selected generation.

    Raises:
        DmpelError: The onnx package is missing, or the library is damaged.
    """
    try:
        from dmpel_core.inference.export.stages import write_graphs
    except ModuleNotFoundError as error:
        raise DmpelError(f"writing graphs needs the package {error.name!r}: pip install 'dmpel[train]'") from error
    library = read_library(path)
    sizes = PolicySizes.from_json(library.policy)
    graphs = write_graphs(sizes, library.modules, weight_shapes(library, sizes))
    return keep_graphs(path, graphs)


def weight_shapes(library: Library, sizes: PolicySizes) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor of the backbone, and of a text encoder outside it."""
    shapes = {name: tensor.shape for name, tensor in library.backbone().items()}
    if sizes.language is None:
        with safe_open(text_files.weights_folder() / "model.safetensors", "np") as file:
            stored = {text_files.tower_name(name): name for name in file.keys()}  # noqa: SIM118 - an open file, not a dictionary
            shapes |= {f"text.{name}": tuple(file.get_slice(place).get_shape()) for name, place in stored.items() if name}
    return shapes
