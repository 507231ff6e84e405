"""Label every tick of demonstrations with a phase, without a person: any LIBERO-layout HDF5.

The labels go into the file beside what is there. What the scripted expert wrote and what a person corrected is never changed.
--compare writes nothing: it prints how the labels agree with those that the scripted expert wrote while it acted.
"""

import argparse
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dmpel_core.data.hdf5 import Demonstration, list_demonstrations, read_demonstration, read_task
from dmpel_core.skills.annotate import annotate
from dmpel_core.skills.confusion import accuracy, confusion, table
from dmpel_core.skills.labels import TRUE, correct, for_stored, read_labels, stored_skill, write_annotations
from dmpel_core.skills.motion import Motion, motion_of
from dmpel_core.skills.results import keep
from dmpel_core.skills.vocabulary import PHASES, SkillError, skill_of

CORRECTION = re.compile(r"(demo_\d+):(\d+):(\d+)=([a-z]+)")

Watch = Callable[[Demonstration], Motion]
"""Turns a demonstration into what the annotator sees of it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("files", type=Path, nargs="+", help="demonstration files")
    parser.add_argument("--replay", action="store_true", help="set the simulator to every stored state and look at its contacts too")
    parser.add_argument("--demonstrations", type=int, help="only the first N of each file")
    parser.add_argument("--compare", action="store_true", help="write nothing; print the confusion with the scripted expert's own phases")
    parser.add_argument("--results", type=Path, help="with --compare: keep the accuracy in this JSON file")
    parser.add_argument(
        "--correct", action="append", default=[], metavar="demo_3:40:52=grasp",
        help="do not annotate: note a person's label for ticks 40 to 51 of the one file given; may be repeated",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Annotate, compare or correct."""
    if arguments.correct:
        _correct(arguments.files, arguments.correct)
        return 0
    total = np.zeros((len(PHASES), len(PHASES)), int)
    for path in arguments.files:
        labels = annotate_file(path, arguments.demonstrations, replay=arguments.replay)
        if arguments.compare:
            counts = compare_file(path, labels)
            print(f"{accuracy(counts):.3f} of {counts.sum()} ticks  {path.name}")
            total += counts
        else:
            write_annotations(path, labels, skill_of(read_task(path).language))
            print(f"{path}: {len(labels)} demonstrations annotated")
    if arguments.compare:
        print("\n".join(table(total)))
        print(f"{accuracy(total):.3f} of {total.sum()} ticks in all")
        if arguments.results:
            how = {"files": [path.name for path in arguments.files], "ticks": int(total.sum()), "replay": arguments.replay}
            keep(arguments.results, {"annotator_accuracy": round(accuracy(total), 4), "annotator": how})
    return 0


def annotate_file(path: Path, limit: int | None = None, *, replay: bool = False) -> dict[str, np.ndarray]:
    """Return the annotator's labels of a file's demonstrations by name, one for each stored action.

    Args:
        path: The file.
        limit: Only the first demonstrations.
        replay: Whether the simulator is set to the stored states, to see contacts and the drawer or knob of the task.

    Raises:
        DmpelError: The file is damaged, or its task or states are none that the simulator knows.
    """
    skill = stored_skill(path) or skill_of(read_task(path).language)
    watch = _replayed(path) if replay else motion_of
    labels = {}
    for name in list(list_demonstrations(path))[:limit]:
        demonstration = read_demonstration(path, name, images=False, states=replay)
        labels[name] = for_stored(path, name, annotate(watch(demonstration), skill))
    return labels


def compare_file(path: Path, labels: dict[str, np.ndarray]) -> np.ndarray:
    """Return the confusion of some labels with the expert's own.

    Raises:
        SkillError: The file has none.
    """
    total = np.zeros((len(PHASES), len(PHASES)), int)
    for name, found in labels.items():
        true = read_labels(path, name, TRUE)
        if true is None:
            raise SkillError(f"{path}: {name} has no phases of the scripted expert to compare with; `dmpel collect` writes them")
        total += confusion(true, found)
    return total


def _replayed(path: Path) -> Watch:
    from dmpel_core.simulation.evidence import watcher  # needs the simulator, which annotating alone does not

    return watcher(read_task(path))


def _correct(files: list[Path], wanted: list[str]) -> None:
    if len(files) != 1:
        raise SkillError(f"--correct is for one file, got {len(files)}")
    for text in wanted:
        match = CORRECTION.fullmatch(text)
        if match is None:
            raise SkillError(f"--correct {text!r} is not DEMONSTRATION:FIRST:END=PHASE, such as demo_3:40:52=grasp")
        name, first, end, phase = match.groups()
        correct(files[0], name, slice(int(first), int(end)), phase)
