"""Still pictures of one task with what the hand should do next, written by `dmpel stills` into an HDF5 file.

Each shows one of many arrangements of the objects, and a hand that may be anywhere. There are no actions: a still picture
teaches where to go, not how.
"""

import itertools
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from dmpel_core.data.demonstration_parts import written_whole
from dmpel_core.data.hdf5 import IMAGES, UPRIGHT, DemonstrationError, TaskRecord
from dmpel_core.data.hdf5_access import child_array, child_data, child_images, opened

__all__ = ["Stills", "read_stills", "write_stills"]

_ARRAYS = ("agentview", "eye_in_hand", "joints", "gripper", "waypoints", "layouts")


@dataclass(frozen=True)
class Stills:
    """n still pictures of one task; index i of every array belongs to the same picture.

    Attributes:
        agentview: Pictures of the fixed camera, uint8 (n, height, width, 3) RGB, row 0 at the top.
        eye_in_hand: Pictures of the wrist camera, likewise.
        joints: Arm joint positions, (n, 7) [rad].
        gripper: Finger joint positions, (n, 2) [m].
        waypoints: From the grip point to where the fingers will next close or open, (n, 3) [m].
        layouts: Number of the arrangement of objects, (n,).
        attributes: Further attributes, e.g. `seed` and `reach`.
    """

    agentview: np.ndarray
    eye_in_hand: np.ndarray
    joints: np.ndarray
    gripper: np.ndarray
    waypoints: np.ndarray
    layouts: np.ndarray
    attributes: dict = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.joints)

    def by_layout(self) -> "list[Stills]":
        """Return the pictures of each arrangement."""
        edges = [0, *(np.flatnonzero(np.diff(self.layouts)) + 1), len(self)]
        parts = [slice(first, end) for first, end in itertools.pairwise(edges)]
        return [replace(self, **{name: getattr(self, name)[part] for name in _ARRAYS}) for part in parts]


def write_stills(path: Path, stills: Stills, task: TaskRecord) -> None:
    """Write a file of still pictures; what a reader sees is always whole."""
    with written_whole(path) as file:
        data = file.create_group("data")
        data.attrs.update({**stills.attributes, "language": task.language, "suite": task.suite, "env_name": task.problem})
        data.attrs["image_orientation"] = UPRIGHT
        for name, pictures in zip(IMAGES, (stills.agentview, stills.eye_in_hand), strict=True):
            data.create_dataset(name, data=pictures, chunks=(1, *pictures.shape[1:]), compression="gzip", compression_opts=1)
        data["joint_states"], data["gripper_states"] = stills.joints, stills.gripper
        data["waypoints"], data["layouts"] = stills.waypoints, stills.layouts


def read_stills(path: Path | str) -> tuple[str, Stills]:
    """Read a file of still pictures with its task's instruction.

    Raises:
        DemonstrationError: It holds none.
    """
    with opened(path) as data:
        if "waypoints" not in data or data.attrs.get("image_orientation") != UPRIGHT:
            raise DemonstrationError(f"{path} holds no still pictures; `dmpel stills` makes them")
        waypoints = child_array(data, "waypoints", 3)
        count = len(waypoints)
        stills = Stills(
            agentview=child_images(data, IMAGES[0], count),
            eye_in_hand=child_images(data, IMAGES[1], count),
            joints=child_array(data, "joint_states", 7, count),
            gripper=child_array(data, "gripper_states", 2, count),
            waypoints=waypoints,
            layouts=child_data(data, "layouts", count)[()],
            attributes=dict(data.attrs),
        )
        return str(data.attrs["language"]), stills
