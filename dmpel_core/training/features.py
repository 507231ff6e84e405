"""Frozen features of one task's demonstrations, computed once and kept on disk.

The frozen half of the image tower sees each demonstration several times: once as it is, and then with random shifts and
colours, one draw for a whole demonstration. Training picks one of these views for each sequence, so augmentation means a
choice among a few fixed views, not a fresh draw at every step.
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
from dmpel_core.policy.image import to_pixels
from dmpel_core.policy.policy import Frames, Policy
from dmpel_core.training.augmentation import augment
from dmpel_core.training.datasets import picture_stack
from dmpel_core.training.episodes import Timeline, stack_floats
from dmpel_core.training.waypoints import waypoints
from dmpel_core.training.workers import on_processor

BATCH = 64  # frames in one pass


@dataclass(frozen=True)
class FeatureSet:
    """One task's frames after the frozen half.

    Attributes:
        timeline: Demonstrations laid end to end.
        tokens: (views, frames, cameras, 1 + grid, image_width) float16; view 0 is the picture as it is.
        queries: (views, frames, features), each frame's frozen features, see `Policy.query`.
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
    demonstrations: Sequence[Demonstration],
    views: int,
    seed: int,
    folder: Path,
    key: str,
    accelerator: Accelerator | None = None,
) -> FeatureSet:
    """Compute the features of a task, or read those that an earlier call left.

    Several processes share the work and read what the others left in the folder, which they must all see.

    Args:
        policy: The frozen backbone.
        instruction: The task's sentence.
        demonstrations: The task's demonstrations.
        views: Number of views, the plain one included.
        seed: Of the augmentation.
        folder: Where features are cached.
        key: Names backbone and data; features of other keys are never read.
        accelerator: Device and processes; None for the processor.
    """
    accelerator = accelerator or on_processor()
    place = folder / hashlib.sha256(json.dumps([key, views, seed, instruction]).encode()).hexdigest()[:16]
    place.mkdir(parents=True, exist_ok=True)
    with torch.inference_mode():
        trunk_text = policy.text.trunk(instruction)
        text = policy.text.encode(trunk_text)
    todo = [(view, number) for view in range(views) for number in range(len(demonstrations))]
    own, policy = todo[accelerator.process_index :: accelerator.num_processes], policy.to(accelerator.device)
    for view, number in tqdm(own, desc="frozen features", unit="view", disable=not accelerator.is_main_process):
        if not (place / f"{view}-{number}.npz").exists():
            save_features(place / f"{view}-{number}.npz", *compute(policy, demonstrations[number], text, view, seed + number))
    accelerator.wait_for_everyone()
    parts = [[load_features(place / f"{view}-{number}.npz") for number in range(len(demonstrations))] for view in range(views)]
    return FeatureSet(
        Timeline([demo.actions for demo in demonstrations]),
        np.stack([np.concatenate([tokens for tokens, _ in row]) for row in parts]),
        np.stack([np.concatenate([queries for _, queries in row]) for row in parts]),
        stack_floats([demo.joints for demo in demonstrations]),
        stack_floats([demo.gripper for demo in demonstrations]),
        stack_floats([waypoints(demo.ee_pos, demo.actions) for demo in demonstrations]),
        trunk_text.clone(),
    )


def compute(policy: Policy, demo: Demonstration, text: Tensor, view: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return one view of a demonstration: tokens (frames, cameras, 1 + grid, width) float16 and queries (frames, query_width)."""
    pictures = to_pixels(picture_stack(demo), policy.sizes.pixels)
    if view:
        pictures = augment(pictures[None], torch.Generator().manual_seed(1000 * view + seed))[0]
    device = policy.proprioception.mean.device
    joints, gripper = stack_floats([demo.joints]).to(device), stack_floats([demo.gripper]).to(device)
    tokens, queries = [], []
    with torch.inference_mode():
        for start in range(0, len(pictures), BATCH):
            part = slice(start, start + BATCH)
            trunk = policy.image.trunk(pictures[part].to(device))
            queries.append(policy.query(Frames(trunk[None], joints[None, part], gripper[None, part]), text.to(device))[0].cpu())
            tokens.append(trunk.half().cpu())
    return torch.cat(tokens).numpy(), torch.cat(queries).numpy()


def save_features(path: Path, tokens: np.ndarray, queries: np.ndarray) -> None:
    """Write one file aside and rename it, so that a kill leaves no half file."""
    aside = path.with_suffix(".partial.npz")
    np.savez(aside, tokens=tokens, queries=queries)
    aside.replace(path)


def load_features(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read tokens and queries."""
    with np.load(path, allow_pickle=False) as arrays:
        return arrays["tokens"], arrays["queries"]
