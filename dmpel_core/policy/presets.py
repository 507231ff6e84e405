"""The two sizes of the method: one for two processor cores, and the published one."""

from dmpel_core.errors import DmpelError
from dmpel_core.policy.sizes import LanguageSizes, PolicySizes, VisionSizes

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
