"""The newest message of each input, shared between the executor's thread that receives and the control thread that acts.

Callbacks do nothing but `put`; the control thread sleeps in `wait` and is woken by the message that completes a set.
Nothing here knows ROS types or clocks: stamps are plain nanoseconds and the caller says what time it is.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Entry:
    """The newest message of one input.

    Attributes:
        message: The message.
        stamp: Its stamp [ns].
        received: When it arrived, on the inbox's clock of arrivals [s].
    """

    message: Any
    stamp: int
    received: float


@dataclass(frozen=True)
class Inputs:
    """One message of every input, taken close enough together to be one observation.

    Attributes:
        messages: Newest message by input name.
        stamp: Oldest of the messages' stamps [ns]; the age of the observation counts from here.
        newest: Newest of the stamps [ns].
        stamps: Stamp of each message [ns].
    """

    messages: dict[str, Any]
    stamp: int
    newest: int
    stamps: dict[str, int]


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
        self.names = tuple(names)
        self._max_skew = int(max_skew * 1e9)
        self._newest: dict[str, Entry] = {}
        self._changed = threading.Condition()

    def put(self, name: str, message: Any, stamp: int) -> None:
        """Store a message with its stamp [ns] and wake who waits."""
        with self._changed:
            self._newest[name] = Entry(message, stamp, self.arrival())
            self._changed.notify_all()

    def clear(self) -> None:
        """Forget every message."""
        with self._changed:
            self._newest.clear()

    def wake(self) -> None:
        """Wake who waits without a message, to look at its condition again."""
        with self._changed:
            self._changed.notify_all()

    def wait(self, ready: Callable[[], bool], timeout: float) -> bool:
        """Sleep until `ready` holds or `timeout` [s] has passed; return whether it holds."""
        with self._changed:
            return self._changed.wait_for(ready, timeout)

    def entries(self) -> dict[str, Entry]:
        """Return the newest message of every input that has sent one."""
        with self._changed:
            return dict(self._newest)

    def inputs(self) -> Inputs | None:
        """Return the newest set, or None while an input is missing or their stamps are too far apart."""
        return self.together(self.entries())

    def together(self, entries: Mapping[str, Entry]) -> Inputs | None:
        """Return the entries as one set, or None where they are not one."""
        if len(entries) < len(self.names):
            return None
        stamps = {name: entry.stamp for name, entry in entries.items()}
        oldest, newest = min(stamps.values()), max(stamps.values())
        if newest - oldest > self._max_skew:
            return None
        return Inputs({name: entry.message for name, entry in entries.items()}, oldest, newest, stamps)
