"""Tick timings as the nodes and the evaluator report them."""

import math
from collections import Counter, deque
from collections.abc import Sequence

import numpy as np

WINDOW = 1200
"""Ticks that the running percentiles look back: one minute at 20 Hz."""

RESOLUTION = 0.1
"""Width of a histogram's bin [ms]."""

BINS = 10_000
"""Bins of a histogram; what is longer counts for the last one."""


def percentiles(milliseconds: Sequence[float]) -> dict[str, float]:
    """Return p50, p95 and max [ms], rounded to 0.01; zeros where nothing was measured."""
    if not milliseconds:
        return {"p50": 0.0, "p95": 0.0, "max": 0.0}
    p50, p95 = np.percentile(milliseconds, [50, 95])
    return {"p50": round(float(p50), 2), "p95": round(float(p95), 2), "max": round(float(max(milliseconds)), 2)}


class Durations:
    """Durations of one kind: the newest as they are, and all of them in a histogram, so that days take no more memory than minutes."""

    def __init__(self) -> None:
        """Start from nothing."""
        self._newest: deque[float] = deque(maxlen=WINDOW)
        self._counts = np.zeros(BINS, np.int64)
        self._longest = 0.0

    def add(self, milliseconds: float) -> None:
        """Take one [ms]."""
        self._newest.append(milliseconds)
        self._counts[min(int(milliseconds / RESOLUTION), BINS - 1)] += 1
        self._longest = max(self._longest, milliseconds)

    def newest(self) -> dict[str, float]:
        """Return p50, p95 and max [ms] of the last minute at 20 Hz."""
        return percentiles(self._newest)

    def all(self) -> str:
        """Return p50, p95 and max of all as a text: to 0.1 ms, or 'none yet'."""
        if not self._newest:
            return "none yet"
        places = np.searchsorted(self._counts.cumsum(), self._counts.sum() * np.array([0.5, 0.95]))
        p50, p95 = np.minimum(RESOLUTION * (places + 0.5), self._longest)
        return f"{p50:.1f}/{p95:.1f}/{self._longest:.1f} ms"


class TickStatistics:
    """Counts ticks, overruns and holds, and keeps how long things took."""

    def __init__(self) -> None:
        """Start from nothing."""
        self.ticks = 0
        self.overruns = 0
        self.holds: Counter[str] = Counter()
        self.limits: Counter[str] = Counter()
        self._durations = {"interval": Durations(), "compute": Durations(), "observation_age": Durations()}
        self._last: float | None = None

    def acted(self, moment: float, compute_ms: float, age_ms: float, overrun: bool, limited: Sequence[str] = ()) -> float:
        """Count one action at a moment [s] and the limits that bit on it.

        Returns:
            The interval since the action before [ms]; not a number if there was none, a hold or a pause between, or the clock went back.
        """
        interval = math.nan if self._last is None or moment < self._last else 1e3 * (moment - self._last)
        self._last = moment
        self.ticks += 1
        self.overruns += overrun
        self.limits.update(limited)
        for name, duration in zip(self._durations, (interval, compute_ms, age_ms), strict=True):
            if not math.isnan(duration):
                self._durations[name].add(duration)
        return interval

    def held(self, kind: str) -> None:
        """Count one tick without an action."""
        self.holds[kind] += 1
        self.pause()

    def pause(self) -> None:
        """Measure no interval up to the next action: the arm is not meant to move, or an episode ends here."""
        self._last = None

    def report(self, rate: float) -> str:
        """Return one line about all ticks, for when the node stops; `rate` is the target [Hz]."""
        interval, compute, age = (durations.all() for durations in self._durations.values())
        cadence = f"interval p50/p95/max {interval} for a target of {1e3 / rate:g} ms"
        times = f"compute {compute}, observation age {age}"
        kinds = "".join(f", {count} {kind}" for kind, count in sorted(self.holds.items()))
        return f"{self.ticks} actions at {rate:g} Hz, {cadence}; {times}; {self.overruns} overruns, {self.holds.total()} holds{kinds}"

    def values(self) -> dict[str, str]:
        """Return what /diagnostics shows, by name; times in [ms]."""
        shown = {"ticks": str(self.ticks), "overruns": str(self.overruns), "holds": str(self.holds.total())}
        shown |= {f"holds_{kind}": str(count) for kind, count in sorted(self.holds.items())}
        shown |= {f"limited_by_{name}": str(count) for name, count in sorted(self.limits.items())}
        for name, durations in self._durations.items():
            shown |= {f"{name}_{figure}_ms": str(value) for figure, value in durations.newest().items()}
        return shown
