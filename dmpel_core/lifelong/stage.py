"""One task of a run: train, select, take in, prune, measure, and have it played.

Every part that is done is a file, and a resumed run begins with the first that is not.
"""

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from dmpel_core.evaluation.rollout import Condition
from dmpel_core.json_file import write_json
from dmpel_core.lifelong.algorithms.base import Algorithm, Teachable, copied
from dmpel_core.lifelong.batch import gather
from dmpel_core.lifelong.peak import forget_peak, peak_bytes
from dmpel_core.lifelong.scoring import Score, ScoreBook, Trial
from dmpel_core.lifelong.settings import Plan
from dmpel_core.lifelong.student import Student, save_student
from dmpel_core.lifelong.tasks import TaskData
from dmpel_core.training.optimise import optimise
from dmpel_core.training.run import Run, machine
from dmpel_core.training.settings import LearnSettings

CHECKPOINT_EVERY = 100
LOSSES = "losses.json"  # the last file that learning writes
LOSS_ROWS = 32  # sequences in memory at once while losses are measured


class Stage:
    """What happens when one task is learned.

    `learn` trains, and leaves students to be played beside whatever comes next; `figures` waits for them. What selects weights is
    waited for at once.

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
        self.plan, self.library, self.algorithm, self.number, self.tasks, self.book = plan, library, algorithm, number, list(tasks), book
        self.folder = stage_folder(folder, number)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._students, self._state = self.folder / "students", self.folder / "state.safetensors"
        self._learned: dict[str, Any] = {}
        self._row: list[Trial] = []
        self._unpruned: list[Trial] = []

    def learn(self) -> None:
        """Learn the task, or what of it is left to do, measure the losses, and have every task so far played."""
        learned = self._once("learned.json", self._train_and_absorb)
        self.algorithm.restore(self.state())  # whether it was learned now or before: the very same goes on
        pruned = self._prune()
        losses = self._once(LOSSES, self._losses)
        self._learned = {**learned, **pruned, **losses, "experts": self.algorithm.slot_tasks()}
        if not self._is_done("played.json"):
            self.book.begin(self._curve(learned["curve_students"]))
            self._row = self._row_of(Condition("normal"))
            self.book.begin(self._row)

    def state(self) -> dict[str, torch.Tensor]:
        """Return what the algorithm kept when it had taken the task in, before it dropped anything."""
        return load_file(self._state)

    def figures(self) -> dict[str, Any]:
        """Return what the task's learning and playing told, once all has been played."""
        played = self._once("played.json", self._play)
        if "pruned" in self._learned:
            self._learned["pruned"] |= {"success_before": played["row_before"]}
        return {**self._learned, **played}

    def controls(self, row: Sequence[float]) -> dict[str, list[Score | None]]:
        """Play again under each of the plan's conditions the tasks that have any success in this row; the others have no score."""
        protocol, solved = self.plan.protocol, [place for place, rate in enumerate(row) if rate]
        states = protocol.control_states or protocol.states
        trials = {name: self._row_of(Condition.parse(name, protocol.reach), states) for name in protocol.controls}
        trials = {name: [played[place] for place in solved] for name, played in trials.items()}
        for played in trials.values():
            self.book.begin(played)
        scores = {name: dict(zip(solved, self.book.score(played), strict=True)) for name, played in trials.items()}
        self._alone(self._sweep)
        return {name: [found.get(place) for place in range(len(row))] for name, found in scores.items()}

    def _is_done(self, name: str) -> bool:
        """Return whether a file is there, the same in all processes: all have looked before one writes."""
        done = (self.folder / name).exists()
        self._meet()
        return done

    def _once(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return what a file says, having it made first where it is missing: by all processes, and written by one."""
        path = self.folder / name
        if not self._is_done(name):
            made = make()
            self._alone(lambda: write_json(path, made))
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found

    def _meet(self) -> None:
        """Wait until all processes are here."""
        self.algorithm.accelerator.wait_for_everyone()

    def _alone(self, work: Callable[[], object]) -> None:
        """Have one process do something that all then find done."""
        if self.algorithm.accelerator.is_main_process:
            work()
        self._meet()

    def _train_and_absorb(self) -> dict[str, Any]:
        """Train the task, select, take it in, and return what it took."""
        began, waited, algorithm = time.monotonic(), 0.0, self.algorithm
        forget_peak()
        lesson = algorithm.lesson(self.number, self.tasks)
        trainable = algorithm.trainable(lesson)
        settings = algorithm.settings_for(self.number, self.tasks)
        points, kept = self.plan.protocol.points(settings.steps), settings.steps
        self._train(lesson, settings, "lesson", points)
        students = [] if algorithm.joint else self._students_of(lesson, points)
        if students and self.plan.protocol.keep == "best":
            start = time.monotonic()
            kept = points[int(np.argmax([score.rate for score in self.book.score(self._curve(students))]))]
            waited = time.monotonic() - start
        self._load(lesson, kept)
        algorithm.absorb(lesson, self.number, self.tasks, self._train)
        self._alone(self._keep_state)
        return {
            "curve_students": students,
            "steps": points,
            "kept_step": kept,
            "trainable_parameters": trainable,
            "stored_bytes": algorithm.stored_bytes(self.tasks),
            "minutes_training": (time.monotonic() - began - waited) / 60,
            "peak_bytes": peak_bytes(),
            "trained_on": machine(),
        }

    def _prune(self) -> dict[str, Any]:
        """Have the algorithm drop what hardly any task uses, and every task played with it still there: that tells the cost."""
        algorithm, slots = self.algorithm, self.algorithm.under_used()
        if not slots:
            return {}
        if not self._is_done("played.json"):
            self._unpruned = self._row_of(Condition("normal"))
            self.book.begin(self._unpruned)
        made_for = algorithm.slot_tasks() or []
        told = {"after": self.number, "experts": [made_for[slot] for slot in slots]}
        told |= {"stored_bytes_before": algorithm.stored_bytes(self.tasks)}
        algorithm.drop(slots)
        return {"pruned": told, "stored_bytes": algorithm.stored_bytes(self.tasks)}

    def _losses(self) -> dict[str, Any]:
        """Measure the loss on every task learned so far."""
        samples, looks = self.plan.protocol.loss_samples, self.algorithm.looks
        return {"losses": [mean_loss(self.algorithm.student(place), data, samples, looks=looks) for place, data in enumerate(self.tasks)]}

    def _play(self) -> dict[str, Any]:
        """Return how everything was played that `learn` left to be played."""
        curve, row, unpruned = (self.book.score(part) for part in (self._curve(self._learned["curve_students"]), self._row, self._unpruned))
        self._alone(self._sweep)
        return {
            "curve": [score.rate for score in curve],
            "row": [score.rate for score in row],
            "row_before": [score.rate for score in unpruned],
            "routing": [score.routing for score in row],
            "minutes_playing": self.book.minutes(),
        }

    def _keep_state(self) -> None:
        """Write what the algorithm keeps, in one step."""
        aside = self._state.with_suffix(".partial")
        save_file({name: value.contiguous() for name, value in self.algorithm.tensors().items()}, aside)
        os.replace(aside, self._state)

    def _sweep(self) -> None:
        """Remove what only a kill would have needed."""
        for path in (*self.folder.glob("weights-*"), *self.folder.glob("*.checkpoint"), *self._students.glob("*")):
            path.unlink()

    def _train(self, lesson: Teachable, settings: LearnSettings, name: str, points: Sequence[int] = ()) -> None:
        """Train a lesson, and keep its weights at some steps."""
        assert isinstance(lesson, torch.nn.Module)
        accelerator = self.algorithm.accelerator
        lesson.process = accelerator.process_index

        def keep(step: int) -> None:
            path = self._weights(step)
            if accelerator.is_main_process and not path.exists():
                save_file(copied(lesson.parameters_by_name()), path.with_suffix(".partial"))
                os.replace(path.with_suffix(".partial"), path)

        lesson.policy.train()
        optimise(
            lesson, lesson.parameters_by_name(), settings, Run(self.folder / name, name, shown=accelerator.is_main_process),
            self.folder / f"{name}.checkpoint", {"algorithm": self.plan.algorithm, "task": self.number}, CHECKPOINT_EVERY, accelerator,
            keep=keep, points=points, adjust=self.algorithm.adjust(lesson) if points else None,
        )  # fmt: skip
        lesson.cpu()
        lesson.policy.eval()
        self._meet()  # the weights are written

    def _weights(self, step: int) -> Path:
        return self.folder / f"weights-{step:06d}.safetensors"

    def _load(self, lesson: Teachable, step: int) -> None:
        kept = load_file(self._weights(step))
        with torch.no_grad():
            for name, value in lesson.parameters_by_name().items():
                value.copy_(kept[name])

    def _students_of(self, lesson: Teachable, points: Sequence[int]) -> list[str]:
        """Write a student of the weights of each point, and return the files' names."""
        names = []
        for step in points:
            self._load(lesson, step)
            names.append(save_student(self.algorithm.taught(lesson, self.number), self._students).name)
        return names

    def _curve(self, students: Sequence[str]) -> list[Trial]:
        """Return a trial of each of these students on the task that it was taught."""
        states = self.plan.protocol.selection_states
        return [self._trial(self._students / name, self.number, states, Condition("normal")) for name in students]

    def _row_of(self, condition: Condition, states: tuple[int, ...] = ()) -> list[Trial]:
        """Return a trial of every task learned so far."""
        files = [save_student(self.algorithm.student(place), self._students) for place in range(len(self.tasks))]
        return [self._trial(file, place, states or self.plan.protocol.states, condition) for place, file in enumerate(files)]

    def _trial(self, student: Path, place: int, states: tuple[int, ...], condition: Condition) -> Trial:
        (suite, number), numbers, protocol = self.plan.sequence[place], self.plan.tasks, self.plan.protocol
        other = numbers[(numbers.index(number) + 1) % len(numbers)] if len(numbers) > 1 else (number + 1) % 10  # of the same suite
        told, ticks = other if condition.wrong else number, protocol.ticks(self.tasks[place].timeline.lengths)
        return Trial(student, self.library, suite, number, told, condition, states, ticks, self.plan.learn.seed)


def stage_folder(folder: Path, number: int) -> Path:
    """Return where a run's stage keeps its files."""
    return folder / f"task-{number:02d}"


def is_learned(folder: Path, number: int) -> bool:
    """Return whether a run's stage has been trained and measured, so that it needs nothing more than to be played."""
    return (stage_folder(folder, number) / LOSSES).exists()


def mean_loss(student: Student, data: TaskData, samples: int, *, looks: bool) -> float:
    """Return a student's mean negative log-likelihood of a task's demonstrations, on whole windows all over them.

    Args:
        student: In evaluation mode.
        data: The task.
        samples: How many windows.
        looks: Whether it is given pictures.
    """
    sizes = student.base.sizes
    starts = np.unique(np.linspace(0, len(data.timeline) - 1, samples).astype(int))
    total = count = 0.0
    for part in np.array_split(starts, -(-len(starts) // LOSS_ROWS)):
        sequences = data.timeline.sequences(part, sizes.window, sizes.chunk)
        views = [np.zeros(len(part), int)]
        surprise, ticks = student.likelihood(gather([data], [sequences], views, student.base, looks=looks, device=torch.device("cpu")))
        total, count = total + surprise, count + ticks
    return total / count
