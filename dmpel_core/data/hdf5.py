"""Demonstrations in LIBERO's HDF5 layout: written by `dmpel collect`, read from there or from LIBERO's own files.

One file holds one task, `data/demo_0`, `data/demo_1`, ... . LIBERO's own files differ from ours in two ways that their
attributes do not mention: pictures are stored bottom row first, and `obs[t]` was recorded after `actions[t]`. Our files
say `image_orientation = "upright"` and `observation_timing = "before_action"`; a file without these attributes is taken
for one of LIBERO's. The reader always returns pictures upright and, at index t, the action to take at observation t.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from dmpel_core.data.hdf5_access import (
    DemonstrationError,
    child_array,
    child_data,
    child_group,
    child_images,
    choice,
    json_attribute,
    opened,
)

__all__ = [
    "Demonstration",
    "DemonstrationError",
    "TaskRecord",
    "list_demonstrations",
    "read_demonstration",
    "read_demonstrations",
    "read_task",
    "write_demonstration",
    "write_task_attributes",
]

UPRIGHT, BOTTOM_UP = "upright", "bottom-up"
BEFORE_ACTION, AFTER_ACTION = "before_action", "after_action"

IMAGES = ("agentview_rgb", "eye_in_hand_rgb")
_WIDTHS = {"joint_states": 7, "gripper_states": 2, "ee_pos": 3, "ee_ori": 3}
_IMAGE_CHUNK = 4
_TEXTS = ("language", "suite", "env_name", "bddl_file_name", "bddl_file_content", "problem_info")


@dataclass(frozen=True)
class TaskRecord:
    """What a file says about its task.

    Attributes:
        language: The instruction.
        suite: Suite name, e.g. `libero_goal`; empty if the file does not say.
        problem: LIBERO's name of the environment class.
        bddl_file_name: Name of the task's definition.
        bddl_file_content: Its text.
        environment: Settings of the environment, stored as JSON in `env_args`.
    """

    language: str
    suite: str = ""
    problem: str = ""
    bddl_file_name: str = ""
    bddl_file_content: str = ""
    environment: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Demonstration:
    """One successful episode of length L; index t of every array belongs to the same tick.

    Attributes:
        actions: What the policy should do at observation t, (L, 7) in [-1, 1].
        agentview: Pictures of the fixed camera, uint8 (L, height, width, 3) RGB, row 0 at the top; None if not asked for.
        eye_in_hand: Pictures of the wrist camera, likewise.
        joints: Arm joint positions, (L, 7) [rad].
        gripper: Finger joint positions, (L, 2) [m].
        ee_pos: Grip point, (L, 3) [m].
        ee_ori: Orientation of the hand as axis times angle, (L, 3) [rad].
        executed_actions: What was executed at observation t, (L, 7); equals `actions` unless perturbed.
        states: Flattened simulator states before the action, (L, D); None if the file has none.
        phases: Index into `phase_names` per tick, (L,) uint8; None if the file has none.
        phase_names: Names of the phases.
        initial_state: The state that the episode was reset to, (D,); None if the file has none.
        attributes: Further attributes, e.g. `reach` and `state_index`.
    """

    actions: np.ndarray
    agentview: np.ndarray | None
    eye_in_hand: np.ndarray | None
    joints: np.ndarray
    gripper: np.ndarray
    ee_pos: np.ndarray
    ee_ori: np.ndarray
    executed_actions: np.ndarray
    states: np.ndarray | None = None
    phases: np.ndarray | None = None
    phase_names: tuple[str, ...] = ()
    initial_state: np.ndarray | None = None
    attributes: dict = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.actions)


def write_demonstration(group: h5py.Group, demonstration: Demonstration) -> None:
    """Write one demonstration into an empty group, upright and before-action."""
    length = len(demonstration)
    last = np.zeros(length, np.uint8)
    last[-1:] = 1
    group.attrs["num_samples"] = length
    group.attrs.update(demonstration.attributes)
    if demonstration.initial_state is not None:
        group.attrs["init_state"] = demonstration.initial_state
    for name in ("actions", "executed_actions", "states"):
        if getattr(demonstration, name) is not None:
            group[name] = np.asarray(getattr(demonstration, name), np.float64)
    group["rewards"], group["dones"] = last, last
    group["robot_states"] = np.concatenate([demonstration.gripper, demonstration.ee_pos, _quaternions(demonstration.ee_ori)], axis=1)
    if demonstration.phases is not None:
        group["phases"] = np.asarray(demonstration.phases, np.uint8)
        group["phases"].attrs["names"] = list(demonstration.phase_names)
    _write_observations(group.create_group("obs"), demonstration)


def _write_observations(group: h5py.Group, demonstration: Demonstration) -> None:
    for name, images in zip(IMAGES, (demonstration.agentview, demonstration.eye_in_hand), strict=True):
        if images is not None:
            chunk = (min(_IMAGE_CHUNK, len(images)), *images.shape[1:])
            group.create_dataset(name, data=images, chunks=chunk, compression="gzip", compression_opts=1, shuffle=False)
    group["joint_states"], group["gripper_states"] = demonstration.joints, demonstration.gripper
    group["ee_pos"], group["ee_ori"] = demonstration.ee_pos, demonstration.ee_ori
    group["ee_states"] = np.concatenate([demonstration.ee_pos, demonstration.ee_ori], axis=1)


def write_task_attributes(data: h5py.Group, task: TaskRecord) -> None:
    """Write the attributes of the `data` group, after all its demonstrations."""
    lengths = [int(group.attrs["num_samples"]) for group in data.values()]
    problem = {"problem_name": task.problem, "domain_name": "robosuite", "language_instruction": task.language}
    names = {"env_name": task.problem, "problem_name": task.problem, "bddl_file": task.bddl_file_name}
    environment = {"type": 1, **names, "env_kwargs": task.environment}
    data.attrs.update(
        {
            "language": task.language,
            "suite": task.suite,
            "env_name": task.problem,
            "problem_info": json.dumps(problem),
            "env_args": json.dumps(environment),
            "bddl_file_name": task.bddl_file_name,
            "bddl_file_content": task.bddl_file_content,
            "macros_image_convention": "opencv",  # robosuite's word for row 0 at the top
            "image_orientation": UPRIGHT,
            "observation_timing": BEFORE_ACTION,
            "num_demos": len(lengths),
            "total": sum(lengths),
        }
    )


def list_demonstrations(path: Path | str) -> dict[str, int]:
    """Return the names of a file's demonstrations in order, each with the number of ticks that reading it gives."""
    with opened(path) as data:
        lost = 1 if _timing(data) == AFTER_ACTION else 0
        return {name: len(child_data(child_group(data, name), "actions")) - lost for name in _names(data)}


def read_task(path: Path | str) -> TaskRecord:
    """Return what a file says about its task."""
    with opened(path) as data:
        text = {name: str(data.attrs.get(name, "")) for name in _TEXTS}
        settings = json_attribute(path, str(data.attrs.get("env_args", "{}")), "env_args").get("env_kwargs", {})
        problem = json_attribute(path, text["problem_info"] or "{}", "problem_info")
        language = text["language"] or "".join(problem.get("language_instruction", ""))  # LIBERO keeps it here, sometimes letter by letter
        return TaskRecord(language, text["suite"], text["env_name"], text["bddl_file_name"], text["bddl_file_content"], settings)


def read_demonstration(path: Path | str, name: str, *, images: bool = True, states: bool = True) -> Demonstration:
    """Read one demonstration.

    Args:
        path: The file.
        name: Which demonstration, e.g. `demo_0`.
        images: Whether to read the pictures, the bulk of a file.
        states: Whether to read the simulator's states.
    """
    with opened(path) as data:
        names = _names(data)
        if name not in names:
            raise DemonstrationError(f"{path} has no demonstration {name!r}; it has {', '.join(names)}")
        return _read(child_group(data, name), _orientation(data), _timing(data), images=images, states=states)


def read_demonstrations(path: Path | str, *, images: bool = True, states: bool = True) -> Iterator[Demonstration]:
    """Read a file's demonstrations one after another, in order."""
    for name in list_demonstrations(path):
        yield read_demonstration(path, name, images=images, states=states)


def _read(group: h5py.Group, orientation: str, timing: str, *, images: bool, states: bool) -> Demonstration:
    actions = child_array(group, "actions", 7)
    length = len(actions)
    # obs[t] recorded after actions[t] is what actions[t + 1] was chosen from: drop the first action and the last observation
    acting, seeing = (slice(None), slice(None)) if timing == BEFORE_ACTION else (slice(1, None), slice(None, -1))
    observations = child_group(group, "obs")
    feel = {key: child_array(observations, key, width, length)[seeing] for key, width in _WIDTHS.items()}
    pictures = [_pictures(observations, key, length, orientation)[seeing] if images else None for key in IMAGES]
    phases = child_array(group, "phases", None, length)[acting] if "phases" in group else None
    return Demonstration(
        actions=actions[acting],
        agentview=pictures[0],
        eye_in_hand=pictures[1],
        joints=feel["joint_states"],
        gripper=feel["gripper_states"],
        ee_pos=feel["ee_pos"],
        ee_ori=feel["ee_ori"],
        executed_actions=(child_array(group, "executed_actions", 7, length) if "executed_actions" in group else actions)[acting],
        states=child_data(group, "states", length)[()][acting] if states and "states" in group else None,
        phases=phases,
        phase_names=tuple(str(name) for name in group["phases"].attrs.get("names", ())) if phases is not None else (),
        initial_state=np.asarray(group.attrs["init_state"]) if "init_state" in group.attrs else None,
        attributes={key: value for key, value in group.attrs.items() if key not in ("num_samples", "init_state", "model_file")},
    )


def _pictures(observations: h5py.Group, name: str, length: int, orientation: str) -> np.ndarray:
    images = child_images(observations, name, length)
    return images if orientation == UPRIGHT else np.ascontiguousarray(images[:, ::-1])


def _orientation(data: h5py.Group) -> str:
    return choice(data, "image_orientation", BOTTOM_UP, (UPRIGHT, BOTTOM_UP))


def _timing(data: h5py.Group) -> str:
    return choice(data, "observation_timing", AFTER_ACTION, (BEFORE_ACTION, AFTER_ACTION))


def _names(data: h5py.Group) -> list[str]:
    names = [name for name in data if name.startswith("demo_") and name.removeprefix("demo_").isdigit()]
    return sorted(names, key=lambda name: int(name.removeprefix("demo_")))


def _quaternions(vectors: np.ndarray) -> np.ndarray:
    """Return quaternions (n, 4), x y z w as robosuite orders them, of rotations given as axis times angle (n, 3)."""
    angle = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.concatenate([vectors * np.sinc(angle / 2 / np.pi) / 2, np.cos(angle / 2)], axis=1)
