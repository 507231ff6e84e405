"""Intervals and running statistics."""

import pytest

from dmpel_core.evaluation.statistics import wilson_interval
from dmpel_ros.statistics import TickStatistics, percentiles


@pytest.mark.parametrize(
    ("successes", "episodes", "low", "high"),
    [(0, 5, 0.0, 0.4345), (5, 5, 0.5655, 1.0), (27, 30, 0.7438, 0.9654), (15, 30, 0.3315, 0.6685)],
)
def test_wilson_intervals_of_known_cases(successes: int, episodes: int, low: float, high: float) -> None:
    assert wilson_interval(successes, episodes) == pytest.approx((low, high), abs=1e-4)


def test_nothing_measured_is_no_error() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)
    assert percentiles([]) == {"p50": 0.0, "p95": 0.0, "max": 0.0}


def test_statistics_count_by_kind() -> None:
    statistics = TickStatistics()
    statistics.acted(20.0, 3.0, overrun=False)
    statistics.acted(60.0, 4.0, overrun=True, limited=("box", "jerk"))
    statistics.held("stale")
    statistics.held("stale")
    values = statistics.values()
    assert (values["ticks"], values["overruns"], values["holds"], values["holds_stale"]) == ("2", "1", "2", "2")
    assert (values["compute_max_ms"], values["observation_age_max_ms"]) == ("60.0", "4.0")
    assert (values["limited_by_box"], values["limited_by_jerk"]) == ("1", "1")
    assert statistics.report(20.0).startswith("2 actions at 20 Hz, 1 overruns, compute p50/p95/max 40.0/58.0/60.0 ms")
    assert statistics.report(20.0).endswith("2 holds, 2 stale")
