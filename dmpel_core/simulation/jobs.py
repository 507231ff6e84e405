"""Work on several tasks side by side, in processes that end with the one that started them."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from multiprocessing.queues import Queue
from queue import Empty
from typing import Generic, Protocol, TypeVar

from dmpel_core.crews import crew
from dmpel_core.errors import DmpelError
from dmpel_core.simulation.tasks import load_task, task_names


class CollectError(DmpelError):
    """Demonstrations or still pictures that cannot be made as asked."""


class Sized(Protocol):
    """One task's share of a run."""

    @property
    def size(self) -> int:
        """How many things it makes."""


Job = TypeVar("Job", bound=Sized)
Work = Callable[[Job, Callable[[], object]], dict]
"""Does one job and returns a summary of it; calls its second argument for each thing made."""


def side_by_side(
    work: Work[Job], jobs: Sequence[Job], processes: int, progress: Callable[[], object], engine: str = "processes"
) -> Iterator[dict]:
    """Yield the summaries of the jobs as they end.

    Args:
        work: Does one job, in another process where there are several.
        jobs: What to do.
        processes: How many at once, at most.
        progress: Called in this process for each thing that is made; on a Ray cluster when all of a task's are there.
        engine: One of `dmpel_core.crews.ENGINES`.
    """
    if engine == "ray":
        yield from _on_a_cluster(work, jobs, processes, progress)
        return
    if processes <= 1 or len(jobs) == 1:
        yield from (work(job, progress) for job in jobs)
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the processes share the cores already
    context = get_context("spawn")
    queue = context.Queue()
    with ProcessPoolExecutor(min(processes, len(jobs)), mp_context=context, initializer=_adopt, initargs=(queue, os.getpid())) as pool:
        pending = [pool.submit(_Told(work, _tell_parent), job) for job in jobs]
        while pending:
            _drain(queue, progress)
            ended = [future for future in pending if future.done()]
            pending = [future for future in pending if future not in ended]
            yield from map(Future.result, ended)
        _drain(queue, progress)


def _on_a_cluster(work: Work[Job], jobs: Sequence[Job], workers: int, progress: Callable[[], object]) -> Iterator[dict]:
    with crew("ray", workers) as cluster:
        for job, summary in zip(jobs, cluster.map(_Told(work, _nothing), jobs), strict=True):
            for _ in range(job.size):
                progress()
            yield summary


class _Told(Generic[Job]):
    """Work with somebody to tell of its progress."""

    def __init__(self, work: Work[Job], tell: Callable[[], object]) -> None:
        self._work, self._tell = work, tell

    def __call__(self, job: Job) -> dict:
        return self._work(job, self._tell)


def _nothing() -> None:
    """Tell nobody."""


class _Worker:
    """What a worker process knows: whom to tell of its progress, and who started it."""

    queue: Queue
    parent: int


def _adopt(queue: Queue, parent: int) -> None:
    _Worker.queue, _Worker.parent = queue, parent


def _tell_parent() -> None:
    _Worker.queue.put(1)
    if os.getppid() != _Worker.parent:
        raise CollectError("the process that started this one has ended; start again to go on")


def _drain(queue: Queue, progress: Callable[[], object]) -> None:
    try:
        while True:
            queue.get(timeout=0.5)
            progress()
    except Empty:
        return


def or_error(suite: str, index: int, work: Callable[[], dict]) -> dict:
    """Return a task's summary, or one with its `error`: a task that cannot be done must not stop the others."""
    try:
        return work()
    except DmpelError as error:
        task = load_task(suite, index)
        return {"name": task.name, "index": task.index, "instruction": task.instruction, "error": str(error)}


def parse_tasks(suite: str, text: str) -> list[int]:
    """Return the task numbers that `all` or `0,1,8` names."""
    count = len(task_names(suite))
    if text == "all":
        return list(range(count))
    try:
        chosen = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise CollectError(f"--tasks {text!r} is neither `all` nor numbers such as 0,1,8") from error
    wrong = [index for index in chosen if not 0 <= index < count]
    if wrong:
        raise CollectError(f"{suite} has tasks 0 to {count - 1}, not {wrong}; see --tasks")
    return chosen


def parse_states(text: str) -> tuple[int, int]:
    """Return FIRST and END of `FIRST:END`."""
    first, _, end = text.partition(":")
    if not (first.isdigit() and end.isdigit() and int(first) < int(end)):
        raise CollectError(f"--states {text!r} is not FIRST:END with FIRST below END, such as 0:35")
    return int(first), int(end)
