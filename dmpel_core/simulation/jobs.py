"""Work on several tasks side by side, in processes that end with the one that started them."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol, TypeVar

from dmpel_core.crews import ProcessCrew, crew
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
    elif processes <= 1 or len(jobs) == 1:
        yield from (work(job, progress) for job in jobs)
    else:
        with ProcessCrew(min(processes, len(jobs))) as workers:
            yield from workers.as_they_end(work, jobs, progress)


def _on_a_cluster(work: Work[Job], jobs: Sequence[Job], workers: int, progress: Callable[[], object]) -> Iterator[dict]:
    with crew("ray", workers) as cluster:
        for job, summary in zip(jobs, cluster.map(partial(_untold, work), jobs), strict=True):
            for _ in range(job.size):
                progress()
            yield summary


def _untold(work: Work[Job], job: Job) -> dict:
    return work(job, lambda: None)


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
