"""Demonstrations drawn with a ruler: a hand that moves along straight lines, so that every phase's first tick is known."""

from dataclasses import dataclass, field

import numpy as np

from dmpel_core.data.hdf5 import Demonstration

DOWN = np.array([np.pi, 0.0, 0.0])
"""A hand that points down, as axis times angle [rad]."""
FORWARD = np.array([0.0, np.pi / 2, 0.0])
"""A hand that points along x."""
OPENED, GRIPPED, SHUT = 0.08, 0.02, 0.0
"""Distance of the fingers [m]."""


@dataclass
class Drawing:
    """Collects ticks; `phase` is what they are labelled with."""

    place: np.ndarray
    turn: np.ndarray = field(default_factory=lambda: DOWN)
    opening: float = OPENED
    closing: bool = False
    rows: list = field(default_factory=list)

    def to(self, phase: str, x: float, y: float, z: float, ticks: int = 10) -> "Drawing":
        """Move straight, in equal steps."""
        start = self.place
        for step in range(1, ticks + 1):
            self._tick(phase)
            self.place = start + (np.array([x, y, z]) - start) * step / ticks
        return self

    def fingers(self, phase: str, closing: bool, opening: float, ticks: int = 8) -> "Drawing":
        """Close or open the fingers."""
        self.closing = closing
        for _ in range(ticks):
            self._tick(phase)
            self.opening += (opening - self.opening) / 2
        self.opening = opening
        return self

    def twist(self, phase: str, angle: float, ticks: int = 12) -> "Drawing":
        """Turn the hand about its own axis."""
        for _ in range(ticks):
            self._tick(phase)
            half = np.arctan2(self.turn[1], self.turn[0]) + angle / ticks / 2
            self.turn = np.pi * np.array([np.cos(half), np.sin(half), 0.0])
        return self

    def _tick(self, phase: str) -> None:
        self.rows.append((phase, self.place, self.turn, self.opening, self.closing))

    def phases(self) -> list[str]:
        """Return the phase of every tick."""
        return [row[0] for row in self.rows]

    def demonstration(self) -> Demonstration:
        """Return what was drawn."""
        length = len(self.rows)
        actions = np.zeros((length, 7))
        actions[:, 6] = [1.0 if row[4] else -1.0 for row in self.rows]
        gripper = np.array([[row[3] / 2, -row[3] / 2] for row in self.rows])
        position, turn = (np.stack([row[column] for row in self.rows]) for column in (1, 2))
        pictures = np.zeros((length, 8, 8, 3), np.uint8)
        return Demonstration(actions, pictures, pictures, np.zeros((length, 7)), gripper, position, turn, actions)


def carried() -> Drawing:
    """Return a thing that is picked up, carried and put down."""
    drawing = Drawing(np.array([0.0, 0.0, 0.3]))
    drawing.to("reach", 0.2, 0.0, 0.12).to("grasp", 0.2, 0.0, 0.02).fingers("grasp", closing=True, opening=GRIPPED)
    drawing.to("lift", 0.2, 0.0, 0.12).to("transport", 0.2, 0.3, 0.2).to("place", 0.2, 0.3, 0.05)
    return drawing.fingers("release", closing=False, opening=OPENED).to("retreat", 0.2, 0.3, 0.15, 6)


def pulled() -> Drawing:
    """Return a drawer that is opened by a hand that points at it."""
    drawing = Drawing(np.array([0.0, 0.2, 0.4]), turn=FORWARD)
    drawing.to("reach", 0.3, 0.0, 0.2).to("grasp", 0.4, 0.0, 0.2).fingers("grasp", closing=True, opening=GRIPPED)
    return drawing.to("open", 0.25, 0.0, 0.2, 15).fingers("release", closing=False, opening=OPENED)


def twisted() -> Drawing:
    """Return a knob that is turned."""
    drawing = Drawing(np.array([0.0, 0.0, 0.3]))
    drawing.to("reach", 0.2, 0.1, 0.12).to("align", 0.2, 0.1, 0.03).fingers("align", closing=True, opening=GRIPPED)
    return drawing.twist("turn", 1.2)


def slid() -> Drawing:
    """Return a thing that is gripped and pushed along the table."""
    drawing = Drawing(np.array([0.0, 0.0, 0.3]))
    drawing.to("reach", 0.2, 0.0, 0.12).to("grasp", 0.2, 0.0, 0.02).fingers("grasp", closing=True, opening=GRIPPED)
    return drawing.to("push", 0.2, 0.25, 0.02, 25).fingers("release", closing=False, opening=OPENED)


def pressed() -> Drawing:
    """Return a drawer that is pushed in by a fist."""
    drawing = Drawing(np.array([0.0, 0.2, 0.4]), turn=FORWARD)
    drawing.fingers("reach", closing=True, opening=SHUT)
    return drawing.to("reach", 0.2, 0.0, 0.2, 20).to("close", 0.4, 0.0, 0.2, 20)
