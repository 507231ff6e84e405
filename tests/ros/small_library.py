"""A library of a few kilobytes whose tensors mean nothing: for what only needs files with hashes."""

from pathlib import Path

import numpy as np

from dmpel_core.experts.library import Library, Module, add_expert, create_library
from tests.ros.fakes import SIZE

MODULE = Module("image.one", "image", 4, 4, 2)
OBSERVATION = {
    "image_orientation": "upright",
    "joints": 7,
    "gripper": 2,
    "action": {"kind": "pose_delta", "frame": "base", "linear_m": 0.05, "angular_rad": 0.5},
    "rate_hz": 20,
}


def make_small_library(path: Path, experts: int = 3, seed: int = 0, size: int = SIZE) -> Library:
    """Write a library with one generation per expert, and generation 0."""
    backbone = {"weight": np.full((4, 4), seed, np.float32)}
    observation = OBSERVATION | {"cameras": {name: [size, size, 3] for name in ("agentview", "eye_in_hand")}}
    library = create_library(path, backbone=backbone, policy={}, modules=[MODULE], text_encoder={}, observation=observation)
    for number in range(1, experts + 1):
        library = add_expert(
            library,
            name=f"skill {number}",
            instructions=(f"do {number}",),
            skill="none",
            factors={"image.one.A": np.ones((4, 2), np.float32), "image.one.B": np.ones((2, 4), np.float32)},
            router={"weight": np.zeros((4, number), np.float32)},
            replay={"queries": np.zeros((1, 4), np.float32)},
            provenance={"dataset": "00" * 32, "seed": number, "metrics": {}},
        )
    return library
