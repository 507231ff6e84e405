"""A policy small enough for tests, and demonstrations made of noise."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from dmpel_core.data.hdf5 import Demonstration, TaskRecord, write_demonstration, write_task_attributes
from dmpel_core.data.stills import Stills
from dmpel_core.experts.library import Library, create_library
from dmpel_core.policy import text
from dmpel_core.policy.policy import Policy
from dmpel_core.policy.sizes import PolicySizes
from dmpel_core.training.interface import OBSERVATION, library_modules

BRIGHT_MEANS_LEFT = 0.1
TINY = PolicySizes(
    pixels=32, image_width=32, width=32, heads=4, film_hidden=16, temporal_blocks=2,
    head_hidden=32, modes=3, chunk=3, rank=4, router_hidden=16,
)  # fmt: skip


@pytest.fixture
def policy() -> Policy:
    """A tiny policy with random weights."""
    torch.manual_seed(0)
    return Policy(TINY).eval()


def noise(seed: int, length: int) -> Demonstration:
    """Return a demonstration of random pictures and actions."""
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 256, (2, length, 32, 32, 3), dtype=np.uint8)
    actions = rng.uniform(-1, 1, (length, 7))
    return Demonstration(
        actions, pictures[0], pictures[1], rng.normal(size=(length, 7)), rng.uniform(0, 0.04, (length, 2)),
        rng.normal(size=(length, 3)), rng.normal(size=(length, 3)), actions, attributes={"reach": 0.0, "state_index": 0},
        states=rng.normal(size=(length, 5)), initial_state=rng.normal(size=5),
    )  # fmt: skip


def write_noise(path: Path, instruction: str, seed: int, lengths: tuple[int, ...] = (14, 6, 17)) -> Path:
    """Write a demonstration file of noise."""
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        for number, length in enumerate(lengths):
            write_demonstration(data.create_group(f"demo_{number}"), noise(seed + number, length))
        write_task_attributes(data, TaskRecord(instruction))
    return path


def bright_stills(count: int = 48) -> Stills:
    """Return pictures whose brightness says whether the waypoint lies to the left or to the right, and nothing else does."""
    rng = np.random.default_rng(0)
    left = rng.random(count) < 0.5
    pictures = np.where(left[:, None, None, None], 190, 40).astype(np.uint8) + rng.integers(0, 30, (count, 32, 32, 3), dtype=np.uint8)
    waypoints = np.zeros((count, 3))
    waypoints[:, 1] = np.where(left, BRIGHT_MEANS_LEFT, -BRIGHT_MEANS_LEFT)
    joints, fingers = rng.normal(size=(count, 7)), rng.uniform(0, 0.04, (count, 2))
    return Stills(pictures, pictures, joints, fingers, waypoints, np.arange(count) // 8)


@pytest.fixture
def library(tmp_path: Path, policy: Policy) -> Library:
    """A library with the tiny policy and no expert."""
    return write_library(tmp_path / "library", policy)


def write_library(path: Path, policy: Policy) -> Library:
    """Write a library without experts."""
    return create_library(
        path,
        backbone={name: value.numpy() for name, value in policy.backbone_state().items()},
        policy=policy.sizes.to_json(),
        modules=library_modules(policy),
        text_encoder=text.identity(),
        observation=OBSERVATION,
    )
