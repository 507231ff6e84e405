"""The demonstrations of one task as every algorithm reads them.

There are pictures for those that train the whole policy and frozen features for the others. Both are files in the cache that all
runs share, and only the rows that a step draws are read.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from dmpel_core.data.hdf5 import Demonstration
from dmpel_core.data.stills import Stills
from dmpel_core.paths import locked
from dmpel_core.policy.policy import Policy
from dmpel_core.policy.sizes import PolicySizes
from dmpel_core.training.datasets import digest, load_stills, load_task
from dmpel_core.training.episodes import Timeline, stack_floats
from dmpel_core.training.features import FeatureSet, actions_of, feature_set, stills_key, waypoints_of
from dmpel_core.training.pictures import shrink
from dmpel_core.training.settings import LearnSettings
from dmpel_core.training.workers import on_processor


@dataclass(frozen=True)
class TaskData:
    """One task's demonstrations, laid end to end.

    Attributes:
        instruction: The task's sentence.
        digest: Names the files' content.
        timeline: Where demonstrations begin and end, and the actions.
        joints: (frames, 7) [rad].
        gripper: (frames, 2) [m].
        waypoints: (frames, 3) [dm].
        words: (1, tokens, width), the instruction after the frozen half of the text tower.
        pictures: (frames, cameras, 3, pixels, pixels) uint8, on disk; None unless asked for.
        features: Frozen features, on disk; None unless asked for.
        files: Where all of it was read from.
        limit: How many demonstrations of each file; None for all.
        stills: Its still pictures, an arrangement of objects in place of a demonstration, if there are some. Their actions are zeros that
            nothing may learn.
    """

    instruction: str
    digest: str
    timeline: Timeline
    joints: Tensor
    gripper: Tensor
    waypoints: Tensor
    words: Tensor
    pictures: np.ndarray | None = None
    features: FeatureSet | None = None
    files: tuple[Path, ...] = ()
    limit: int | None = None
    stills: "TaskData | None" = None

    @property
    def frames(self) -> np.ndarray:
        """All frames, (frames,)."""
        return np.arange(len(self.timeline))


def frame_bytes(data: TaskData, sizes: PolicySizes) -> int:
    """Return what one remembered frame takes: its pictures, state, action and waypoint."""
    numbers = data.joints.shape[1] + data.gripper.shape[1] + data.timeline.actions.shape[1] + data.waypoints.shape[1]
    return len(sizes.cameras) * 3 * sizes.pixels**2 + 4 * numbers


def load_task_data(
    policy: Policy,
    backbone: str,
    files: Sequence[Path],
    settings: LearnSettings,
    cache: Path,
    *,
    pictures: bool,
    features: bool,
    limit: int | None = None,
    stills: Sequence[Path] = (),
    accelerator: Accelerator | None = None,
) -> TaskData:
    """Read one task's demonstrations, and what an earlier run left of them in the cache.

    Args:
        policy: The backbone.
        backbone: Names its weights.
        files: LIBERO-layout HDF5 files of one task.
        settings: Views and seed of the frozen features.
        cache: Folder that all runs share.
        pictures: Whether the pictures are needed.
        features: Whether the frozen features are.
        limit: Use only the first demonstrations of each file.
        stills: Files of still pictures of the task.
        accelerator: Computes the features, in several processes where there are some; None for the processor.

    Raises:
        DmpelError: The files show several tasks, or the still pictures another one.
    """
    accelerator = accelerator or on_processor()
    pairs = load_task(files, limit)
    instruction, name, demos = pairs[0][0], digest(files), [demo for _, demo in pairs]
    with torch.inference_mode():
        words = policy.text.trunk(instruction).clone()

    def laid_out(parts: Sequence[Demonstration | Stills], content: str, key: str) -> TaskData:
        frozen = None
        if features:
            frozen = feature_set(policy, instruction, parts, settings.views, settings.seed, cache / "features", key, accelerator)
        with accelerator.main_process_first():
            seen = keep_pictures(parts, policy.sizes, cache / "pictures", content) if pictures else None
        return TaskData(
            instruction,
            content,
            Timeline([actions_of(part) for part in parts]),
            stack_floats([part.joints for part in parts]),
            stack_floats([part.gripper for part in parts]),
            stack_floats([waypoints_of(part) for part in parts]),
            words,
            seen,
            frozen,
        )

    # Features are named as `dmpel learn` names them, which so finds them too.
    shown = laid_out(demos, name, f"{backbone} {name} {len(demos)}")
    glances = None
    if stills:
        content = digest(stills)
        glances = laid_out(load_stills(stills, instruction), content, stills_key(backbone, content))
    return replace(shown, files=tuple(files), limit=limit, stills=glances)


def keep_pictures(demos: Sequence[Demonstration | Stills], sizes: PolicySizes, folder: Path, name: str) -> np.ndarray:
    """Write all pictures at the policy's resolution into one file, unless it is there, and return it mapped into memory."""
    path = folder / f"{hashlib.sha256(f'{name} {len(demos)} {sizes.pixels} {sizes.cameras}'.encode()).hexdigest()[:16]}.npy"
    with locked(folder):
        if not path.exists():
            frames, aside = sum(map(len, demos)), path.with_suffix(".partial")
            array = np.lib.format.open_memmap(aside, "w+", np.uint8, (frames, len(sizes.cameras), 3, sizes.pixels, sizes.pixels))
            start = 0
            for demo in demos:
                array[start : start + len(demo)] = shrink(demo, sizes).numpy()
                start += len(demo)
            array.flush()
            aside.replace(path)
    return np.lib.format.open_memmap(path, "r")
