"""A library's own episodes, as `dmpel evaluate` wrote them, seen by its alarm: successes are familiar, failures need not be."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dmpel_core.errors import DmpelError
from dmpel_core.experts.library import Library
from dmpel_core.skills.alarm import Alarm
from dmpel_core.skills.calibration import Familiar

FAMILIAR = {"normal", "wide"}
"""Conditions of `dmpel evaluate` under which a task is still the one that was learned."""


@dataclass(frozen=True)
class OwnEpisodes:
    """Distances that the episodes went, by the name of the task's expert.

    Attributes:
        successes: Of those that reached their goal.
        failures: Of the others.
    """

    successes: dict[str, list[Familiar]] = field(default_factory=dict)
    failures: dict[str, list[Familiar]] = field(default_factory=dict)


def read_own(library: Library, alarm: Alarm, files: Sequence[Path]) -> OwnEpisodes:
    """Return what a library's evaluations tell of it.

    Args:
        library: The generation that was evaluated.
        alarm: Its alarm, by whose limits strangeness was told.
        files: What `dmpel evaluate --output` wrote.

    Raises:
        DmpelError: A file is something else, of another generation or of other limits.
    """
    own, limits = OwnEpisodes(), {task.name: task.limit for task in alarm.tasks}
    experts = {words: expert.name for expert in reversed(library.experts) for words in expert.instructions}
    for path in files:
        for row in _rows(library, path):
            name = experts.get(row["instruction"])
            if name in limits and row["told"] == row["task"] and set(row["condition"].split("_")) <= FAMILIAR:
                for outcome in row["outcomes"]:
                    kind = own.successes if outcome["success"] else own.failures
                    kind.setdefault(name, []).append(Familiar(outcome["strangeness"] * limits[name], outcome["ticks"]))
    if files and not own.successes:
        raise DmpelError(f"{', '.join(map(str, files))}: no success of a task of {library.path}, normal or wide, that could set its limit")
    return own


def _rows(library: Library, path: Path) -> list[Mapping[str, Any]]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        settings, rows = kept["settings"], kept["tasks"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DmpelError(f"{path} is not what this version of `dmpel evaluate` writes ({error!r})") from error
    wanted = {"files": library.manifest.what_acts(), "limits": library.manifest.alarm_limits()}
    if changed := {name: (settings.get(name), value) for name, value in wanted.items() if settings.get(name) != value}:
        raise DmpelError(f"{path} is of another generation or of other limits, {changed} (file, {library.path}): evaluate it again")
    if any(outcome.get("strangeness") is None for row in rows for outcome in row["outcomes"]):
        raise DmpelError(f"{path} does not say how strange its episodes were: evaluate with ONNX graphs, `dmpel export {library.path}`")
    return list(rows)
