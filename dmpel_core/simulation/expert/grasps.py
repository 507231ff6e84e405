"""A geometric planner for top-down grasps with a parallel gripper.

Candidates are scored first (cheap) and checked for collisions in the order of their score until enough are found, so
that most of the space is never checked. Everything is deterministic.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from dmpel_core.simulation.expert.rotations import down, half_turn
from dmpel_core.simulation.expert.sampling import thinned
from dmpel_core.simulation.expert.scene import Scene

FINGERTIP = 0.010
"""The fingertips reach this far beyond the grip point [m]."""

_FINGER_INNER, _FINGER_OUTER, _FINGER_HALF_WIDTH, _FINGER_LENGTH = 0.038, 0.064, 0.011, 0.05
_PALM_HALF_SPAN, _PALM_HALF_WIDTH, _PALM_HEIGHT = 0.106, 0.034, 0.031
"""The open hand as boxes about the grip point: two fingers and, above them, the palm [m]."""

_YAWS = np.deg2rad(np.arange(-90, 91, 15))
_DEPTHS = (-0.002, 0.002, 0.010, 0.018, 0.026, 0.036)
"""Grip point below the top of what lies between the fingers [m]."""
_CENTRE_SPACING = 0.009
_NEIGHBOURHOOD = 0.24
_CLEARANCE_THERE = 0.010
_SHALLOW = 0.020
"""A grip less deep than this [m] may slip off, above all from the sloping top of a carton."""
_WIDEST, _OFF_CENTRE = 0.070, 0.012
_SAME_DISTANCE, _SAME_YAW = 0.012, 0.3
_TURN, _SIDE = 1.2, 15.0
"""Cost of turning the hand [1/rad], and of a grip away from the left of the object's middle, seen from the robot [1/m].

A round bowl can be taken by its rim anywhere. Who learns from demonstrations cannot foretell a choice that hangs on a
millimetre, and learns pictures by heart instead; so all else must be far from equal before it is taken elsewhere.
"""

Preference = Callable[[np.ndarray, float], float]
"""Extra cost of a grasp from its centre (2,) [m] and yaw [rad]."""


@dataclass(frozen=True)
class Grasp:
    """Where and how to close the fingers.

    Attributes:
        score: Cost; lower is better.
        centre: Grip point seen from above, (2,) [m].
        yaw: Turn of the hand about the vertical [rad].
        height: Height of the grip point [m].
    """

    score: float
    centre: np.ndarray
    yaw: float
    height: float

    @property
    def position(self) -> np.ndarray:
        """The grip point, (3,) [m]."""
        return np.append(self.centre, self.height)

    @property
    def rotation(self) -> np.ndarray:
        """The hand's orientation, (3, 3)."""
        return down(self.yaw)

    def resembles(self, other: "Grasp") -> bool:
        """Say whether trying this grasp after the other would be trying the same again."""
        near = np.linalg.norm(self.centre - other.centre) <= _SAME_DISTANCE and abs(self.height - other.height) <= _SAME_DISTANCE
        return bool(near and abs(half_turn(self.yaw - other.yaw)) <= _SAME_YAW)


@dataclass(frozen=True)
class Carry:
    """Where a grasped object is going, so that the hand has room there too.

    Attributes:
        way: How far the object will be moved, (3,) [m].
        support: Object that it will stand on, which does not count as an obstacle.
    """

    way: np.ndarray
    support: str | None = None


def plan_grasps(scene: Scene, name: str, wanted: int, prefer: Preference | None = None, carry: Carry | None = None) -> list[Grasp]:
    """Return up to `wanted` (at least 4 where possible) different grasps of an object, the best first.

    Args:
        scene: The scene as it is now.
        name: Which object to grasp.
        wanted: How many are of use.
        prefer: Extra cost, for tasks that care how the object is held.
        carry: Where the object is going.
    """
    wanted = max(wanted, 4)
    found = _Search(scene, name, prefer, carry, relaxed=False).best(wanted, [])
    if len(found) < 4:  # crowded: allow the fingers to brush a neighbour and to hold by less
        found = _Search(scene, name, prefer, None, relaxed=True).best(wanted, found)
    return found


class _Search:
    """One search over the grasps of one object."""

    def __init__(self, scene: Scene, name: str, prefer: Preference | None, carry: Carry | None, relaxed: bool) -> None:
        self.table = scene.table_height
        self.prefer = prefer
        self.object = thinned(scene.cloud(name), 0.004)
        self.middle = (self.object.min(axis=0) + self.object.max(axis=0))[:2] / 2
        self.others = _around(scene.cloud_without(name), self.middle)
        self.there = None
        if carry is not None:  # the surroundings of the destination, moved back to where the object is now
            beyond = scene.cloud_without(name, carry.support or name)
            self.there = _around(beyond - carry.way, self.middle)
        self.least_cover = 0.25 if relaxed else 0.4
        self.clearance = -0.002 if relaxed else 0.004

    def best(self, wanted: int, found: list[Grasp]) -> list[Grasp]:
        """Return `found` and the best collision-free grasps that resemble none of it."""
        found = list(found)
        for grasp in sorted(self._candidates(), key=lambda grasp: grasp.score):
            if len(found) >= wanted:
                break
            if not any(grasp.resembles(other) for other in found) and self._is_free(grasp):
                found.append(grasp)
        return found

    def _candidates(self) -> Iterator[Grasp]:
        centres = self._centres()
        for yaw in _YAWS:
            finger_axis, side_axis = _axes(yaw)
            along, across = self.object[:, :2] @ finger_axis, self.object[:, :2] @ side_axis
            for centre in centres:
                offset_along, offset_across = along - centre @ finger_axis, across - centre @ side_axis
                between = (np.abs(offset_across) < 0.010) & (np.abs(offset_along) < 0.036)
                if np.count_nonzero(between) >= 2:
                    yield from self._at_depths(centre, yaw, self.object[between, 2], offset_along[between], offset_across[between])

    def _centres(self) -> np.ndarray:
        low, high = self.object[:, :2].min(axis=0), self.object[:, :2].max(axis=0)
        axes = [np.arange(start, end + 1e-6, _CENTRE_SPACING) for start, end in zip(low, high, strict=True)]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        return np.concatenate([[self.middle, self.object[:, :2].mean(axis=0)], grid.reshape(-1, 2)])

    def _at_depths(self, centre: np.ndarray, yaw: float, heights: np.ndarray, along: np.ndarray, across: np.ndarray) -> Iterator[Grasp]:
        """Yield the grasps at one place; `heights`, `along`, `across` (n,) are the points between the fingers [m]."""
        top = heights.max()
        lowest = self.table + 0.001 + FINGERTIP
        for depth in _DEPTHS:
            height = max(top - depth, lowest)
            if height > top + 0.003:
                continue
            held = (heights > height - 0.004) & (heights < height + 0.011)
            if np.count_nonzero(held) >= 2:
                score = self._score(centre, yaw, top - height + FINGERTIP, along[held], across[held])
                if score is not None:
                    extra = self.prefer(centre, yaw) if self.prefer else 0.0
                    yield Grasp(score + extra, centre, float(yaw), float(height))

    def _score(self, centre: np.ndarray, yaw: float, depth: float, along: np.ndarray, across: np.ndarray) -> float | None:
        """Return the cost of a grasp: those off the middle, turned, wide, shallow or barely covered cost more; None if impossible."""
        near, far = along.min(), along.max()
        width, middle = far - near, (far + near) / 2
        if width > _WIDEST or abs(middle) > _OFF_CENTRE:
            return None
        cover = min(np.ptp(across[along > far - 0.004]), np.ptp(across[along < near + 0.004])) / 0.016
        if cover < self.least_cover:
            return None
        distance = np.linalg.norm(centre - self.middle)
        place = distance / 0.05 - _SIDE * (centre - self.middle)[1] + _TURN * abs(yaw)
        hold = width / 0.04 + abs(middle) / 0.01 - 25 * min(depth, 0.03) + 2 * (1 - min(cover, 1))
        return float(place + hold + max(0.0, _SHALLOW - depth) / 0.01)

    def _is_free(self, grasp: Grasp) -> bool:
        if _hits(grasp, self.object, 0.0005) or _hits(grasp, self.others, self.clearance):
            return False
        return self.there is None or not _hits(grasp, self.there, _CLEARANCE_THERE)


def _around(cloud: np.ndarray, middle: np.ndarray) -> np.ndarray:
    return thinned(cloud[np.linalg.norm(cloud[:, :2] - middle, axis=1) < _NEIGHBOURHOOD], 0.006)


def _axes(yaw: float) -> tuple[np.ndarray, np.ndarray]:
    rotation = down(yaw)
    return rotation[:2, 0], rotation[:2, 1]


def _hits(grasp: Grasp, cloud: np.ndarray, margin: float) -> bool:
    """Say whether the open hand at that grasp, grown by a margin [m], contains a point of (n, 3)."""
    finger_axis, side_axis = _axes(grasp.yaw)
    offset = cloud[:, :2] - grasp.centre
    along, across, above = np.abs(offset @ finger_axis), np.abs(offset @ side_axis), cloud[:, 2] - grasp.height
    fingers = (along > _FINGER_INNER - margin) & (along < _FINGER_OUTER + margin) & (across < _FINGER_HALF_WIDTH + margin)
    fingers &= (above > -FINGERTIP - margin) & (above < _FINGER_LENGTH)
    palm = (along < _PALM_HALF_SPAN + margin) & (across < _PALM_HALF_WIDTH + margin) & (above > _PALM_HEIGHT - margin)
    return bool((fingers | palm).any())
