"""A library of a few numbers, for the tests of the library on disk."""

from pathlib import Path

import numpy as np

from dmpel_core.experts.library import Library, Module, add_expert, create_library

MODULES = (Module("image.6.q", "image", 4, 6, 2), Module("head.mean", "head", 5, 3, 1))


def make_library(path: Path) -> Library:
    """Write generation 0 with tiny numbers that `rng(0)` fixes."""
    weights = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    return create_library(
        path,
        backbone={"image.6.q": weights, "steps": np.int64([3])},
        policy={"width": 4, "layers": [1, 2]},
        modules=MODULES,
        text_encoder={"name": "tiny", "sha256": "00"},
        observation={"cameras": ["agentview", "eye_in_hand"], "joints": 7},
    )


def parts(seed: int, number_of_experts: int) -> dict[str, dict[str, np.ndarray]]:
    """Return factors, router and replay of one expert."""
    rng = np.random.default_rng(seed)
    factors = {}
    for module in MODULES:
        factors[f"{module.name}.A"] = rng.normal(size=(module.inputs, module.rank)).astype(np.float32)
        factors[f"{module.name}.B"] = rng.normal(size=(module.rank, module.outputs)).astype(np.float16)
    router = {"out": rng.normal(size=(8, 6 * number_of_experts)).astype(np.float32)}
    return {"factors": factors, "router": router, "replay": {"queries": rng.normal(size=(3, 8)).astype(np.float32)}}


def teach(library: Library, name: str, seed: int = 1) -> Library:
    """Add one expert."""
    given = parts(seed, len(library.experts) + 1)
    provenance = {"dataset": "ab" * 32, "seed": seed, "metrics": {"loss": 0.5}}
    return add_expert(library, name=name, instructions=[name, f"please {name}"], skill="put", provenance=provenance, **given)


def contents(path: Path) -> dict[str, bytes]:
    """Return every finished file of a folder."""
    files = (place for place in path.rglob("*") if place.is_file() and not place.name.endswith(".unfinished"))
    return {str(place.relative_to(path)): place.read_bytes() for place in files}
