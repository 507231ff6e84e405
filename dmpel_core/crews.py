"""Work spread over processes of this machine or, where that is asked for, over a Ray cluster."""

import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import urlsplit

from dmpel_core.errors import DmpelError

if TYPE_CHECKING:
    from typing_extensions import Self

ENGINES = ("processes", "ray")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "LP_NUM_THREADS": "0"}
"""Environment of workers, which share the cores already; Mesa's software renderer then draws in the thread that asks, a fifth faster."""
_Given = TypeVar("_Given")
_Made = TypeVar("_Made")

_KNOCK_SECONDS = 10.0
_STEP = b"step"
"""What a worker says for each thing that it makes on the way."""


class Crew(Protocol):
    """Workers that do one piece of work each; a context, at whose end none is left, and which does not wait for them after an error."""

    def map(self, work: Callable[[_Given], _Made], given: Iterable[_Given]) -> Iterator[_Made]:
        """Yield what `work`, which can be sent to another process, makes of each, in order."""

    def __enter__(self) -> "Self": ...

    def __exit__(self, kind: object, *_: object) -> None: ...


def crew(engine: str, workers: int) -> Crew:
    """Return a crew.

    Args:
        engine: One of `ENGINES`. Ray takes the cluster that the environment's RAY_ADDRESS names, whose machines must see the same files
            under the same names, or starts one of this machine.
        workers: How many work side by side; on a cluster that is there already as many as it has processors.

    Raises:
        DmpelError: Ray is not installed, or the cluster does not answer.
    """
    return RayCrew(workers) if engine == "ray" else ProcessCrew(workers)


class ProcessCrew:
    """Fresh processes of this machine, none of which outlives this one or the block that it works for.

    Each watches a pipe whose writing end this process alone has. It is closed when the block ends, and by the system however this process
    ends. Ctrl-C, which a terminal sends to all of them, is for this one to answer.
    """

    def __init__(self, workers: int) -> None:
        for name, value in ONE_THREAD.items():
            os.environ.setdefault(name, value)
        context = multiprocessing.get_context("spawn")
        watched, self._lifeline = context.Pipe(duplex=False)
        self._heard, self._told = context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(workers, context, _adopt, (watched, self._told))

    def map(self, work: Callable[[_Given], _Made], given: Iterable[_Given]) -> Iterator[_Made]:
        """See `Crew`."""
        futures = self._start(work, given)
        return (self._result(future) for future in futures)

    def as_they_end(
        self, work: Callable[[_Given, Callable[[], object]], _Made], given: Iterable[_Given], progress: Callable[[], object]
    ) -> Iterator[_Made]:
        """Yield what `work` makes of each, the first to end first.

        Args:
            work: Takes one, and what to call for each thing that it makes on the way.
            given: What to work on.
            progress: Called in this process for each such thing.
        """
        futures = self._start(partial(_telling, work), given)
        for place, future in enumerate(futures):
            future.add_done_callback(partial(self._announce, place))
        left = len(futures)
        while left:
            said = self._heard.recv_bytes()
            if said == _STEP:
                progress()
            else:
                left -= 1
                yield self._result(futures[int(said)])

    def _announce(self, place: int, _: object) -> None:
        """Say which piece of work has ended, after all that it said itself."""
        self._told.send_bytes(str(place).encode())

    def _start(self, work: Callable[[_Given], _Made], given: Iterable[_Given]) -> list["Future[_Made]"]:
        """Hand work out, to processes that start here and now and inherit which signals are blocked."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            with _losses_named():
                return [self._pool.submit(work, one) for one in given]
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _result(self, future: "Future[_Made]") -> _Made:
        with _losses_named():
            return future.result()

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self._pool.shutdown(cancel_futures=True)
        finally:
            self._lifeline.close()
            self._pool.shutdown()


class RayCrew:
    """Tasks of a Ray cluster."""

    def __init__(self, workers: int) -> None:
        try:
            import ray
        except ImportError as error:
            raise DmpelError("work on a Ray cluster needs Ray: pip install 'dmpel[ray]'") from error
        self._ray: Any = ray
        address = os.environ.get("RAY_ADDRESS")
        processors = None if address else workers
        threads = {"env_vars": dict(ONE_THREAD)}
        terminated = signal.getsignal(signal.SIGTERM)
        try:
            _knock(address or "")
            ray.init(address, num_cpus=processors, include_dashboard=False, log_to_driver=False, runtime_env=threads)
        except (OSError, RuntimeError, ValueError) as error:
            raise DmpelError(f"the Ray cluster at {address or 'this machine'} does not start work: {error}") from error
        signal.signal(signal.SIGTERM, terminated)  # Ray took it, to leave at once; our blocks shall end first

    def map(self, work: Callable[[_Given], _Made], given: Iterable[_Given]) -> Iterator[_Made]:
        """See `Crew`."""
        remote = self._ray.remote(_apply)
        pending = [remote.remote(work, one) for one in given]
        return (self._ray.get(one) for one in pending)

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_: object) -> None:
        self._ray.shutdown()


def _knock(address: str) -> None:
    """Raise OSError if nobody listens at an address with a port; Ray would try again for minutes, deaf to Ctrl-C."""
    place = urlsplit(address if "//" in address else f"//{address}")
    if place.hostname and place.port:
        socket.create_connection((place.hostname, place.port), _KNOCK_SECONDS).close()


def _apply(work: Callable[[_Given], _Made], given: _Given) -> _Made:
    return work(given)


@contextmanager
def _losses_named() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool as error:
        remedy = "start again, with fewer --processes if memory was short"
        raise DmpelError(f"a worker process was ended from outside: {remedy}") from error


class _Worker:
    """What a worker process knows."""

    told: Connection


def _adopt(watched: Connection, told: Connection) -> None:
    """Make this process a worker."""
    _Worker.told = told
    threading.Thread(target=_end_with, args=(watched,), daemon=True).start()


def _end_with(watched: Connection) -> None:
    """End this process, whatever it does, when the other end of a pipe, into which nothing is written, is closed."""
    watched.poll(None)
    os._exit(1)


def _telling(work: Callable[[_Given, Callable[[], object]], _Made], given: _Given) -> _Made:
    return work(given, lambda: _Worker.told.send_bytes(_STEP))
