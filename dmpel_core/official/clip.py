"""CLIP's published weights, with which pretraining of the published policy starts.

Reads the files of `transformers` from its hub or from a folder: model, tokenizer, configuration. The vision transformer may come
from a safetensors file of timm's `vit_base_patch16_clip_224.openai` instead, which holds the same numbers.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from dmpel_core.errors import DmpelError
from dmpel_core.official.names import IMAGE, TEXT, Layout, backbone_names
from dmpel_core.policy.clip_text import ClipTextTower
from dmpel_core.policy.policy import Policy

TRANSFORMERS_NAME = "openai/clip-vit-base-patch16"
_VISION = {"post_layernorm": "norm", "pre_layrnorm": "norm_pre"}  # the second is spelt like this in transformers
_BLOCK = {"layer_norm1": "norm1", "layer_norm2": "norm2", "self_attn.out_proj": "attn.proj", "mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2"}


def load_clip(policy: Policy, source: str | Path = TRANSFORMERS_NAME, timm_file: Path | None = None) -> None:
    """Start both towers from CLIP, and use its tokenizer.

    Args:
        policy: A policy with CLIP's towers.
        source: Name on the hub of transformers, or a folder with what `save_pretrained` writes.
        timm_file: Safetensors file of timm's vision transformer; None to take the one of `source`.

    Raises:
        DmpelError: The files cannot be read, or hold a model of other sizes.
    """
    from transformers import AutoTokenizer, CLIPModel

    if not isinstance(policy.text, ClipTextTower):
        raise DmpelError("this policy has no CLIP towers: build it with the preset clip-vit-b16")
    try:
        weights = CLIPModel.from_pretrained(source).state_dict()
        tokenizer = AutoTokenizer.from_pretrained(source).backend_tokenizer.to_str()
        image = timm_from_transformers(weights) if timm_file is None else load_file(timm_file)
    except (OSError, ValueError, SafetensorError) as error:
        raise DmpelError(f"CLIP cannot be read from {timm_file or source}: {error}; give a folder that holds its files") from error
    named = {f"{IMAGE}.{name}": value for name, value in image.items()}
    named |= {f"{TEXT}.{name.removeprefix('text_model.')}": value for name, value in weights.items() if name.startswith("text_model.")}
    named["language_encoder_spatial.post_proj.weight"] = weights["text_projection.weight"]
    fill(policy, named, str(timm_file or source))
    policy.text.set_tokenizer(tokenizer.encode())


def fill(policy: Policy, named: Mapping[str, Tensor], source: str) -> None:
    """Copy weights under the official names into both towers."""
    table = {ours: theirs for ours, theirs in backbone_names(Layout.of(policy.sizes)).items() if ours.startswith(("image.", "text."))}
    own = policy.state_dict()
    for ours, names in table.items():
        missing = [name for name in names if name not in named]
        if missing:
            raise DmpelError(f"{source} holds no {missing[0]}: it is not the CLIP model that this policy is built on")
        value = torch.cat([named[name] for name in names])
        if value.shape != own[ours].shape:
            raise DmpelError(f"{source}: {names[0]} gives {ours} the shape {tuple(value.shape)}, this policy has {tuple(own[ours].shape)}")
        own[ours].copy_(value)


def timm_from_transformers(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the vision transformer of a CLIP model of transformers under timm's names."""
    vision = {name.removeprefix("vision_model."): value for name, value in weights.items() if name.startswith("vision_model.")}
    named = {
        "cls_token": vision["embeddings.class_embedding"][None, None],
        "pos_embed": vision["embeddings.position_embedding.weight"][None],
        "patch_embed.proj.weight": vision["embeddings.patch_embedding.weight"],
        "head.weight": weights["visual_projection.weight"],
        "head.bias": torch.zeros(len(weights["visual_projection.weight"])),
    }
    for leaf in ("weight", "bias"):
        named |= {f"{timm}.{leaf}": vision[f"{ours}.{leaf}"] for ours, timm in _VISION.items()}
        index = 0
        while (layer := f"encoder.layers.{index}") + ".self_attn.q_proj.bias" in vision:
            named[f"blocks.{index}.attn.qkv.{leaf}"] = torch.cat([vision[f"{layer}.self_attn.{part}_proj.{leaf}"] for part in "qkv"])
            named |= {f"blocks.{index}.{timm}.{leaf}": vision[f"{layer}.{theirs}.{leaf}"] for theirs, timm in _BLOCK.items()}
            index += 1
    return named
