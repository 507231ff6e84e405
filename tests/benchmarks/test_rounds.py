"""Interleaving and statistics, with contestants that take no time; and one block of real ones."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from benchmarks.block import measure
from benchmarks.rounds import WARM_UP, Contestant, Times, compete, moving_mean, ratios, row
from benchmarks.stages import STAGES, stopwatch
from dmpel_core.inference.engine import Tick
from dmpel_core.observation import Observation


def contestant(name: str, log: list[str], value: float = 0.0, interval: int = 1) -> Contestant:
    """Return one that notes when it ticks and settles."""

    def tick(_observation: Observation) -> Tick:
        log.append(name)
        return Tick(np.full(7, value), np.zeros((6, 1)), 1)

    return Contestant(name, "exact", 1, tick, interval, lambda: log.append(f"{name} settles"))


def test_contestants_take_turns_and_the_window_fills_before_the_clock_counts() -> None:
    log: list[str] = []
    first, second = contestant("naive", log), contestant("onnx-cpu", log, value=0.25)
    times = compete([first, second], 30, np.inf, itertools.count().__next__)
    turns = [tuple(log[start : start + 4]) for start in range(0, len(log), 4)]
    assert len(turns) == WARM_UP + 30
    one, other = ("naive", "naive settles"), ("onnx-cpu", "onnx-cpu settles")
    assert set(turns) == {one + other, other + one}, "in an order that is drawn"
    assert [len(times.cpu[one]) for one in (first, second)] == [len(times.wall[first]), len(times.rate)] == [30, 30]
    assert (times.off[first], times.off[second]) == (0.0, 0.25)


def test_a_block_out_of_time_still_has_one_whole_interval() -> None:
    log: list[str] = []
    slow = contestant("onnx-cpu", log, interval=3)
    assert len(compete([slow], 100, 0.0, itertools.count().__next__).rate) == 4


def test_a_mean_over_an_interval_holds_what_comes_once_in_it() -> None:
    every_third = [9.0, 3.0, 3.0] * 4
    np.testing.assert_allclose(moving_mean(every_third, 3), 5.0)
    np.testing.assert_allclose(ratios([10.0] * 12, every_third, 3), (2.0, 2.0, 2.0))


def test_ratios_compare_within_a_round() -> None:
    busy = np.array([1.0, 1.0, 5.0, 5.0, 5.0])
    assert ratios(list(3 * busy), list(busy), 1) == (3.0, 3.0, 3.0)
    assert ratios([2.0, 4.0, 6.0], [2.0, 2.0, 2.0], 1) == (1.5, 2.0, 2.5)


def test_a_row() -> None:
    naive, fast = (contestant(name, []) for name in ("naive", "onnx-cpu"))
    seconds = {naive: [0.008, 0.008, 0.008, 0.012], fast: [0.002, 0.004, 0.004, 0.004]}
    times = Times(wall={naive: [1.0] * 4, fast: [0.5] * 4}, cpu=seconds, rate=[1e9] * 4, off={naive: 0.0, fast: 1e-7})
    found = row(fast, times, times.cpu, naive, 2_000_000)
    assert {name: found[name] for name in ("engine", "mode", "median_ms", "ratio_to_naive", "roofline_share", "rounds")} == {
        "engine": "onnx-cpu", "mode": "exact", "median_ms": 4.0, "ratio_to_naive": 2.5, "roofline_share": 0.5, "rounds": 4,
    }  # fmt: skip
    assert found["ratio_spread"] == pytest.approx(found["ratio_quartiles"][1] - found["ratio_quartiles"][0]) == pytest.approx(1.25)
    assert found["wall_median_ms"] == 500.0


class Work:
    """Something with a stage inside another one."""

    def outer(self) -> int:
        return self.inner() + 1

    def inner(self) -> int:
        return 1


def test_the_stopwatch_counts_every_moment_once_and_leaves_nothing_behind() -> None:
    moments = itertools.count()
    before = Work.outer, Work.inner
    with stopwatch([(Work, "outer", "image"), (Work, "inner", "text")], lambda: float(next(moments))) as spent:
        assert (Work().outer(), Work().inner()) == (2, 1)
    assert spent == dict.fromkeys(STAGES, 0.0) | {"image": 1.0, "text": 1.0}
    assert (Work.outer, Work.inner) == before


def test_all_engines_agree_in_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DMPEL_CACHE", str(tmp_path))
    monkeypatch.setitem(measure.__globals__["STAGE_ROUNDS"], "nano", 1)
    found = measure(("nano", 1, 10), rounds=2)
    assert {entry["engine"] for entry in found["host_overhead"]} >= {"naive", "torch", "onnx-cpu"}
    assert max(entry["action_off"] for entry in found["host_overhead"]) < 1e-4
    measured = {(entry["engine"], entry["stage"]) for entry in found["stages"] if entry["median_ms"] > 0}
    assert measured >= {(engine, stage) for engine in ("naive", "torch", "onnx-cpu") for stage in STAGES}
    assert found["blocks"][0]["peak_gflops"] > 0
