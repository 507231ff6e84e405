"""What the soak makes of what it gathers."""

from dataclasses import replace

import pytest

from benchmarks.soak import Report, Samples, before_and_after, summarise
from dmpel_ros.evaluator import Outcome, Trial

TRIAL = Trial("libero_goal", 8, "put the bowl on the plate", 40)
OUTCOME = Outcome(TRIAL, True, 3, 0, (20.0, 30.0, 60.0), (1.0, 2.0, 3.0), 1, (3, 4), 0.98)


def report_of(outcomes: list[Outcome], **samples: object) -> Report:
    return summarise(outcomes, Samples(**({"memory": {"policy": [200.0] * 50}, "loads": [12.0]} | samples)), 90.0)


def test_a_run_without_a_fault_passes() -> None:
    report = report_of([OUTCOME, OUTCOME], intervals=[50.0] * 99 + [70.0])
    assert report.passed()
    assert (report.minutes, report.episodes, report.steps, report.overruns, report.loads) == (1.5, 2, 6, 2, 1)
    assert report.interval_ms[0] == 50.0
    assert report.interval_ms[-1] == 70.0


@pytest.mark.parametrize(
    "broken",
    [
        report_of([replace(OUTCOME, missed=1)]),
        report_of([replace(OUTCOME, ticks=4)]),
        report_of([OUTCOME], refused=["generation 2 is damaged; generation 1 stays in use"]),
        report_of([OUTCOME], memory={"policy": [200.0] * 45 + [211.0] * 5, "simulation": [500.0] * 50}),
    ],
    ids=["missed", "neither action nor hold", "load refused", "grown"],
)
def test_whatever_went_wrong_is_no_pass(broken: Report) -> None:
    assert not broken.passed()


def test_memory_is_compared_after_the_warm_up_by_medians() -> None:
    samples = [100.0] * 10 + [200.0, 200.0, 900.0, 200.0, 200.0] + [201.0] * 30 + [202.0, 202.0, 1.0, 202.0, 202.0]
    assert before_and_after(samples) == (200.0, 202.0)
    assert before_and_after([150.0]) == (150.0, 150.0)
