"""Labels in a demonstration file: one number per tick in data sets beside `actions`, whose `names` attribute says what the numbers mean.

    phases             what the scripted expert was about, written when it acted; nothing else writes it
    annotated_phases   what `dmpel annotate` found; written anew each time
    corrected_phases   what a person said, 255 where nobody has said anything; only a person's word changes it

The task's skill stands in the attribute `skill` of the group `data`. Where several labels of a tick exist the person's counts,
then the expert's, then the annotator's.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from dmpel_core.data.hdf5_access import child_array, child_group, opened
from dmpel_core.skills.vocabulary import PHASES, SKILLS, SkillError, phase_index

TRUE, ANNOTATED, CORRECTED = "phases", "annotated_phases", "corrected_phases"
UNSAID = 255


def read_labels(path: Path, demonstration: str, source: str) -> np.ndarray | None:
    """Return one kind of labels as indices into `PHASES`, (actions,) uint8, `UNSAID` where there is none; None without the data set.

    The file's own numbering is translated by its names. A row belongs to the action of the same row.

    Raises:
        SkillError: The file names a phase that is not in the vocabulary, or a number without a name.
        DemonstrationError: The file is damaged.
    """
    with opened(path) as data:
        group = child_group(data, demonstration)
        if source not in group:
            return None
        stored = child_array(group, source, None, len(group["actions"]))
        names = [str(name) for name in group[source].attrs.get("names", ())]
    translated = np.full(256, UNSAID, np.uint8)
    translated[: len(names)] = [phase_index(name) for name in names]
    odd = np.setdiff1d(stored, [*range(len(names)), UNSAID])
    if len(odd):
        raise SkillError(f"{path}: {demonstration}/{source} has the label {odd[0]}, but names for {len(names)}; annotate the file again")
    return translated[stored]


def for_stored(path: Path, demonstration: str, labels: np.ndarray) -> np.ndarray:
    """Return labels of what the reader gives as labels of what is stored: where LIBERO's timing makes it drop the first action."""
    with opened(path) as data:
        lost = len(child_group(data, demonstration)["actions"]) - len(labels)
    return np.concatenate([labels[:1]] * lost + [labels])


def best_labels(path: Path, demonstration: str) -> np.ndarray | None:
    """Return the most trustworthy label of each tick; None where the file has no labels at all."""
    best: np.ndarray | None = None
    for source in (ANNOTATED, TRUE, CORRECTED):
        found = read_labels(path, demonstration, source)
        if found is not None:
            best = found if best is None else np.where(found == UNSAID, best, found)
    return best


def stored_skill(path: Path) -> str | None:
    """Return the task's skill as the file has it, None where it has none.

    Raises:
        SkillError: It is not in the vocabulary.
    """
    with opened(path) as data:
        skill = data.attrs.get("skill")
    if skill is not None and skill not in SKILLS:
        raise SkillError(f"{path}: there is no skill {skill!r}; the skills are {', '.join(SKILLS)}")
    return skill


def write_annotations(path: Path, labels: Mapping[str, np.ndarray], skill: str) -> None:
    """Write the annotator's labels of some demonstrations, and the skill where the file has none yet. All else stays as it is."""
    with _rewritten(path) as data:
        if "skill" not in data.attrs:
            data.attrs["skill"] = skill
        for name, values in labels.items():
            _put(data[name], ANNOTATED, values)


def correct(path: Path, demonstration: str, ticks: slice, phase: str) -> None:
    """Note a person's word on some ticks of a demonstration.

    Raises:
        SkillError: There is no such phase, demonstration or tick.
    """
    number = phase_index(phase)
    with opened(path) as data:
        if demonstration not in data:
            raise SkillError(f"{path} has no demonstration {demonstration!r}; it has {', '.join(data)}")
        length = len(data[demonstration]["actions"])
    if not 0 <= ticks.start < ticks.stop <= length:
        raise SkillError(f"{path}: {demonstration} has ticks 0 to {length - 1}, not {ticks.start} to {ticks.stop - 1}")
    known = read_labels(path, demonstration, CORRECTED)
    values = np.full(length, UNSAID, np.uint8) if known is None else known
    values[ticks] = number
    with _rewritten(path) as data:
        _put(data[demonstration], CORRECTED, values)


def _put(group: h5py.Group, name: str, values: np.ndarray) -> None:
    if len(values) != len(group["actions"]):
        raise SkillError(f"{group.file.filename}: {len(values)} labels for the {len(group['actions'])} actions of {group.name}")
    if name in group:
        del group[name]
    group[name] = np.asarray(values, np.uint8)
    group[name].attrs["names"] = list(PHASES)


@contextmanager
def _rewritten(path: Path) -> Iterator[h5py.Group]:
    """Yield the `data` group of a copy that takes the file's place only when it is whole and on the disk."""
    fresh = path.with_suffix(".unfinished")
    shutil.copyfile(path, fresh)
    try:
        with h5py.File(fresh, "r+") as file:
            yield file["data"]
        with open(fresh, "rb") as written:
            os.fsync(written.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
