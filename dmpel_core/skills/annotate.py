"""Phases of a demonstration without a person: from the fingers' edges and the hand's way.

A demonstration is cut where its fingers are told to close and to open. What lies between is named by how the hand moved while it
was closed: a thing that rose was carried, a hand that drew back along its own direction opened something, one that turned on the
spot turned something, one that went sideways pushed something. The straight last way before the fingers close is the grasp.
"""

import numpy as np

from dmpel_core.skills.motion import Motion, angle_between, runs, since
from dmpel_core.skills.vocabulary import PHASES, phase_index

BESIDE, ASTRAY = 0.02, 0.045
"""A hand this near to the line in which it points [m] is on its last straight way, until it has left it by so much."""
LEVEL_WAY, DOWNWARD_WAY = 0.11, 0.2
"""Longest last straight way [m], of a hand that points sideways and of one that points down."""
STILL, TURNED, RISEN = 0.006, 0.08, 0.003
"""A hand that moved [m] or turned [rad] or rose [m] by less since its fingers closed is still closing them."""
CARRIED, CLEAR = 0.04, 0.088
"""A thing that rose so far [m] is carried; so far up it is clear and on its way."""
ROUND, SPOT = 0.3, 0.05
"""A hand that turned so far [rad] within such a spot [m] turned a knob."""
OVER, BELOW = 0.03, 0.004
"""A hand so near beside where the fingers will open, and so far below the height it came at [m], is putting the thing down."""
AWAY, RETREATED = 0.008, 0.12
"""Having let go, a hand that moved so far [m] draws back, and so far is on its way to the next thing."""
SHORTEST = 3
"""Ticks; fingers that close for less have not gripped."""
FIST = frozenset({"close", "turn", "push", "open"})
"""Skills that a closed, empty hand may do, in the phase of the same name; with another skill it has missed its grasp."""


def annotate(motion: Motion, skill: str) -> np.ndarray:
    """Return the phase of every tick.

    Args:
        motion: What is known of the demonstration.
        skill: The task's skill, one of `SKILLS`: it names what a closed, empty hand does.

    Returns:
        Indices into `PHASES`, (L,) uint8.
    """
    labels = np.full(len(motion), phase_index("reach"), np.uint8)
    free = 0  # since when nothing is known
    for start, end in runs(motion.closing):
        if end - start < SHORTEST:
            continue
        if _is_fist(motion, start, end):
            parts = _fist(motion, start, end, skill) if skill in FIST else [("grasp", _approach(motion, free, start))]
        else:
            parts = [("grasp", _approach(motion, free, start)), *_grip(motion, start, end)]
            if parts[-1][0] == "turn":
                parts = [("align" if name == "grasp" else name, where) for name, where in parts]
        free = end
        for name, where in [*parts, *_let_go(motion, end)]:
            labels[where:] = PHASES.index(name)
    return labels


def _approach(motion: Motion, free: int, start: int) -> int:
    """Return where the last straight way to where the fingers closed begins: the hand stays on the line in which it points."""
    offset = motion.position[free : start + 1] - motion.position[start]
    pointing = motion.pointing[start]
    along = offset @ pointing
    aside = np.linalg.norm(offset - np.outer(along, pointing), axis=1)
    longest = LEVEL_WAY + (DOWNWARD_WAY - LEVEL_WAY) * max(0.0, -pointing[2])
    came = since((aside < ASTRAY) & (-along < longest))
    return free + came + int(np.argmax(aside[came:] < BESIDE))


def _is_fist(motion: Motion, start: int, end: int) -> bool:
    """Say whether the fingers closed on nothing: at the end, when they have had time to."""
    return not motion.holding[start + 2 * (end - start) // 3 : end].any()


def _fist(motion: Motion, start: int, end: int, skill: str) -> list[tuple[str, int]]:
    """Return what a closed, empty hand did, each phase with where it begins: it reached for something, and then moved it."""
    if motion.yielding is not None:
        begun = np.abs(motion.yielding - motion.yielding[start]) > STILL
        return [("reach", start), (skill, start + int(np.argmax(begun)) if begun.any() else end)]
    offset = motion.position[start:end] - motion.position[end - 1]
    way = offset[since(np.linalg.norm(offset, axis=1) < 2 * SPOT)]
    along = way / max(float(np.linalg.norm(way)), 1e-9)
    aside = np.linalg.norm(offset - np.outer(offset @ along, along), axis=1)
    return [("reach", start), (skill, start + since(aside < BESIDE))]


def _grip(motion: Motion, start: int, end: int) -> list[tuple[str, int]]:
    """Return what a hand that holds something did with it, each phase with where it begins."""
    position, rotation = motion.position[start:end], motion.rotation[start:end]
    gone = position - position[0]
    turned = angle_between(rotation[0], rotation)
    settled = min(len(gone) - 1, 8)
    begun = (np.linalg.norm(position - position[settled], axis=1) > STILL) & (np.arange(len(gone)) > settled)
    if gone[:, 2].max() > CARRIED:
        return _carry(gone, start)
    if turned.max() > ROUND and np.linalg.norm(gone, axis=1).max() < SPOT:
        return [("turn", start + int(np.argmax(turned > TURNED)))]
    if not begun.any():
        return []
    back = -gone[-1] @ motion.pointing[start] > np.linalg.norm(gone[-1]) / 2
    return [("open" if back else "push", start + int(np.argmax(begun)))]


def _carry(gone: np.ndarray, start: int) -> list[tuple[str, int]]:
    """Return the parts of a carry: up, over, down. `gone` (n, 3) is the way since the fingers closed."""
    height = gone[:, 2]
    clear = int(np.argmax(height > CLEAR)) if (height > CLEAR).any() else int(height.argmax())
    risen = since(height[:clear] > RISEN)
    over = min(since(np.linalg.norm(gone[:, :2] - gone[-1, :2], axis=1) < OVER), len(gone) - 1)
    down = over + since(height[over:] < height[over:].max() - BELOW)
    return [("lift", start + risen), ("transport", start + clear), ("place", start + max(down, clear))]


def _let_go(motion: Motion, end: int) -> list[tuple[str, int]]:
    """Return what comes after the fingers were told to open."""
    if end >= len(motion):
        return []
    away = np.linalg.norm(motion.position[end:] - motion.position[end], axis=1)
    parts = [("release", end)]
    for name, distance in (("retreat", AWAY), ("reach", RETREATED)):
        if (away > distance).any():
            parts.append((name, end + int(np.argmax(away > distance))))
    return parts
