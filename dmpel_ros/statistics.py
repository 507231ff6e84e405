"""Tick timings as the nodes and the evaluator report them."""

from collections import Counter, deque
from collections.abc import Sequence

import numpy as np

WINDOW = 1200
"""Ticks that the running percentiles look back: one minute at 20 Hz."""


def percentiles(milliseconds: Sequence[float]) -> dict[str, float]:
    """Return p50, p95 and max [ms], rounded to 0.01; zeros where nothing was measured."""
    if not milliseconds:
        return {"p50": 0.0, "p95": 0.0, "max": 0.0}
    p50, p95 = np.percentile(milliseconds, [50, 95])
    return {"p50": round(float(p50), 2), "p95": round(float(p95), 2), "max": round(float(max(milliseconds)), 2)}


class TickStatistics:
    """Counts ticks, overruns and holds, and keeps the newest timings."""

    def __init__(self) -> None:
        """Start from nothing."""
        self.ticks = 0
        self.overruns = 0
        self.holds: Counter[str] = Counter()
        self.limits: Counter[str] = Counter()
        self._compute: deque[float] = deque(maxlen=WINDOW)
        self._age: deque[float] = deque(maxlen=WINDOW)

    def acted(self, compute_ms: float, age_ms: float, overrun: bool, limited: Sequence[str] = ()) -> None:
        """Count one action and the limits that bit on it."""
        self.ticks += 1
        self.overruns += overrun
        self.limits.update(limited)
        self._compute.append(compute_ms)
        self._age.append(age_ms)

    def held(self, kind: str) -> None:
        """Count one tick without an action."""
        self.holds[kind] += 1

    def report(self, rate: float) -> str:
        """Return one line about all ticks, for when the node stops; `rate` is the target [Hz]."""
        compute, age = percentiles(self._compute), percentiles(self._age)
        times = f"compute p50/p95/max {compute['p50']}/{compute['p95']}/{compute['max']} ms, observation age p95 {age['p95']} ms"
        kinds = "".join(f", {count} {kind}" for kind, count in sorted(self.holds.items()))
        return f"{self.ticks} actions at {rate:g} Hz, {self.overruns} overruns, {times}; {self.holds.total()} holds{kinds}"

    def values(self) -> dict[str, str]:
        """Return what /diagnostics shows, by name; times in [ms]."""
        compute, age = percentiles(self._compute), percentiles(self._age)
        shown = {"ticks": str(self.ticks), "overruns": str(self.overruns), "holds": str(self.holds.total())}
        shown |= {f"holds_{kind}": str(count) for kind, count in sorted(self.holds.items())}
        shown |= {f"limited_by_{name}": str(count) for name, count in sorted(self.limits.items())}
        shown |= {f"compute_{name}_ms": str(value) for name, value in compute.items()}
        return shown | {f"observation_age_{name}_ms": str(value) for name, value in age.items()}
