"""Work spread over processes and over a Ray cluster of two workers: in order, at the same time, with errors as they were."""

import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dmpel_core.crews import ENGINES, Crew, ProcessCrew, crew
from dmpel_core.errors import DmpelError


@pytest.fixture(scope="module", params=ENGINES)
def workers(request: pytest.FixtureRequest) -> Iterator[Crew]:
    """Two workers of each kind."""
    with crew(request.param, 2) as made:
        yield made


def named(number: int) -> tuple[int, int]:
    return number, os.getpid()


def meet(places: tuple[Path, Path]) -> bool:
    """Leave a sign in one pipe and wait for the other's: only two who work at the same time both see it."""
    own, other = (os.open(place, os.O_RDWR) for place in places)
    os.write(own, b"here")
    seen, _, _ = select.select([other], [], [], 60)
    os.close(own)
    os.close(other)
    return bool(seen)


def fail(number: int) -> int:
    if number == 1:
        raise DmpelError(f"number {number} cannot be done: leave it out")
    return number


def test_results_come_in_order_from_other_processes(workers: Crew) -> None:
    made = list(workers.map(named, range(6)))
    assert [number for number, _ in made] == list(range(6))
    assert os.getpid() not in {process for _, process in made}


def test_two_work_at_the_same_time(workers: Crew, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    os.mkfifo(one)
    os.mkfifo(other)
    assert list(workers.map(meet, [(one, other), (other, one)])) == [True, True]


def test_an_error_says_what_it_said_in_the_worker(workers: Crew) -> None:
    with pytest.raises(DmpelError, match="number 1 cannot be done: leave it out"):
        list(workers.map(fail, [0, 1]))


def count(number: int, progress: Callable[[], object]) -> int:
    for _ in range(number):
        progress()
    return number


def test_progress_is_told_before_the_end_of_each_piece_of_work() -> None:
    told: list[int] = []
    with ProcessCrew(2) as workers:
        sums = [(made, len(told)) for made in workers.as_they_end(count, [3, 0, 2, 5] * 10, lambda: told.append(1))]
    assert sorted(made for made, _ in sums) == sorted([0, 2, 3, 5] * 10)
    assert len(told) == 100
    assert all(heard >= sum(made for made, _ in sums[: place + 1]) for place, (_, heard) in enumerate(sums))


def interrupt_itself(number: int) -> int:
    os.kill(os.getpid(), signal.SIGINT)
    return number


def test_an_interrupt_at_the_terminal_is_left_to_the_parent() -> None:
    with ProcessCrew(2) as workers:
        assert list(workers.map(interrupt_itself, range(3))) == [0, 1, 2]


def test_without_ray_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DmpelError, match=r"needs Ray: pip install 'dmpel\[ray\]'"):
        crew("ray", 2)


def test_a_cluster_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(DmpelError, match=r"the Ray cluster at 127\.0\.0\.1:1 does not start work"):
        crew("ray", 2)
