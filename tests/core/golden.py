"""Golden cases: arrays that the published policy gave on small random weights, and ours on the same weights.

A case is CASE.json (sizes and switches), CASE.safetensors (weights under the official names) and CASE.npz (`in_*` and `out_*`).
They are taken from the folder named by DMPEL_GOLDEN, else from ../shared/golden beside the repository, else from tests/golden.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from dmpel_core.errors import DmpelError
from dmpel_core.policy.adapted import LORA_ALPHA
from dmpel_core.policy.presets import CLIP_VIT_B16
from dmpel_core.policy.sizes import LanguageSizes, PolicySizes, VisionSizes
from dmpel_core.policy.transformer import ACTIVATIONS

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Case:
    """One golden case."""

    name: str
    sizes: PolicySizes
    experts: int
    weights: dict[str, Tensor]
    arrays: dict[str, np.ndarray]

    def tensor(self, name: str) -> Tensor:
        """Return an input or expected output."""
        return torch.from_numpy(self.arrays[name])


def golden_folder() -> Path:
    """Return where the cases are."""
    if "DMPEL_GOLDEN" in os.environ:
        return Path(os.environ["DMPEL_GOLDEN"])
    beside = ROOT.parent / "shared/golden"
    return beside if beside.is_dir() else ROOT / "tests/golden"


def case_paths() -> list[Path]:
    """Return each case's path without its suffix.

    Raises:
        DmpelError: There is none, or a file of one is missing.
    """
    folder = golden_folder()
    found = sorted(path.with_suffix("") for path in folder.glob("*.npz"))
    if not found:
        raise DmpelError(f"no golden case in {folder}: expected CASE.json, CASE.npz and CASE.safetensors; DMPEL_GOLDEN names the folder")
    for path in found:
        if lacking := [path.with_suffix(suffix).name for suffix in (".json", ".safetensors") if not path.with_suffix(suffix).exists()]:
            raise DmpelError(f"golden case {path.name} in {folder} lacks {', '.join(lacking)}")
    return found


@cache
def load_case(path: Path) -> Case:
    """Read one case."""
    settings = json.loads(path.with_suffix(".json").read_text())
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as stored:
        arrays = dict(stored)
    return Case(path.name, sizes_for(settings), settings["pool"], load_file(path.with_suffix(".safetensors")), arrays)


def sizes_for(case: Mapping[str, Any]) -> PolicySizes:
    """Return the policy sizes that a case's JSON describes.

    Raises:
        DmpelError: It holds a key or a value that this policy does not know.
    """
    given = dict(case)
    for fact in ("name", "seed", "batch", "time", "ticks", "pool", "image"):  # of the arrays, not of the policy
        given.pop(fact, None)
    vision, language = (
        _vision(given.pop("vit"), given.pop("image_lora_layers")),
        _language(given.pop("text"), given.pop("text_lora_layers")),
    )
    width, heads, separate = given.pop("embed"), given.pop("temporal_heads"), given.pop("router_separate")
    _demand("merge", given.pop("merge"), "weight")
    _demand("lora_alpha", given.pop("lora_alpha"), LORA_ALPHA)
    _demand("temporal_heads x head_dim", heads * given.pop("head_dim"), width)
    _demand("vit.embed_dim", case["vit"]["embed_dim"], width)
    _demand("image_lora_layers starting at 0", vision.adapted[0] == 0, False)  # the official code then feeds block 0 with the last block
    ours = {official: given.pop(official) for official in _RENAMED if official in given}
    if given:
        raise DmpelError(f"golden case {case['name']} has settings that this test does not know: {given}")
    renamed = {_RENAMED[official]: value for official, value in ours.items()}
    towers = {"vision": vision, "language": language}
    return replace(CLIP_VIT_B16, image_width=width, width=width, heads=heads, router_shared=not separate, **towers, **renamed)


_RENAMED = {
    "query_diff": "query_difference",
    "query_mean": "query_mean",
    "query_proprio": "query_state",
    "top_k": "top_k",
    "infer_interval": "mixture_interval",
    "tune_bias": "expert_bias",
    "temporal_layers": "temporal_blocks",
    "temporal_mlp": "temporal_hidden",
    "film_hidden": "film_hidden",
    "router_hidden": "router_hidden",
    "history": "window",
    "rank": "rank",
    "encoder_rank": "tower_rank",
    "gmm_hidden": "head_hidden",
    "gmm_layers": "head_layers",
    "gmm_modes": "modes",
}


def _vision(vit: Mapping[str, Any], adapted: list[int]) -> VisionSizes:
    given = dict(vit)
    _demand("vit.pre_norm", given.pop("pre_norm"), True)
    activation = given.pop("act_layer", "gelu").replace("quickgelu", "quick_gelu")
    width = given.pop("embed_dim")
    sizes = VisionSizes(
        pixels=given.pop("img_size"), patch=given.pop("patch_size"), depth=given.pop("depth"), adapted=tuple(adapted),
        heads=given.pop("num_heads"), hidden=int(given.pop("mlp_ratio", 4) * width), activation=activation,
        unused=given.pop("num_classes"),
    )  # fmt: skip
    _demand("vit.act_layer", activation in ACTIVATIONS, True)
    _demand("other settings of vit", given, {})
    return sizes


def _language(text: Mapping[str, Any], adapted: list[int]) -> LanguageSizes:
    given = dict(text)
    sizes = LanguageSizes(
        width=given.pop("hidden"), depth=given.pop("layers"), adapted=tuple(adapted), heads=given.pop("heads"), hidden=given.pop("mlp"),
        positions=given.pop("positions"), vocabulary=given.pop("vocab"), end=given.pop("eos"), outputs=given.pop("projection"),
    )  # fmt: skip
    _demand("other settings of text", given, {})
    return sizes


def _demand(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise DmpelError(f"golden case with {what} = {found!r}: only {wanted!r} is defined")
