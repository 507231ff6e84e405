"""One task of a run: train, select, take in, measure.

Every part that is done is a file, and a resumed run begins with the first that is not.
"""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from dmpel_core.evaluation.rollout import Condition
from dmpel_core.lifelong.algorithms.base import Algorithm, Teachable, copied
from dmpel_core.lifelong.batch import gather
from dmpel_core.lifelong.peak import forget_peak, peak_bytes
from dmpel_core.lifelong.scoring import Score, ScoreBook, Trial
from dmpel_core.lifelong.settings import Plan
from dmpel_core.lifelong.student import Student, save_student
from dmpel_core.lifelong.tasks import TaskData
from dmpel_core.training.optimise import optimise
from dmpel_core.training.run import Run
from dmpel_core.training.settings import LearnSettings

CHECKPOINT_EVERY = 100
LOSS_ROWS = 32  # sequences in memory at once while losses are measured


class Stage:
    """What happens when one task is learned.

    Args:
        plan: The run.
        library: Whose backbone it is on.
        folder: Of the run; the stage's files are in a folder of its own below.
        algorithm: In the state that the task before left it in.
        number: Place of the task in the sequence.
        tasks: It and all before it; all of the run where they are learned at once.
        book: Plays.
    """

    def __init__(
        self, plan: Plan, library: Path, folder: Path, algorithm: Algorithm, number: int, tasks: Sequence[TaskData], book: ScoreBook
    ) -> None:
        self.plan, self.library, self.algorithm, self.number, self.tasks, self.book = plan, library, algorithm, number, tasks, book
        self.folder = folder / f"task-{number:02d}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._students = self.folder / "students"

    def run(self) -> dict[str, Any]:
        """Learn and measure the task, or what of it is left to do, and return its figures."""
        done = self.folder / "figures.json"
        if done.exists():
            self.algorithm.restore(load_file(self.folder / "state.safetensors"))
            return json.loads(done.read_text(encoding="utf-8"))
        learned = self._learned()
        began = time.monotonic()
        row, losses = self._row(), [mean_loss(self.algorithm.student(place), data, self.algorithm, self.plan.protocol.loss_samples)
                                    for place, data in enumerate(self.tasks)]  # fmt: skip
        figures = {
            **learned,
            "row": [score.rate for score in row],
            "routing": [score.routing for score in row],
            "losses": losses,
            "stored_bytes": self.algorithm.stored_bytes(self.tasks),
            "minutes_playing": learned["minutes_playing"] + (time.monotonic() - began) / 60,
        }
        write_json(done, figures)
        for path in self._students.glob("*"):
            path.unlink()
        return figures

    def _learned(self) -> dict[str, Any]:
        """Train the task, take it in, and return its learning curve and what it took."""
        state, noted = self.folder / "state.safetensors", self.folder / "learned.json"
        if noted.exists():
            self.algorithm.restore(load_file(state))
            return json.loads(noted.read_text(encoding="utf-8"))
        began = time.monotonic()
        forget_peak()
        lesson = self.algorithm.lesson(self.number, self.tasks)
        trainable = self.algorithm.trainable(lesson)
        settings = replace(self.algorithm.settings, steps=self.algorithm.settings.steps * (len(self.tasks) if self.algorithm.joint else 1))
        points = self.plan.protocol.points(settings.steps)
        self._train(lesson, settings, "lesson", points)
        playing = time.monotonic()
        curve = [] if self.algorithm.joint else [score.rate for score in self.book.score(self._curve_trials(lesson, points))]
        playing = time.monotonic() - playing
        best = int(np.argmax(curve)) if curve and self.plan.protocol.keep == "best" else len(points) - 1
        self._load(lesson, points[best])
        self.algorithm.absorb(lesson, self.number, self.tasks, self._train)
        save_file({name: value.contiguous() for name, value in self.algorithm.tensors().items()}, state.with_suffix(".partial"))
        os.replace(state.with_suffix(".partial"), state)
        self.algorithm.restore(load_file(state))  # so that a resumed run goes on with the very same
        minutes = (time.monotonic() - began - playing) / 60
        learned = {"curve": curve, "steps": points, "kept_step": points[best], "trainable_parameters": trainable,
                   "minutes_training": minutes, "minutes_playing": playing / 60, "peak_bytes": peak_bytes()}  # fmt: skip
        write_json(noted, learned)
        for path in (*self.folder.glob("weights-*"), *self.folder.glob("*.checkpoint")):
            path.unlink()
        return learned

    def _train(self, lesson: Teachable, settings: LearnSettings, name: str, points: Sequence[int] = ()) -> None:
        """Train a lesson, and keep its weights at some steps."""
        assert isinstance(lesson, torch.nn.Module)

        def keep(step: int) -> None:
            path = self._weights(step)
            if step in points and not path.exists():
                save_file(copied(lesson.parameters_by_name()), path.with_suffix(".partial"))
                os.replace(path.with_suffix(".partial"), path)

        lesson.policy.train()
        optimise(
            lesson, lesson.parameters_by_name(), settings, Run(self.folder / name, name), self.folder / f"{name}.checkpoint",
            {"algorithm": self.plan.algorithm, "task": self.number}, CHECKPOINT_EVERY, self.algorithm.accelerator,
            before=keep, adjust=self.algorithm.adjust(lesson) if points else None,
        )  # fmt: skip
        lesson.cpu()
        lesson.policy.eval()

    def _weights(self, step: int) -> Path:
        return self.folder / f"weights-{step:06d}.safetensors"

    def _load(self, lesson: Teachable, step: int) -> None:
        kept = load_file(self._weights(step))
        with torch.no_grad():
            for name, value in lesson.parameters_by_name().items():
                value.copy_(kept[name])

    def _curve_trials(self, lesson: Teachable, points: Sequence[int]) -> list[Trial]:
        trials = []
        for step in points:
            self._load(lesson, step)
            student = self.algorithm.taught(lesson, self.number)
            trials.append(self._trial(student, self.number, self.plan.protocol.selection_states))
        return trials

    def _row(self) -> list[Score]:
        """Play every task learned so far."""
        trials = [self._trial(self.algorithm.student(place), place, self.plan.protocol.states) for place in range(len(self.tasks))]
        return self.book.score(trials)

    def controls(self) -> dict[str, list[Score]]:
        """Play every task again under each of the plan's conditions."""
        protocol, found = self.plan.protocol, {}
        for name in protocol.controls:
            condition = Condition.parse(name, protocol.reach)
            trials = [self._trial(self.algorithm.student(place), place, protocol.states, condition) for place in range(len(self.tasks))]
            found[name] = self.book.score(trials)
        for path in self._students.glob("*"):
            path.unlink()
        return found

    def _trial(self, student: Student, place: int, states: tuple[int, ...], condition: Condition | None = None) -> Trial:
        condition = condition or Condition("normal")
        numbers, protocol = self.plan.tasks, self.plan.protocol
        told = numbers[(place + 1) % len(numbers)] if condition.wrong else numbers[place]
        file = save_student(student, self._students)
        return Trial(file, self.library, self.plan.suite, numbers[place], told, condition, states, protocol.horizon, self.plan.learn.seed)


def mean_loss(student: Student, data: TaskData, algorithm: Algorithm, samples: int) -> float:
    """Return a student's mean negative log-likelihood of a task's demonstrations, on whole windows all over them."""
    sizes = student.base.sizes
    starts = np.unique(np.linspace(0, len(data.timeline) - 1, samples).astype(int))
    total = count = 0.0
    for part in np.array_split(starts, -(-len(starts) // LOSS_ROWS)):
        sequences = data.timeline.sequences(part, sizes.window, sizes.chunk)
        views = [np.zeros(len(part), int)]
        surprise, ticks = student.likelihood(
            gather([data], [sequences], views, student.base, looks=algorithm.looks, device=torch.device("cpu"))
        )
        total, count = total + surprise, count + ticks
    return total / count


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON file in one step."""
    aside = path.with_suffix(".partial")
    aside.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    with aside.open("rb") as file:
        os.fsync(file.fileno())
    aside.replace(path)
