"""One training run's folder: progress bar, TensorBoard, summary."""

import json
import os
import platform
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from dmpel_core import __version__

LOG_EVERY = 20


class Run:
    """Shows a run's progress and keeps its figures; of several processes only one is `shown` and does so."""

    def __init__(self, folder: Path, name: str, *, shown: bool = True) -> None:
        from torch.utils.tensorboard import SummaryWriter  # slow to import, and only training needs it

        self.folder = folder
        self.name = name
        self.shown = shown
        folder.mkdir(parents=True, exist_ok=True)
        self._make_writer = SummaryWriter
        self._begun = time.monotonic()
        self.noted: dict[str, float] = {}

    def steps(self, done: int, total: int) -> Iterator[tuple[int, "Report"]]:
        """Yield the steps that are left, each with a callable that takes its losses."""
        writer = self._make_writer(str(self.folder), purge_step=done) if self.shown else None
        with tqdm(total=total, initial=done, desc=self.name, unit="step", mininterval=2, dynamic_ncols=True, disable=not self.shown) as bar:
            report = Report(bar, writer, self.name, self.noted)
            for step in range(done, total):
                report.step = step
                yield step, report
                bar.update()
        if writer is not None:
            writer.close()

    def minutes(self) -> float:
        """Return the minutes since the run began in this process."""
        return (time.monotonic() - self._begun) / 60

    def summary(self, values: Mapping[str, object]) -> None:
        """Write `summary.json`: the values, minutes, machine and versions."""
        if not self.shown:
            return
        text = json.dumps(
            {**values, "minutes_in_last_process": round(self.minutes(), 2), "machine": machine(), "versions": versions()}, indent=2
        )
        (self.folder / "summary.json").write_text(text + "\n")


class Report:
    """Takes the losses of one step; shows a running mean."""

    def __init__(self, bar: tqdm, writer: Any, name: str, noted: dict[str, float]) -> None:
        self.step = 0
        self._noted = noted
        self._bar, self._writer, self._name = bar, writer, name
        self._recent: dict[str, list[float]] = {}

    def __call__(self, **losses: float) -> None:
        """Add the losses of this step."""
        for key, value in losses.items():
            self._recent.setdefault(key, []).append(value)
        if (self.step + 1) % LOG_EVERY == 0:
            means = {key: sum(values) / len(values) for key, values in self._recent.items()}
            self._recent.clear()
            self._bar.set_postfix({key: f"{value:.3f}" for key, value in means.items()}, refresh=False)
            self._log(means)

    def note(self, **figures: float) -> None:
        """Keep figures that are measured now and then; the newest go into the summary."""
        self._noted.update(figures)
        self._log(figures)
        self._bar.write(f"step {self.step + 1}: " + ", ".join(f"{key} {value:.2f}" for key, value in figures.items()))

    def _log(self, figures: Mapping[str, float]) -> None:
        if self._writer is None:
            return
        for key, value in figures.items():
            self._writer.add_scalar(f"{self._name}/{key}", value, self.step + 1)


def machine() -> str:
    """Return a short description of this machine."""
    return f"{platform.machine()}, {os.cpu_count()} cores, {'CUDA' if torch.cuda.is_available() else 'no GPU'}"


def versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    return {"dmpel": __version__, "python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
