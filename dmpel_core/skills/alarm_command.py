"""Calibrate a library's alarm on familiar episodes, and measure it on others.

Of each known task's held-out demonstrations every other one sets the limit, the rest measure. With --evaluation the library's own
successes, as `dmpel evaluate` wrote them, set it too, which is nearer to what a robot will see; how often successes raise the alarm is
told by limits that the other half of them would have set. --foreign are demonstrations that the library does not know: with their own
instruction (an unknown task) and with a known one (an unknown scene). The limits go into the library beside its generation; nothing
else of it changes.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dmpel_core.data.hdf5 import list_demonstrations, read_demonstration, read_task
from dmpel_core.errors import DmpelError
from dmpel_core.experts.keeping import keep_beside
from dmpel_core.experts.library import Library, read_library
from dmpel_core.skills.alarm import FREQUENCY, TICKS, Alarm, library_alarm, limit_name
from dmpel_core.skills.calibration import Familiar, alarms_in, auroc, detect, limit_for, worst
from dmpel_core.skills.own_episodes import OwnEpisodes, read_own
from dmpel_core.skills.queries import Asker
from dmpel_core.skills.results import keep


@dataclass(frozen=True, eq=False)
class Run:
    """One demonstration as the alarm sees it: its instruction, the embedding of that, and its queries without it."""

    instruction: str
    text: np.ndarray
    features: np.ndarray

    def scores(self, alarm: Alarm, text: np.ndarray | None = None) -> np.ndarray:
        """Return the strangeness of every tick, under another instruction's embedding if given."""
        said = self.text if text is None else text
        return np.array([alarm.read(np.concatenate([said, row])).strangeness for row in self.features])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("library", type=Path, help="folder of the library; the generation in use is calibrated")
    parser.add_argument("--data", type=Path, nargs="*", default=[], help="held-out demonstrations of its tasks")
    parser.add_argument("--evaluation", type=Path, nargs="*", default=[], help="what `dmpel evaluate` wrote since limits were last set")
    parser.add_argument("--foreign", type=Path, nargs="*", default=[], help="demonstrations that it does not know, to measure with")
    parser.add_argument("--demonstrations", type=int, default=20, help="of each file of --data (default 20)")
    parser.add_argument("--foreign-demonstrations", type=int, default=1, help="of each file of --foreign (default 1)")
    parser.add_argument("--first", type=int, default=0, help="demonstrations of each file to leave out at its start (default 0)")
    parser.add_argument("--per-hour", type=float, default=1.0, help="false alarms that are put up with [1/h] (default 1)")
    parser.add_argument("--ticks", type=int, default=TICKS, help=f"strange ticks in a row that raise it (default {TICKS})")
    parser.add_argument("--results", type=Path, help="keep the figures in this JSON file")


def run(arguments: argparse.Namespace) -> int:
    """Calibrate, measure, and print the figures."""
    if arguments.evaluation and arguments.ticks != TICKS:
        raise DmpelError(f"evaluations tell what {TICKS} ticks in a row exceed, not {arguments.ticks}: leave --ticks out, or --evaluation")
    library = read_library(arguments.library)
    asker, before = Asker(library), library_alarm(library)
    if before is None:
        raise DmpelError(f"{library.path} has no replay memory to tell the familiar from: learn its tasks with coefficient replay")
    own = read_own(library, before, arguments.evaluation)
    known = read_runs(asker, arguments.data, arguments.first, arguments.demonstrations)
    shown = familiar_in(library, before, known[::2], arguments.ticks)
    calibrating = {name: [*episodes, *own.successes.get(name, ())] for name, episodes in shown.items()}
    library = keep_beside(library, "alarm", {**library.alarm(), **calibrate(library, calibrating, arguments.per_hour)})
    foreign = read_runs(asker, arguments.foreign, 0, arguments.foreign_demonstrations)
    alarm = library_alarm(library)
    assert alarm is not None
    strange, familiar = measure(alarm, known[1::2], foreign, arguments.ticks)
    figures = told(familiar)
    if arguments.evaluation:
        successes, failures = measure_own(alarm, own, shown, arguments.per_hour)
        figures = told(familiar + successes) | {f"own_{name}": value for name, value in told(successes).items()} | failures
    figures |= strange
    for name, value in figures.items():
        print(f"{name:24} {value}")
    if arguments.results:
        episodes = sum(map(len, calibrating.values()))
        how = {"ticks_in_a_row": arguments.ticks, "per_hour_asked": arguments.per_hour, "episodes_to_calibrate": episodes}
        keep(arguments.results, {**figures, "alarm_measured_with": how})
    return 0


def read_runs(asker: Asker, files: Sequence[Path], first: int, count: int) -> list[Run]:
    """Return what the alarm sees of some demonstrations of each file."""
    runs = []
    for path in files:
        instruction = read_task(path).language
        text = asker.text(instruction)
        names = tqdm(list(list_demonstrations(path))[first : first + count], desc=instruction[:40], unit="demo")
        runs += [Run(instruction, text, asker.features(read_demonstration(path, name, states=False))) for name in names]
    return runs


def familiar_in(library: Library, alarm: Alarm, runs: Sequence[Run], ticks: int) -> dict[str, list[Familiar]]:
    """Return how far the runs of each known task go, by the name of its expert."""
    found = {}
    for expert, task in ((expert, task) for expert in library.experts for task in alarm.tasks if task.name == expert.name):
        distances = [np.array([task.distance(row) for row in run.features]) for run in runs if run.instruction in expert.instructions]
        found[expert.name] = [Familiar(worst(one, ticks), len(one)) for one in distances]
    return found


def calibrate(library: Library, familiar: Mapping[str, Sequence[Familiar]], per_hour: float) -> dict[str, np.ndarray]:
    """Return a limit for each task of which there are familiar episodes, under the name that `library_alarm` looks for.

    Raises:
        DmpelError: There is none of any task.
    """
    limits = {
        limit_name(expert.factors.sha256): np.array([limit_for(familiar[expert.name], per_hour, FREQUENCY)], np.float32)
        for expert in library.experts
        if familiar.get(expert.name)
    }
    if not limits:
        known = ", ".join(repr(expert.instructions[0]) for expert in library.experts)
        raise DmpelError(f"none of the episodes is of a task of {library.path}: it knows {known}")
    return limits


@dataclass(frozen=True)
class FalseAlarms:
    """How often the alarm was raised where all was familiar, and in how many ticks."""

    alarms: int
    ticks: int

    def __add__(self, other: "FalseAlarms") -> "FalseAlarms":
        """Return those of both."""
        return FalseAlarms(self.alarms + other.alarms, self.ticks + other.ticks)


def told(found: FalseAlarms) -> dict[str, object]:
    """Return the figures of false alarms."""
    hours = found.ticks / FREQUENCY / 3600
    return {
        "false_alarms": found.alarms,
        "hours_measured": round(hours, 3),
        "false_alarms_per_hour": round(found.alarms / max(hours, 1e-9), 3),
    }


def measure(alarm: Alarm, known: Sequence[Run], foreign: Sequence[Run], ticks: int) -> tuple[dict[str, object], FalseAlarms]:
    """Return how well the alarm tells foreign episodes from known ones that set no limit, and its false alarms in these."""
    familiar = [run.scores(alarm) for run in known]
    figures: dict[str, object] = {}
    strange = {"task": [run.scores(alarm) for run in foreign],
               "scene": [run.scores(alarm, task.text) for run, task in zip(foreign, cycle(alarm.tasks))]}  # fmt: skip
    for name, episodes in strange.items():
        if episodes and familiar:
            figures[f"alarm_auroc_{name}"] = round(auroc(np.concatenate(familiar), np.concatenate(episodes)), 4)
            figures[f"alarm_detection_{name}"] = asdict(detect(episodes, ticks))
    return figures, FalseAlarms(alarms_in(familiar, ticks), sum(map(len, familiar)))


def measure_own(
    alarm: Alarm, own: OwnEpisodes, shown: Mapping[str, Sequence[Familiar]], per_hour: float
) -> tuple[FalseAlarms, dict[str, object]]:
    """Return how often the library's own successes raise the alarm, and in how many of its failures it is raised.

    Of a task's successes every other one is measured with the limit that the others would have set, and these with the limit of
    those, beside the demonstrations that were shown: no episode meets a limit that it had a part in. Failures meet the limits that
    were set.
    """
    alarms, ticks = 0, 0
    for name, episodes in own.successes.items():
        for setting, measured in ((episodes[::2], episodes[1::2]), (episodes[1::2], episodes[::2])):
            if setting:
                limit = limit_for([*setting, *shown.get(name, ())], per_hour, FREQUENCY)
                alarms += sum(episode.worst > limit for episode in measured)
                ticks += sum(episode.ticks for episode in measured)
    limits = {task.name: task.limit for task in alarm.tasks}
    raised = [episode.worst > limits[name] for name, episodes in own.failures.items() for episode in episodes]
    return FalseAlarms(alarms, ticks), {"alarm_in_failures": {"episodes": len(raised), "raised": sum(raised)}}
