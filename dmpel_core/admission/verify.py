"""Check every file of a generation, and send it through the gate that guards a running robot.

The contexts stored for old tasks go through its router: coefficients and actions must be near what they were when each task was
learned. Exits with 1 when the generation would be refused.
"""

import argparse

from dmpel_core.admission.gate import Limits, examine
from dmpel_core.admission.places import library_at
from dmpel_core.admission.probe import lazily
from dmpel_core.experts.library import Library, read_library

DEFAULT = Limits()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("library", help="LIBRARY, or LIBRARY@GENERATION")
    parser.add_argument("--against", help="generation whose tasks must be kept, as LIBRARY@GENERATION (default: the parent)")
    add_limits(parser)


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Declare the gate's limits."""
    parser.add_argument("--max-coefficient-drift", type=float, default=DEFAULT.coefficient, help="mean change of a group's coefficients")
    parser.add_argument("--max-switched", type=float, default=DEFAULT.switched, help="share of contexts with another strongest expert")
    parser.add_argument("--max-action-drift", type=float, default=DEFAULT.action, help="mean change of the pose deltas")


def run(arguments: argparse.Namespace) -> int:
    """Print the table; return 0 where the gate lets the generation through."""
    library = library_at(arguments.library)
    print(f"{library.path}: generation {library.generation}, {len(library.experts)} experts, every file is whole")
    against = library_at(arguments.against) if arguments.against else _parent(library)
    limits = Limits(arguments.max_coefficient_drift, arguments.max_switched, arguments.max_action_drift)
    report = examine(against, library, limits, lazily(library))
    print("\n".join(report.table()))
    print(f"refused: {len(report.refused)} tasks change too much" if report.refused else "admitted")
    return 1 if report.refused else 0


def _parent(library: Library) -> Library:
    return library if library.parent is None else read_library(library.path, library.parent)
