"""How steadily a student chooses: what it begins with, how often it changes its choice, and what that does to its actions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

POSE = 6
"""How many numbers of an action move the arm; the gripper's is the last."""

FIGURES = ("accuracy_at_start", "switches_per_episode", "jerk_at_switches", "jerk_elsewhere")
"""What `routing_figures` tells."""

Episode = tuple[np.ndarray, np.ndarray]
"""The coefficients (ticks, 6, slots) and the actions (ticks, 7) of one episode."""


def switching(episodes: Sequence[Episode]) -> dict[str, Any]:
    """Return how some episodes of one task were begun and how often the choice changed.

    A tick is a switch of a module group where another slot is its strongest than a tick before. The jerk of a tick is the mean over
    the pose deltas of |a(t) - 2 a(t-1) + a(t-2)|, what the guard's `jerk_limit` limits, as a share of full deflection.

    Returns:
        `first` (episodes, 6): the strongest slot of each group at the first tick; `switches` (6,): switches per episode;
        `jerk_at_switches` and `jerk_elsewhere`: mean jerk of the ticks that are a switch of any group, and of the others, None where
        there is none; `jerk_ticks`: how many ticks either is of.
    """
    strongest = [used.argmax(-1) for used, _ in episodes]
    changed = [chosen[1:] != chosen[:-1] for chosen in strongest]  # (ticks - 1, 6), the first for tick 1
    jerks = [np.abs(np.diff(actions[:, :POSE], 2, 0)).mean(1) for _, actions in episodes]  # (ticks - 2,), the first for tick 2
    jerk, switch = np.concatenate(jerks), np.concatenate([rows[1:].any(1) for rows in changed])
    return {
        "first": [chosen[0].tolist() for chosen in strongest],
        "switches": np.round(np.mean([rows.sum(0) for rows in changed], 0), 4).tolist(),
        "jerk_at_switches": _mean(jerk[switch]),
        "jerk_elsewhere": _mean(jerk[~switch]),
        "jerk_ticks": [int(switch.sum()), int((~switch).sum())],
    }


def own_first(routing: dict[str, Any] | None, own: int | None) -> dict[str, Any] | None:
    """Return what a task's record tells of routing: `first` as the share (6,) of the episodes that began with the task's own slot.

    Args:
        routing: Of one task's episodes; None where nothing is chosen.
        own: The slot that was made for the task, if slots are made for tasks and it is still there.
    """
    if routing is None:
        return None
    right = None if own is None else np.round((np.array(routing["first"]) == own).mean(0), 4).tolist()
    return {**routing, "first": right}


def routing_figures(tasks: Sequence[Mapping[str, Any] | None]) -> dict[str, float | None] | None:
    """Return the figures of all tasks together; None where nothing is chosen.

    Accuracy and switches are means over tasks and module groups, a task without an own slot having no accuracy; jerks are means over
    ticks.
    """
    known = [task for task in tasks if task is not None]
    if not known:
        return None
    right = [task["first"] for task in known if task["first"] is not None]
    means = _mean(np.array(right)), _mean(np.array([task["switches"] for task in known]))
    jerks = _pooled(known, "jerk_at_switches", 0), _pooled(known, "jerk_elsewhere", 1)
    return dict(zip(FIGURES, (*means, *jerks), strict=True))


def _pooled(tasks: Sequence[Mapping[str, Any]], name: str, place: int) -> float | None:
    found = [(task[name], task["jerk_ticks"][place]) for task in tasks if task[name] is not None]
    return round(sum(jerk * ticks for jerk, ticks in found) / sum(ticks for _, ticks in found), 4) if found else None


def _mean(values: np.ndarray) -> float | None:
    return round(float(values.mean()), 4) if values.size else None
