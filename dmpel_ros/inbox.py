"""The newest message of each input, shared between the executor's thread that receives and the control thread that acts.

Callbacks do nothing but `put`; the control thread sleeps in `wait` and is woken by the message that completes a set.
Nothing here knows ROS types or clocks: stamps are plain nanoseconds and the caller says what time it is.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Inputs:
    """One message of every input, taken close enough together to be one observation.

    Attributes:
        messages: Newest message by input name.
        stamp: Oldest of the messages' stamps [ns]; the age of the observation counts from here.
        newest: Newest of the stamps [ns].
        received: When the first of them arrived, on the inbox's clock of arrivals [s].
    """

    messages: dict[str, Any]
    stamp: int
    newest: int
    received: float


class Inbox:
    """Keeps the newest message per input and hands them out as one set."""

    def __init__(self, names: Sequence[str], max_skew: float, arrival: Callable[[], float] = time.monotonic) -> None:
        """Prepare for the inputs.

        Args:
            names: The inputs that make a set.
            max_skew: Messages whose stamps lie further apart are no set [s].
            arrival: The clock that arrivals are timed on [s].
        """
        self.arrival = arrival
        self._names = tuple(names)
        self._max_skew = int(max_skew * 1e9)
        self._newest: dict[str, tuple[Any, int, float]] = {}
        self._changed = threading.Condition()

    def put(self, name: str, message: Any, stamp: int) -> None:
        """Store a message with its stamp [ns] and wake who waits."""
        with self._changed:
            self._newest[name] = (message, stamp, self.arrival())
            self._changed.notify_all()

    def wake(self) -> None:
        """Wake who waits without a message, to look at its condition again."""
        with self._changed:
            self._changed.notify_all()

    def wait(self, ready: Callable[[], bool], timeout: float) -> bool:
        """Sleep until `ready` holds or `timeout` [s] has passed; return whether it holds."""
        with self._changed:
            return self._changed.wait_for(ready, timeout)

    def missing(self) -> list[str]:
        """Return the inputs of which nothing has come yet."""
        with self._changed:
            return [name for name in self._names if name not in self._newest]

    def inputs(self) -> Inputs | None:
        """Return the newest set, or None while an input is missing or their stamps are too far apart."""
        with self._changed:
            if len(self._newest) < len(self._names):
                return None
            stamps = [stamp for _, stamp, _ in self._newest.values()]
            if max(stamps) - min(stamps) > self._max_skew:
                return None
            received = min(moment for _, _, moment in self._newest.values())
            return Inputs({name: entry[0] for name, entry in self._newest.items()}, min(stamps), max(stamps), received)
