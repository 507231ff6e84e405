"""Work spread over processes of this machine or, where that is asked for, over a Ray cluster."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from dmpel_core.errors import DmpelError

if TYPE_CHECKING:
    from typing_extensions import Self

ENGINES = ("processes", "ray")
_Given = TypeVar("_Given")
_Made = TypeVar("_Made")


class Crew(Protocol):
    """Workers that do one piece of work each; a context, at whose end none is left."""

    def map(self, work: Callable[[_Given], _Made], given: Iterable[_Given]) -> Iterator[_Made]:
        """Yield what `work`, which can be sent to another process, makes of each, in order."""

    def __enter__(self) -> "Self": ...

    def __exit__(self, *_: object) -> None: ...


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
    """Fresh processes of this machine, which end with this one."""

    def __init__(self, workers: int) -> None:
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # the processes share the cores already
        self._pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _end_with_parent)

    def map(self, work: Callable[[_Given], _Made], given: Iterable[_Given]) -> Iterator[_Made]:
        """See `Crew`."""
        return self._pool.map(work, given)

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)


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
        threads = {"env_vars": {"OMP_NUM_THREADS": "1"}}
        try:
            ray.init(address, num_cpus=processors, include_dashboard=False, log_to_driver=False, runtime_env=threads)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise DmpelError(f"the Ray cluster at {address or 'this machine'} does not start work: {error}") from error

    def map(self, work: Callable[[_Given], _Made], given: Iterable[_Given]) -> Iterator[_Made]:
        """See `Crew`."""
        remote = self._ray.remote(_apply)
        pending = [remote.remote(work, one) for one in given]
        return (self._ray.get(one) for one in pending)

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_: object) -> None:
        self._ray.shutdown()


def _apply(work: Callable[[_Given], _Made], given: _Given) -> _Made:
    return work(given)


def _end_with_parent() -> None:
    """End this process when the one that started it was killed; it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
