"""A long run over ROS 2 with a library load every few seconds: `python -m benchmarks.soak --minutes 30`.

The simulated arm and the policy run as two processes at 20 Hz, episode after episode, while another generation of the library is loaded
again and again. Told at the end: steps that nobody answered, loads that failed, the cadence, and whether either process has grown.
"""

import argparse
import json
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import psutil
from std_msgs.msg import Float64MultiArray

from dmpel_core.errors import DmpelError
from dmpel_core.experts.library import generations
from dmpel_core.simulation.tasks import load_task
from dmpel_core.stopping import stoppable
from dmpel_ros import qos
from dmpel_ros.evaluator import Evaluator, Outcome, Trial
from dmpel_ros.locations import find_library
from dmpel_ros.session import Setup, session

PERIOD_MS = 50.0
MOST_GROWTH = 0.05
"""How much a process may grow."""

WARM_UP, COMPARED = 0.2, 0.1
"""Shares of the run: what comes before memory is compared, and how long each of the two compared stretches is."""

GLANCE = 5
"""Steps of each episode before the run begins."""

SAMPLE_PERIOD = 5.0
"""How often memory is read [s]."""


@dataclass
class Samples:
    """What is gathered while it runs.

    Attributes:
        memory: Resident memory of each process at each sample [MB].
        intervals: Between two actions of one episode [ms].
        loads: How long each load took [ms].
        refused: What loads were refused with.
    """

    memory: dict[str, list[float]] = field(default_factory=dict)
    intervals: list[float] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Report:
    """What came of it.

    Attributes:
        minutes: Wall time from the first step to the last.
        episodes: Episodes, of which so many were `successes`.
        successes: As it says.
        steps: Steps of the simulated arm.
        missed_actions: Steps without an action in time, on which the arm held its pose.
        missed_holds: Steps with neither an action nor a hold.
        overruns: Ticks that computed longer than a period.
        loads: Loads that were carried out.
        refused: What the others were refused with.
        interval_ms: Percentiles 50, 95, 99 and 100 of the time between two actions [ms].
        compute_ms: The same of a tick's computation [ms].
        load_ms: The same of a load [ms].
        memory_mb: Before and after, by process [MB].
        growth: By process.
    """

    minutes: float
    episodes: int
    successes: int
    steps: int
    missed_actions: int
    missed_holds: int
    overruns: int
    loads: int
    refused: tuple[str, ...]
    interval_ms: tuple[float, ...]
    compute_ms: tuple[float, ...]
    load_ms: tuple[float, ...]
    memory_mb: dict[str, tuple[float, float]]
    growth: dict[str, float]

    def passed(self) -> bool:
        """Return whether nothing was missed, lost or refused, and nothing has grown too much."""
        return not (self.missed_actions or self.missed_holds or self.refused) and max(self.growth.values(), default=0.0) <= MOST_GROWTH


def percentiles(values: Sequence[float]) -> tuple[float, ...]:
    """Return percentiles 50, 95, 99 and 100, rounded to 0.1; nothing of nothing."""
    return tuple(round(float(value), 1) for value in np.percentile(values, [50, 95, 99, 100])) if values else ()


def before_and_after(samples: Sequence[float]) -> tuple[float, float]:
    """Return the medians of a stretch after the warm-up and of the last stretch."""
    first, length = int(WARM_UP * len(samples)), max(1, int(COMPARED * len(samples)))
    return float(np.median(samples[first : first + length])), float(np.median(samples[-length:]))


def summarise(outcomes: Sequence[Outcome], samples: Samples, seconds: float) -> Report:
    """Return the report of all that was gathered."""
    memory = {name: before_and_after(values) for name, values in samples.memory.items()}
    steps, missed = sum(outcome.ticks for outcome in outcomes), sum(outcome.missed for outcome in outcomes)
    compute = [value for outcome in outcomes for value in outcome.compute_ms]
    return Report(
        minutes=round(seconds / 60.0, 1),
        episodes=len(outcomes),
        successes=sum(outcome.success for outcome in outcomes),
        steps=steps,
        missed_actions=missed,
        missed_holds=max(0, steps - missed - len(compute)),
        overruns=sum(outcome.overruns for outcome in outcomes),
        loads=len(samples.loads),
        refused=tuple(samples.refused),
        interval_ms=percentiles(samples.intervals),
        compute_ms=percentiles(compute),
        load_ms=percentiles(samples.loads),
        memory_mb={name: (round(before, 1), round(after, 1)) for name, (before, after) in memory.items()},
        growth={name: round(after / before - 1.0, 4) for name, (before, after) in memory.items()},
    )


class Soak:
    """One run."""

    def __init__(self, evaluator: Evaluator, library: Path, load_every: float) -> None:
        """Watch the processes of a session, and load the library's generations in turn every so often [s]."""
        self._evaluator, self._load_every = evaluator, load_every
        self._generations = [number for number in generations(library) if number]
        self.samples, self._ended = Samples(), threading.Event()
        self._last: float | None = None
        evaluator.create_subscription(Float64MultiArray, "/policy/timing", self._on_tick, qos.REPORT)

    def _on_tick(self, _: Float64MultiArray) -> None:
        now, last = time.perf_counter(), self._last
        self._last = now
        if last is not None:
            self.samples.intervals.append(1e3 * (now - last))

    def run(self, trials: Sequence[Trial], seconds: float) -> Report:
        """Run the trials in turn until the time is over, after a glance at each, in which the simulation builds what it keeps."""
        for trial in trials:
            self._evaluator.run(replace(trial, horizon=GLANCE))
        self.samples.intervals.clear()
        threads = [threading.Thread(target=work, daemon=True) for work in (self._load, self._sample)]
        for thread in threads:
            thread.start()
        began, outcomes = time.monotonic(), list[Outcome]()
        while time.monotonic() - began < seconds:
            self._last = None  # what lies between two episodes is no interval
            outcomes.append(self._evaluator.run(trials[len(outcomes) % len(trials)]))
            print(f"{(time.monotonic() - began) / 60:5.1f} min: {self._progress(outcomes[-1])}", flush=True)
        self._ended.set()
        for thread in threads:
            thread.join()
        return summarise(outcomes, self.samples, time.monotonic() - began)

    def _progress(self, outcome: Outcome) -> str:
        memory = ", ".join(f"{name} {values[-1]:.0f} MB" for name, values in self.samples.memory.items())
        return f"{outcome.ticks} steps, {outcome.missed} missed, {outcome.overruns} overruns; {len(self.samples.loads)} loads; {memory}"

    def _load(self) -> None:
        number = 0
        while not self._ended.wait(self._load_every):
            began = time.perf_counter()
            try:
                self._evaluator.load(self._generations[number % len(self._generations)])
                self.samples.loads.append(1e3 * (time.perf_counter() - began))
            except DmpelError as error:
                self.samples.refused.append(str(error))
            number += 1

    def _sample(self) -> None:
        processes = {child.cmdline()[2].rpartition(".")[2]: child for child in psutil.Process().children()}
        while not self._ended.wait(SAMPLE_PERIOD):
            for name, process in processes.items():
                self.samples.memory.setdefault(name, []).append(process.memory_info().rss / 1e6)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--load-every", type=float, default=20.0, help="seconds from one load to the next (default: %(default)s)")
    parser.add_argument("--library", default="models/libero_goal", help="folder of the library (default: %(default)s)")
    parser.add_argument("--tasks", default="8,1,0,4", help="indices of libero_goal's tasks, in turn (default: %(default)s)")
    parser.add_argument("--horizon", type=int, default=250, help="longest episode [steps] (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("runs/soak"), help="folder for soak.json and the logs (default: %(default)s)")
    return parser.parse_args(argv)


def run(options: argparse.Namespace) -> Report:
    """Run and write soak.json."""
    tasks = [load_task("libero_goal", int(number)) for number in options.tasks.split(",")]
    trials = [Trial(task.suite, task.index, task.instruction, 40, horizon=options.horizon) for task in tasks]
    library = find_library(options.library)
    with session(Setup(str(library), -1, options.output / "logs", real_time_factor=1.0)) as evaluator:
        report = Soak(evaluator, library, options.load_every).run(trials, 60.0 * options.minutes)
    (options.output / "soak.json").write_text(json.dumps(asdict(report), indent=2) + "\n")
    return report


def main(argv: Sequence[str] | None = None) -> int:
    """Run; return 0 if all went well."""
    options = parse(argv)
    report = run(options)
    print("\n".join(f"{name:15} {value}" for name, value in asdict(report).items()))
    print(f"a period is {PERIOD_MS:.0f} ms; the policy's own report is at the end of {options.output / 'logs' / 'policy.log'}")
    return int(not report.passed())


if __name__ == "__main__":
    sys.exit(stoppable("soak", main))
