"""All frames of many tasks in memory, for pretraining: of demonstrations, and of still pictures."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from dmpel_core.data.hdf5 import Demonstration
from dmpel_core.data.stills import Stills
from dmpel_core.errors import DmpelError
from dmpel_core.policy.image import to_pixels
from dmpel_core.policy.sizes import PolicySizes
from dmpel_core.training.datasets import picture_stack
from dmpel_core.training.episodes import Timeline, stack_floats
from dmpel_core.training.waypoints import SCALE, waypoints


class PictureSet:
    """All frames of many tasks in memory, at the policy's resolution."""

    def __init__(self, demonstrations: Iterable[tuple[str, Demonstration]], sizes: PolicySizes, held_out: int = 0) -> None:
        """Shrink demonstrations one by one; each comes with its instruction, and the last `held_out` of each are not trained on."""
        sentences, actions, pictures, joints, gripper, ways = [], [], [], [], [], []
        for sentence, demo in demonstrations:
            sentences.append(sentence)
            actions.append(demo.actions)
            pictures.append(shrink(demo, sizes))
            joints.append(demo.joints)
            gripper.append(demo.gripper)
            ways.append(waypoints(demo.ee_pos, demo.actions))
        self.timeline = Timeline(actions)
        self.pictures = gathered(pictures)  # (frames, cameras, 3, pixels, pixels) uint8
        self.joints, self.gripper = stack_floats(joints), stack_floats(gripper)
        self.waypoints = stack_floats(ways)  # (frames, 3) [dm]
        self.sentences = sorted(set(sentences))
        owner = [self.sentences.index(sentence) for sentence in sentences]
        self.sentence = torch.from_numpy(np.repeat(owner, self.timeline.lengths))
        self.held_out = np.array([owner[number + 1 :].count(task) < held_out for number, task in enumerate(owner)])  # (demonstrations,)
        self.training = np.flatnonzero(~np.repeat(self.held_out, self.timeline.lengths))  # frames
        if len(self.training) == 0:
            raise DmpelError(f"{len(owner)} demonstrations are too few to hold out {held_out} of each task; collect more")

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Return mean and deviation of joints and fingers, (9,) each."""
        state = torch.cat([self.joints, self.gripper], 1)[self.training]
        return state.mean(0), state.std(0) + 1e-3


class StillSet:
    """All still pictures of many tasks in memory, at the policy's resolution."""

    def __init__(self, stills: Iterable[tuple[str, Stills]], sizes: PolicySizes) -> None:
        """Shrink the pictures of one task after the other; each comes with its instruction."""
        parts = [(sentence, shrink(part, sizes), part) for sentence, part in stills]
        self.sentences = sorted({sentence for sentence, _, _ in parts})
        self.pictures = gathered([pictures for _, pictures, _ in parts])  # (n, cameras, 3, pixels, pixels) uint8
        self.joints, self.gripper = (stack_floats([getattr(part, name) for _, _, part in parts]) for name in ("joints", "gripper"))
        self.waypoints = SCALE * stack_floats([part.waypoints for _, _, part in parts])  # (n, 3) [dm]
        self.sentence = torch.cat([torch.full((len(part),), self.sentences.index(sentence)) for sentence, _, part in parts])

    def __len__(self) -> int:
        return len(self.sentence)


def shrink(demo: Demonstration | Stills, sizes: PolicySizes) -> Tensor:
    """Return all pictures as uint8 (frames, cameras, 3, pixels, pixels)."""
    return (to_pixels(picture_stack(demo), sizes.pixels) * 255).round().to(torch.uint8)


def gathered(parts: list[Tensor]) -> Tensor:
    """Concatenate pictures, emptying the list on the way: many gigabytes are never there twice."""
    whole = torch.empty(sum(map(len, parts)), *parts[0].shape[1:], dtype=parts[0].dtype)
    end = len(whole)
    while parts:
        part = parts.pop()
        whole[end - len(part) : end] = part
        end -= len(part)
    return whole
