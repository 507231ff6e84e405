"""The two sizes of the method, one for two processor cores and the published one, and variants of them."""

import json
from pathlib import Path
from typing import Any

from dmpel_core.errors import DmpelError
from dmpel_core.policy.sizes import RETIRED, LanguageSizes, PolicySizes, VisionSizes

SMALL = PolicySizes()
CLIP_VIT_B16 = PolicySizes(
    pixels=128, image_width=768, width=768, heads=8, film_hidden=256, temporal_blocks=6, chunk=1, minimum_std=1e-4, dropout=0.15,
    vision=VisionSizes(), language=LanguageSizes(), tower_rank=8, adapt="query_value",
    temporal_hidden=1024, temporal_activation="gelu_tanh", hidden_dropout=0.15, drop_path=0.15, waypoint=False,
)  # fmt: skip

PRESETS = {"small": SMALL, "clip-vit-b16": CLIP_VIT_B16}


def preset(name: str) -> PolicySizes:
    """Return the sizes of a preset.

    Raises:
        DmpelError: There is none of that name.
    """
    if name not in PRESETS:
        raise DmpelError(f"there is no preset {name!r}; choose one of {', '.join(PRESETS)}")
    return PRESETS[name]


def read_sizes(path: Path | None, base: PolicySizes) -> PolicySizes:
    """Return sizes with the changes of a JSON file, such as `{"heads": 4, "vision": {"activation": "quick_gelu"}}`.

    Args:
        path: The file; None for no changes.
        base: The sizes that are changed.

    Raises:
        DmpelError: It cannot be read, is no JSON object, or names a size that there is not.
    """
    if path is None:
        return base
    try:
        changes: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # a faulty encoding and faulty JSON are ValueErrors
        raise DmpelError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(changes, dict):
        raise DmpelError(f"{path} holds a JSON {type(changes).__name__}, expected an object of sizes")
    if retired := set(RETIRED) & changes.keys():
        raise DmpelError(f"{path} names {', '.join(sorted(retired))}, which is no size but a setting of training: see `dmpel learn --help`")
    values = base.to_json()
    towers = {name: {**values.get(name, {}), **changes[name]} for name in ("vision", "language") if isinstance(changes.get(name), dict)}
    try:
        return PolicySizes.from_json({**values, **changes, **towers})
    except DmpelError as error:
        raise DmpelError(f"{path} changes what there is not: {error}") from error
