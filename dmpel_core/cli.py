"""The `dmpel` command: one subcommand per module in the entry-point group `dmpel.commands`.

A command module offers `add_arguments(parser)` and `run(arguments) -> int`. It is imported only when its command is
asked for, so `dmpel collect` never loads ROS and `dmpel learn` never loads a simulator.
"""

import argparse
import os
import select
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points

from dmpel_core import __version__
from dmpel_core.errors import DmpelError
from dmpel_core.stopping import stoppable

CUT_OFF = 141
"""Exit status when nobody reads the output any more, as shells report it."""


def commands() -> dict[str, EntryPoint]:
    """Return the installed subcommands by name."""
    return {point.name: point for point in sorted(entry_points(group="dmpel.commands"), key=lambda point: point.name)}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit status; errors that a user can mend end with one line and status 2."""
    known = commands()
    parser = argparse.ArgumentParser(prog="dmpel", description="Teach a robot arm skill after skill, and run them.")
    parser.add_argument("--version", action="version", version=f"dmpel {__version__}")
    parser.add_argument("command", choices=list(known), help="what to do; `dmpel COMMAND --help` says more")
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    chosen = parser.parse_args(argv)
    try:
        return stoppable(f"dmpel {chosen.command}", lambda: _run(chosen.command, known[chosen.command], chosen.rest))
    except DmpelError as error:
        print(f"dmpel {chosen.command}: {error}", file=sys.stderr)
        return 2


def _run(name: str, point: EntryPoint, rest: Sequence[str]) -> int:
    module = point.load()
    parser = argparse.ArgumentParser(prog=f"dmpel {name}", description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    module.add_arguments(parser)
    try:
        status = module.run(parser.parse_args(rest))
        sys.stdout.flush()
    except BrokenPipeError:
        if _output_is_read():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python still has to write when it ends
        return CUT_OFF
    return status


def _output_is_read() -> bool:
    """Return whether there is still a reader; behind `| head` there is none after a few lines."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)  # 0: nothing but errors
    return not poll.poll(0)


if __name__ == "__main__":
    sys.exit(main())
