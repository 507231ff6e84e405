"""Take experts out of a library that hardly any task uses, as a new generation, and say what that costs.

No file is removed: earlier generations stay whole, and going back is `dmpel show --select`. The new generation holds the experts
that stay, a router without the others' columns, and replay memories numbered anew. The task of an expert that leaves is lost; what
the others lose is in the table. Without --expert or --below the table of uses is printed and nothing is written.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from dmpel_core.admission.gate import examine
from dmpel_core.admission.probe import lazily
from dmpel_core.errors import DmpelError
from dmpel_core.experts.keeping import keep_experts
from dmpel_core.experts.library import Library, read_library
from dmpel_core.experts.usage import narrowed, renumbered, share_of, under_used


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("library", type=Path, help="folder of the library; the generation in use is pruned")
    parser.add_argument("--expert", action="append", default=[], help="name of an expert to take out; may be repeated")
    parser.add_argument("--below", type=float, help="take out every expert whose mean share of all tasks' coefficients is below this")


def run(arguments: argparse.Namespace) -> int:
    """Print the uses, prune, and print the cost."""
    library = read_library(arguments.library)
    shares = uses(library)
    print("\n".join(table(library, shares)))
    leaving = _leaving(library, shares, arguments.expert, arguments.below)
    if not leaving:
        return 0
    pruned = prune(library, [index for index in range(len(library.experts)) if index not in leaving])
    report = examine(library, pruned, None, lazily(pruned))
    print("\n".join(report.table()))
    saved = sum(library.experts[index].factors.bytes + library.experts[index].replay.bytes for index in leaving)
    print(f"generation {pruned.generation} has {len(pruned.experts)} experts, {saved / 1e6:.1f} MB less to load; "
          f"`dmpel show {library.path} --select {library.generation}` goes back")  # fmt: skip
    return 0


def uses(library: Library) -> np.ndarray:
    """Return each expert's share of the coefficients of each task, (tasks, experts), as they were stored; rows without memory are 0."""
    count = len(library.experts)
    return np.array([share_of(library.replay(task), count) for task in range(count)]).reshape(count, count)


def table(library: Library, shares: np.ndarray) -> Iterator[str]:
    """Yield the lines of a table: which share of its own task's coefficients, and of all tasks' in the mean, each expert has."""
    yield f"{'expert':50} {'own task':>9} {'all':>9}"
    for index, expert in enumerate(library.experts):
        yield f"{expert.name[:50]:50} {shares[index, index]:9.3f} {shares[:, index].mean():9.3f}"


def prune(library: Library, kept: Sequence[int]) -> Library:
    """Write the generation that has only the experts `kept`, with the router's columns and the memories of those.

    Raises:
        LibraryError: The library is damaged, or another process writes to it.
    """
    count = len(library.experts)
    memories = [renumbered(library.replay(index), kept, count) for index in kept]
    return keep_experts(library, kept, narrowed(library.router(), kept, count), memories)


def _leaving(library: Library, shares: np.ndarray, names: list[str], below: float | None) -> set[int]:
    known = [expert.name for expert in library.experts]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise DmpelError(f"{library.path} has no expert {unknown[0]!r}; it has {', '.join(map(repr, known))}")
    leaving = under_used(shares, below or 0.0) | {known.index(name) for name in names}
    if len(leaving) == len(known) and known:
        raise DmpelError(f"this would take out all {len(known)} experts; name fewer, or a smaller --below")
    return leaving
