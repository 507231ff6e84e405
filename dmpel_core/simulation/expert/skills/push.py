"""Slide a flat object over the table: press closed fingers down on its middle and draw it along, around what stands in the way."""

from itertools import pairwise, product

import numpy as np

from dmpel_core.simulation.expert.grasps import FINGERTIP
from dmpel_core.simulation.expert.motion import CLOSE, Actions, Arm
from dmpel_core.simulation.expert.rotations import down
from dmpel_core.simulation.expert.scene import Scene

_ROUNDS, _TICKS = 3, 90
_THERE, _PASSED, _SLIPPED = 0.008, 0.03, 0.065
"""Distance of the object from its goal and from a point on the way at which it is there; of the hand, at which it has lost it [m]."""
_AHEAD = 0.05
"""How far ahead of the hand its goal is kept while it draws, so that it always pulls with all its might [m]."""
_PRESS = (0.020, 0.015, 0.026)
"""How far below the object's top the hand is told to go [m], one for each attempt: enough for the pads to hold it by friction, not so
much that the table holds it too."""
_GRAZE = 0.02
"""By how much an object may push aside what stands beside its way [m]: fingers lose it on a wide way around, as they do where it runs
into something."""
_ALONG, _ASIDE = (0.5, 0.65, 0.8), np.arange(0.02, 0.141, 0.02)
"""Where a way may bend: shares of the straight one, and distances from it [m]."""
_LOW = 0.005
"""What is lower than this above the table is in nobody's way [m]."""


def push(arm: Arm, scene: Scene, name: str, target: np.ndarray, *, slack: float = 0.0, attempt: int = 0) -> Actions:
    """Slide an object over the table.

    Args:
        arm: The hand.
        scene: The scene.
        name: Which object.
        target: Where its origin shall be, (2,) [m].
        slack: How far from there it may be, along each axis [m].
        attempt: Which of several ways to try: pressing more or less hard.
    """
    press = _PRESS[attempt % len(_PRESS)]
    for _ in range(_ROUNDS):
        points = way_around(scene, name, target, slack)
        if np.linalg.norm(points[-1] - scene.position(name)[:2]) < _THERE:
            return
        yield from _draw(arm, scene, name, points, press)


def way_around(scene: Scene, name: str, target: np.ndarray, slack: float) -> list[np.ndarray]:
    """Return the points over which an object comes to a target by the shortest way on which it meets nothing, the last within `slack`.

    Where there is none it goes straight, and pushes aside what it meets.
    """
    start = scene.position(name)[:2]
    radius = float(np.linalg.norm(scene.cloud(name)[:, :2] - start, axis=1).max())
    others = scene.cloud_without(name)
    others = others[others[:, 2] > scene.table_height + _LOW, :2]
    ends = [target + np.array(offset) for offset in product((0.0, slack, -slack), repeat=2)]
    ways = [[*bend, end] for end in ends for bend in ([], *([point] for point in _beside(start, end)))]
    free = [way for way in ways if _clearance(start, way, others) > radius - _GRAZE]
    return min(free, key=lambda way: _length(start, way)) if free else [target]


def _beside(start: np.ndarray, end: np.ndarray) -> list[np.ndarray]:
    across = np.array([start[1] - end[1], end[0] - start[0]]) / max(float(np.linalg.norm(end - start)), 1e-9)
    return [start + share * (end - start) + side * aside * across for share in _ALONG for aside in _ASIDE for side in (1, -1)]


def _clearance(start: np.ndarray, way: list[np.ndarray], others: np.ndarray) -> float:
    """Return how near a way comes to any of some points (n, 2) [m]; those that lie behind its beginning do not count."""
    nearest = np.inf
    for begin, end in pairwise([start, *way]):
        leg = end - begin
        along = (others - begin) @ leg / max(float(leg @ leg), 1e-12)
        distance = np.linalg.norm(others - begin - np.clip(along, 0, 1)[:, None] * leg, axis=1)
        counted = along > 0 if begin is start else np.full(len(others), True)
        nearest = min(nearest, float(distance[counted].min(initial=np.inf)))
    return nearest


def _length(start: np.ndarray, way: list[np.ndarray]) -> float:
    return float(sum(np.linalg.norm(end - begin) for begin, end in pairwise([start, *way])))


def _draw(arm: Arm, scene: Scene, name: str, points: list[np.ndarray], press: float) -> Actions:
    """Put the fingers on an object, draw it over some points, and lift them."""
    centre = scene.position(name)[:2]
    top = scene.height_along(centre, centre, 0.02) + FINGERTIP
    arm.phase, arm.gripper = "reach", CLOSE
    yield from arm.raise_to(top + 0.12)
    yield from arm.move(np.append(centre, top + 0.06), down(), within=0.012, within_angle=0.1, ticks=90)
    yield from arm.move(np.append(centre, top), ticks=30, speed=0.4)
    arm.phase = "push"
    for number, point in enumerate(points):
        yield from _draw_to(arm, scene, name, point, top - press, _THERE if number == len(points) - 1 else _PASSED)
    arm.phase = "retreat"
    yield from arm.move(arm.position + [0, 0, 0.1], within=0.02, within_angle=9.0, ticks=40)


def _draw_to(arm: Arm, scene: Scene, name: str, point: np.ndarray, height: float, near: float) -> Actions:
    for _ in range(_TICKS):
        ahead = point - scene.position(name)[:2]
        distance = float(np.linalg.norm(ahead))
        if distance < near or np.linalg.norm(arm.position[:2] - scene.position(name)[:2]) > _SLIPPED:
            return
        yield from arm.move(np.append(arm.position[:2] + _AHEAD * ahead / distance, height), ticks=1)
