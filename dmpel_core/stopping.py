"""How a program stops: on Ctrl-C or SIGTERM every block on the way out ends what it started, then comes the status that shells know."""

import signal
import sys
from collections.abc import Callable
from types import FrameType

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells report it."""
TERMINATED = 143
"""Exit status after SIGTERM, as shells report it."""


def stoppable(name: str, work: Callable[[], int]) -> int:
    """Do a program's work and return its exit status, with a word on stderr where it was stopped. For the main thread."""
    terminated = False

    def terminate(_number: int, _frame: FrameType | None) -> None:
        nonlocal terminated
        terminated = True  # not a class of its own: libraries in between raise KeyboardInterrupt anew
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        return work()
    except KeyboardInterrupt:
        what, status = ("terminated", TERMINATED) if terminated else ("interrupted", INTERRUPTED)
        print(f"\n{name}: {what}", file=sys.stderr)  # a progress bar may stand there
        return status
    finally:
        signal.signal(signal.SIGTERM, before)
