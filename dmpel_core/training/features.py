"""Frozen features of one task's demonstrations, computed once and kept on disk.

The frozen half of the image tower sees each demonstration several times: once as it is, and then with random shifts and
colours, one draw for a whole demonstration. Training picks one of these views for each sequence, so augmentation means a
choice among a few fixed views, not a fresh draw at every step. Only the rows that a step draws are read into memory: of the
published size, four views of 50 demonstrations are 15 GB.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from tqdm import tqdm

from dmpel_core.data.hdf5 import Demonstration
from dmpel_core.data.stills import Stills
from dmpel_core.policy.image import to_pixels
from dmpel_core.policy.policy import FINGERS, JOINTS, Frames, Policy
from dmpel_core.training.augmentation import augment
from dmpel_core.training.datasets import picture_stack
from dmpel_core.training.episodes import Timeline, stack_floats
from dmpel_core.training.feature_files import FeatureFiles
from dmpel_core.training.waypoints import SCALE, waypoints
from dmpel_core.training.workers import on_processor

BATCH = 64  # frames in one pass
ACTION = 7


@dataclass(frozen=True)
class FeatureSet:
    """One task's frames after the frozen half.

    Attributes:
        timeline: Demonstrations laid end to end.
        tokens: (views, frames, cameras, 1 + grid, image_width) float16, on disk; view 0 is the picture as it is.
        queries: (views, frames, features), on disk, each frame's frozen features, see `Policy.query`.
        joints: (frames, 7) [rad].
        gripper: (frames, 2) [m].
        waypoints: (frames, 3) [dm], see `dmpel_core.training.waypoints`.
        text: (1, tokens, 384), the instruction after the frozen half of the text tower.
    """

    timeline: Timeline
    tokens: np.ndarray
    queries: np.ndarray
    joints: Tensor
    gripper: Tensor
    waypoints: Tensor
    text: Tensor

    def frames(self, view: np.ndarray, index: Tensor, device: torch.device | None = None) -> Frames:
        """Return the frames `index` (batch, ticks) on a device, each sample in its own view (batch,)."""
        tokens = torch.from_numpy(self.tokens[view[:, None], index.numpy()]).to(device).float()
        return Frames(tokens, self.joints[index].to(device), self.gripper[index].to(device))

    def query(self, view: np.ndarray, index: Tensor) -> Tensor:
        """Return the frozen features of each tick, (batch, ticks, features), from which the policy makes the router's query."""
        return torch.from_numpy(self.queries[view[:, None], index.numpy()])


def feature_set(
    policy: Policy,
    instruction: str,
    parts: Sequence[Demonstration | Stills],
    views: int,
    seed: int,
    folder: Path,
    key: str,
    accelerator: Accelerator | None = None,
) -> FeatureSet:
    """Compute the features of a task, or read those that an earlier call left.

    Several processes share the work and read what the others left in the folder, which they must all see.

    Args:
        policy: The frozen backbone, on the processor, where it is left again.
        instruction: The task's sentence.
        parts: The task's demonstrations, or its still pictures by arrangement.
        views: Number of views, the plain one included.
        seed: Of the augmentation.
        folder: Where features are cached.
        key: Names backbone and data; features of other keys are never read.
        accelerator: Device and processes; None for the processor.
    """
    accelerator = accelerator or on_processor()
    files = FeatureFiles(folder / hashlib.sha256(json.dumps([key, views, seed, instruction]).encode()).hexdigest()[:16])
    timeline = Timeline([actions_of(part) for part in parts])
    with torch.inference_mode():
        trunk_text = policy.text.trunk(instruction)
        text = policy.text.encode(trunk_text)
    policy = policy.to(accelerator.device)
    if accelerator.is_main_process:
        files.prepare({name: (views, len(timeline), *shape) for name, shape in frame_shapes(policy, text).items()})
    accelerator.wait_for_everyone()
    starts = timeline.lengths.cumsum() - timeline.lengths
    todo = [(view, number) for view in range(views) for number in range(len(parts))]
    own = todo[accelerator.process_index :: accelerator.num_processes]
    for view, number in tqdm(own, desc="frozen features", unit="view", disable=not accelerator.is_main_process):
        if not files.done(f"{view}-{number}"):
            frames = slice(starts[number], starts[number] + timeline.lengths[number])
            files.write(f"{view}-{number}", view, frames, compute(policy, parts[number], text, view, seed + number))
    policy.cpu()
    accelerator.wait_for_everyone()
    return FeatureSet(
        timeline,
        *files.read(),
        stack_floats([part.joints for part in parts]),
        stack_floats([part.gripper for part in parts]),
        stack_floats([waypoints_of(part) for part in parts]),
        trunk_text.clone(),
    )


def stills_key(backbone: str, stills: str) -> str:
    """Return the key of the features of still pictures from the names of both contents."""
    return f"{backbone} stills {stills}"


def actions_of(part: Demonstration | Stills) -> np.ndarray:
    """Return the actions; still pictures have none, so zeros stand there and nothing may learn them."""
    return np.zeros((len(part), ACTION)) if isinstance(part, Stills) else part.actions


def waypoints_of(part: Demonstration | Stills) -> np.ndarray:
    """Return the waypoints, (frames, 3) [dm]."""
    return SCALE * part.waypoints if isinstance(part, Stills) else waypoints(part.ee_pos, part.actions)


@torch.inference_mode()
def frame_shapes(policy: Policy, text: Tensor) -> dict[str, tuple[int, ...]]:
    """Return the shapes of one frame's tokens and frozen features."""
    sizes, device = policy.sizes, policy.proprioception.mean.device
    trunk = policy.image.trunk(torch.zeros(1, len(sizes.cameras), 3, sizes.pixels, sizes.pixels, device=device))
    frame = Frames(trunk[None], torch.zeros(1, 1, JOINTS, device=device), torch.zeros(1, 1, FINGERS, device=device))
    return {"tokens": tuple(trunk.shape[1:]), "queries": tuple(policy.query(frame, text.to(device)).shape[2:])}


def compute(policy: Policy, demo: Demonstration | Stills, text: Tensor, view: int, seed: int) -> dict[str, np.ndarray]:
    """Return one view of a demonstration, or of an arrangement's still pictures.

    Returns:
        `tokens` (frames, cameras, 1 + grid, width) float16 and `queries` (frames, features).
    """
    device = policy.proprioception.mean.device
    pictures = to_pixels(picture_stack(demo).to(device), policy.sizes.pixels)
    if view:
        pictures = augment(pictures[None], torch.Generator().manual_seed(1000 * view + seed))[0]
    joints, gripper = stack_floats([demo.joints]).to(device), stack_floats([demo.gripper]).to(device)
    tokens, queries = [], []
    with torch.inference_mode():
        for start in range(0, len(pictures), BATCH):
            part = slice(start, start + BATCH)
            trunk = policy.image.trunk(pictures[part])
            queries.append(policy.query(Frames(trunk[None], joints[None, part], gripper[None, part]), text.to(device))[0].cpu())
            tokens.append(trunk.half().cpu())
    return {"tokens": torch.cat(tokens).numpy(), "queries": torch.cat(queries).numpy()}


def plain_queries(policy: Policy, data: FeatureSet, starts: np.ndarray) -> Tensor:
    """Return the queries (sequences, query_width) of the plain sequences that begin at these frames."""
    index = data.timeline.sequences(starts, policy.sizes.window, policy.sizes.chunk).index
    return policy.sequence_query(data.query(np.zeros(len(starts), int), index))
