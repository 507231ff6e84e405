"""Intervals and running statistics."""

import numpy as np
import pytest

from dmpel_core.evaluation.statistics import wilson_interval
from dmpel_ros.statistics import RESOLUTION, WINDOW, Durations, TickStatistics, percentiles


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
    statistics.acted(0.0, 20.0, 3.0, overrun=False)
    statistics.acted(0.05, 60.0, 4.0, overrun=True, limited=("box", "jerk"))
    statistics.held("stale")
    statistics.held("stale")
    values = statistics.values()
    assert (values["ticks"], values["overruns"], values["holds"], values["holds_stale"]) == ("2", "1", "2", "2")
    assert (values["compute_max_ms"], values["observation_age_max_ms"]) == ("60.0", "4.0")
    assert (values["limited_by_box"], values["limited_by_jerk"]) == ("1", "1")
    assert statistics.report(20.0) == (
        "2 actions at 20 Hz, interval p50/p95/max 50.0/50.0/50.0 ms for a target of 50 ms; "
        "compute 20.1/60.0/60.0 ms, observation age 3.1/4.0/4.0 ms; 1 overruns, 2 holds, 2 stale"
    )


def test_an_interval_lies_between_two_actions_with_nothing_between_them() -> None:
    statistics = TickStatistics()
    assert "interval p50/p95/max none yet" in statistics.report(20.0)
    intervals = [statistics.acted(moment, 8.0, 0.0, overrun=False) for moment in (10.0, 10.05)]
    statistics.held("stale")
    intervals.append(statistics.acted(12.0, 8.0, 0.0, overrun=False))
    intervals.append(statistics.acted(12.06, 8.0, 0.0, overrun=False))
    statistics.pause()
    intervals.extend(statistics.acted(moment, 8.0, 0.0, overrun=False) for moment in (99.0, 0.0))  # a clock that began anew
    np.testing.assert_allclose(intervals, [np.nan, 50.0, np.nan, 60.0, np.nan, np.nan], rtol=1e-9)
    assert [statistics.values()[f"interval_{figure}_ms"] for figure in ("p50", "max")] == ["55.0", "60.0"]


def test_the_report_is_about_all_ticks_and_the_diagnostics_about_the_newest() -> None:
    durations = Durations()
    for milliseconds in [200.0] * WINDOW + [4000.0] + [10.0] * WINDOW:
        durations.add(milliseconds)
    assert durations.newest() == {"p50": 10.0, "p95": 10.0, "max": 10.0}
    of_all = [float(figure) for figure in durations.all().removesuffix(" ms").split("/")]
    assert of_all == pytest.approx([200.0, 200.0, 4000.0], abs=RESOLUTION)
