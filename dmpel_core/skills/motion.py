"""What the annotator sees of a demonstration: the hand's way, its fingers, and what a simulator can add. Pure numpy."""

from dataclasses import dataclass

import numpy as np

from dmpel_core.data.hdf5 import Demonstration

THINNEST = 0.0015
"""Fingers this far apart hold something [m]; closed on nothing they come nearer."""


@dataclass(frozen=True)
class Motion:
    """One demonstration of length L, seen from outside.

    Attributes:
        position: Grip point, (L, 3) [m].
        rotation: Orientation of the hand, (L, 3, 3); the last column points out of the hand.
        closing: Whether the fingers are told to close, (L,).
        holding: Whether they hold something, (L,).
        yielding: Position of the drawer or knob that the task is about, (L,) [m or rad]; None where nobody has looked.
    """

    position: np.ndarray
    rotation: np.ndarray
    closing: np.ndarray
    holding: np.ndarray
    yielding: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.position)

    @property
    def pointing(self) -> np.ndarray:
        """Where the hand points, unit (L, 3)."""
        return self.rotation[:, :, 2]


def motion_of(demonstration: Demonstration) -> Motion:
    """Return what a demonstration's own numbers tell, without a simulator."""
    opening = np.abs(demonstration.gripper[:, 0] - demonstration.gripper[:, 1])
    closing = demonstration.actions[:, 6] > 0
    return Motion(demonstration.ee_pos, rotations(demonstration.ee_ori), closing, closing & (opening > THINNEST))


def rotations(vectors: np.ndarray) -> np.ndarray:
    """Return the matrices (n, 3, 3) of rotations given as axis times angle, (n, 3) [rad]."""
    angle = np.linalg.norm(vectors, axis=1)[:, None, None]
    x, y, z = (vectors / np.maximum(angle[:, :, 0], 1e-12)).T
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).reshape(-1, 3, 3)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def angle_between(first: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the angles [rad] from one orientation (3, 3) to others, (n,)."""
    trace = np.einsum("ij,nij->n", first, others)
    return np.arccos(np.clip((trace - 1) / 2, -1, 1))


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Return first and one past the last index of every stretch of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def since(flags: np.ndarray) -> int:
    """Return from which index on all values are true; the length where the last one is not."""
    wrong = np.flatnonzero(~flags)
    return int(wrong[-1]) + 1 if len(wrong) else 0
