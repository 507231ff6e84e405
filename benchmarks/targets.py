"""What the engine promises, and whether the record keeps it."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.contestants import ANCHOR
from benchmarks.record import Record
from benchmarks.report_tables import chosen, table


@dataclass(frozen=True)
class Target:
    """A figure with a bound.

    Attributes:
        text: What is promised.
        bound: The least that it may be, or the most.
        at_most: Which of both.
        figure: Takes the figure from the record; None where it was not measured.
        unit: Printed behind both.
    """

    text: str
    bound: float
    figure: Callable[[Record], float | None]
    at_most: bool = False
    unit: str = "x"

    def line(self, record: Record) -> tuple[str, str, str, str]:
        """Return the target's line of the table."""
        found = self.figure(record)
        sign = "at most" if self.at_most else "at least"
        if found is None:
            return self.text, f"{sign} {self.bound:g}{self.unit}", "not measured", ""
        kept = found <= self.bound if self.at_most else found >= self.bound
        return self.text, f"{sign} {self.bound:g}{self.unit}", f"{found:.2f}{self.unit}", "yes" if kept else "**no**"


def target_table(record: Record) -> str:
    """Return all targets."""
    return table(("ONNX engine, processor, one thread", "target", "measured", "kept"), (target.line(record) for target in TARGETS))


def row(size: str, mode: str, name: str, scale: float = 1) -> Callable[[Record], float | None]:
    """Take a figure from the row of the ONNX engine with ten experts and one thread."""

    def figure(record: Record) -> float | None:
        found = chosen(record["rows"], size=size, mode=mode, engine="onnx-cpu", threads=1, experts=ANCHOR)
        return found[0][name] * scale if found else None

    return figure


def stage(size: str, name: str) -> Callable[[Record], float | None]:
    """Take how many times less a stage takes than in the naive path."""

    def figure(record: Record) -> float | None:
        found = chosen(record["stages"], size=size, stage=name, engine="onnx-cpu", threads=1)
        return found[0]["ratio_to_naive"] if found else None

    return figure


def host(record: Record) -> float | None:
    """Take how many times less the host works."""
    found = chosen(record["host_overhead"], engine="onnx-cpu")
    return found[0]["ratio_to_naive"] if found else None


def grown(size: str) -> Callable[[Record], float | None]:
    """Take how much longer a tick takes with 1,000 experts than with ten [%]."""

    def figure(record: Record) -> float | None:
        found = chosen(record["flatness"], size=size, experts=1000, threads=1)
        return 100 * (found[0]["ratio_to_10"] - 1) if found else None

    return figure


def late(record: Record) -> float | None:
    """Take how much later than its neighbours' 99th percentile the latest tick is that a load touches [ms]."""
    return record["swap"][0]["loading_max_ms"] - record["swap"][0]["quiet_p99_ms"] if record["swap"] else None


SMALL, LARGE = "small", "clip-vit-b16"
TARGETS = (
    Target("exact, small, against the naive path", 2.7, row(SMALL, "exact", "ratio_to_naive")),
    Target("exact, clip-vit-b16, against the naive path", 1.4, row(LARGE, "exact", "ratio_to_naive")),
    Target("routing every 10 ticks, small", 3.8, row(SMALL, "route10", "ratio_to_naive")),
    Target("routing every 10 ticks, clip-vit-b16", 1.95, row(LARGE, "route10", "ratio_to_naive")),
    Target("routing after acting, clip-vit-b16, observation to action", 1.9, row(LARGE, "lag", "ratio_to_naive")),
    Target("exact, clip-vit-b16, share of the matrix product's rate", 78, row(LARGE, "exact", "roofline_share", 100), unit=" %"),
    Target("mixing, small", 10, stage(SMALL, "mixing")),
    Target("mixing, clip-vit-b16", 10, stage(LARGE, "mixing")),
    Target("text, small", 10, stage(SMALL, "text")),
    Target("text, clip-vit-b16", 10, stage(LARGE, "text")),
    Target("host's work", 10, host),
    Target("tick with 1,000 experts over that with 10, small", 5, grown(SMALL), at_most=True, unit=" %"),
    Target("tick with 1,000 experts over that with 10, clip-vit-b16", 5, grown(LARGE), at_most=True, unit=" %"),
    Target("loading at 20 Hz: latest tick behind its neighbours' p99", 2, late, at_most=True, unit=" ms"),
)
