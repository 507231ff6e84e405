"""Parameter names of the official policy and ours, both ways.

Nothing is computed: tensors are renamed, cut apart and joined, so that a round trip gives the same bits. Our backbone keeps the
text tower's query, key and value layers in one tensor, and each expert apart; the official code stacks the experts of a layer.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dmpel_core.errors import DmpelError
from dmpel_core.policy.presets import CLIP_VIT_B16
from dmpel_core.policy.sizes import LanguageSizes, PolicySizes, VisionSizes

IMAGE, TEXT, TEMPORAL = "image_encoder_spatial.model", "language_encoder_spatial.model", "temporal_transformer.layers"
FREQUENCIES = "temporal_transformer_position_encoding_fn.inv_freq"
FROZEN = "_frozen_mask"
POSITION_IDS = f"{TEXT}.embeddings.position_ids"

_LEAVES = ("weight", "bias")
_IMAGE_BLOCK = {
    "norm1": "norm1", "attention.qkv": "attn.qkv", "attention.out": "attn.proj", "norm2": "norm2", "up": "mlp.fc1", "down": "mlp.fc2",
}  # fmt: skip
_TEXT_BLOCK = {
    "norm1": "layer_norm1", "attention.out": "self_attn.out_proj", "norm2": "layer_norm2", "up": "mlp.fc1", "down": "mlp.fc2",
}  # fmt: skip
_TEMPORAL_BLOCK = {
    "norm1": "0.norm", "attention.qkv": "1.qkv", "attention.out": "1.output_layer.0", "norm2": "2.norm", "up": "3.net.0", "down": "3.net.3",
}  # fmt: skip
_LINEARS = {
    "proprioception.joints": "extra_encoder.encoders.0.0",
    "proprioception.gripper": "extra_encoder.encoders.1.0",
    "fusion.hidden": "fusion_module.0",
    "fusion.out": "fusion_module.2",
    "head.mean": "policy_head.mean_layer",
    "head.deviation": "policy_head.logstd_layer",
    "head.logits": "policy_head.logits_layer",
}


@dataclass(frozen=True)
class Layout:
    """What the names depend on.

    Attributes:
        image: Blocks of the image tower before and after the first adapted one.
        text: The same of the text tower.
        temporal: Blocks of the temporal transformer.
        share: Shared layers of the head.
        unused: Whether the image tower has its unused projection.
    """

    image: tuple[int, int]
    text: tuple[int, int]
    temporal: int
    share: int
    unused: bool

    @classmethod
    def of(cls, sizes: PolicySizes) -> "Layout":
        """Return the layout of a policy.

        Raises:
            DmpelError: The policy is not of the published architecture.
        """
        vision, language = sizes.vision, sizes.language
        if vision is None or language is None:
            raise DmpelError("only a policy with CLIP's towers has official names, this one is of the small preset")
        first, start = vision.adapted[0], language.adapted[0]
        return cls((first, vision.depth - first), (start, language.depth - start), sizes.temporal_blocks, sizes.head_layers + 1,
                   vision.unused > 0)  # fmt: skip

    @classmethod
    def of_backbone(cls, names: Iterable[str]) -> "Layout":
        """Return the layout that our backbone names have."""
        names = list(names)
        image, text = ((_count(names, f"{part}.frozen."), _count(names, f"{part}.blocks.")) for part in ("image", "text"))
        if "image.class_token" not in names or not text[1]:
            raise DmpelError("only a policy with CLIP's towers has official names, this backbone has other towers")
        return cls(image, text, _count(names, "temporal.blocks."), _count(names, "head.share."), "image.unused.weight" in names)


def backbone_names(layout: Layout) -> dict[str, tuple[str, ...]]:
    """Return, for each tensor of our backbone, the official one, or the three that it joins along its first axis."""
    table = {
        "image.class_token": f"{IMAGE}.cls_token",
        "image.position": f"{IMAGE}.pos_embed",
        "image.patches.weight": f"{IMAGE}.patch_embed.proj.weight",
        "text.words.weight": f"{TEXT}.embeddings.token_embedding.weight",
        "text.position.weight": f"{TEXT}.embeddings.position_embedding.weight",
        "text.projection.weight": "language_encoder_spatial.post_proj.weight",
    }
    layers = {"image.norm_pre": f"{IMAGE}.norm_pre", "image.norm": f"{IMAGE}.norm", "text.norm": f"{TEXT}.final_layer_norm", **_LINEARS}
    layers |= {"image.unused": f"{IMAGE}.head"} if layout.unused else {}
    layers |= {f"head.share.{index}": f"policy_head.share.{2 * index}" for index in range(layout.share)}  # ReLUs stand between
    for ours, theirs in _blocks("image", layout.image, f"{IMAGE}.blocks"):
        layers |= {f"{ours}.{a}": f"{theirs}.{b}" for a, b in _IMAGE_BLOCK.items()}
    for ours, theirs in _blocks("text", layout.text, f"{TEXT}.encoder.layers"):
        layers |= {f"{ours}.{a}": f"{theirs}.{b}" for a, b in _TEXT_BLOCK.items()}
    for ours, theirs in _blocks("temporal", (0, layout.temporal), TEMPORAL):
        layers |= {f"{ours}.{a}": f"{theirs}.{b}" for a, b in _TEMPORAL_BLOCK.items()}
    table |= {f"{ours}.{leaf}": f"{theirs}.{leaf}" for ours, theirs in layers.items() for leaf in _LEAVES}
    for index in range(layout.temporal):
        del table[f"temporal.blocks.{index}.attention.qkv.bias"]  # the temporal transformer has none
    joined: dict[str, tuple[str, ...]] = {ours: (theirs,) for ours, theirs in table.items()}
    for ours, theirs in _blocks("text", layout.text, f"{TEXT}.encoder.layers"):
        joined |= {f"{ours}.attention.qkv.{leaf}": tuple(f"{theirs}.self_attn.{p}_proj.{leaf}" for p in "qkv") for leaf in _LEAVES}
    return joined


def factor_names(layout: Layout) -> dict[str, str]:
    """Return, for each factor that an expert may have, the official stack of all experts' factors."""
    table: dict[str, str] = {}
    fused = [*_blocks("image", layout.image, f"{IMAGE}.blocks", "attn.qkv"), *_blocks("temporal", (0, layout.temporal), TEMPORAL, "1.qkv")]
    for ours, theirs in fused:
        table |= {f"{ours}.attention.qkv.{p}.{letter}": f"{theirs}.{letter}_{p}_pool" for p in "qv" for letter in "AB"}
    linears = dict(_LINEARS) | {f"head.share.{index}": f"policy_head.share.{2 * index}" for index in range(layout.share)}
    for ours, theirs in _blocks("text", layout.text, f"{TEXT}.encoder.layers"):
        linears |= {f"{ours}.attention.qkv.{p}": f"{theirs}.self_attn.{p}_proj" for p in "qv"}
    for ours, theirs in linears.items():
        table |= {f"{ours}.{leaf}": f"{theirs}.{leaf}_pool" for leaf in ("A", "B", "bias")}
    return table


def sizes_of(state: Mapping[str, Tensor], base: PolicySizes = CLIP_VIT_B16) -> PolicySizes:
    """Return the sizes of an official policy.

    Args:
        state: Official state dict, with or without experts and router.
        base: Everything that no shape tells: heads, window, top-k, dropout, cameras, switches of the router query.

    Raises:
        DmpelError: A tensor is missing that is needed to tell.
    """
    vision, language = base.vision or VisionSizes(), base.language or LanguageSizes()
    patches, share = _shape(state, f"{IMAGE}.patch_embed.proj.weight"), _count(state, "policy_head.share.")
    words, mean = _shape(state, f"{TEXT}.embeddings.token_embedding.weight"), _shape(state, "policy_head.mean_layer.weight")
    side = int((_shape(state, f"{IMAGE}.pos_embed")[1] - 1) ** 0.5)
    modes = _shape(state, "policy_head.logits_layer.weight")[0]
    head = f"{IMAGE}.head.weight"
    ranks = _ranks(state)
    image_depth, text_depth = _count(state, f"{IMAGE}.blocks."), _count(state, f"{TEXT}.encoder.layers.")
    return replace(
        base,
        image_width=patches[0],
        width=_shape(state, "extra_encoder.encoders.0.0.weight")[0],
        film_hidden=_shape(state, "fusion_module.0.weight")[0],
        temporal_blocks=_count(state, f"{TEMPORAL}."),
        temporal_hidden=_shape(state, f"{TEMPORAL}.0.3.net.0.weight")[0],
        head_hidden=mean[1],
        head_layers=share - 1,
        modes=modes,
        action=mean[0] // modes,
        rank=ranks.get("policy_head.mean_layer.A_pool", base.rank),
        tower_rank=next((rank for name, rank in ranks.items() if name.startswith((IMAGE, TEXT))), base.tower_rank),
        expert_bias="policy_head.mean_layer.bias_pool" in state if ranks else base.expert_bias,
        router_hidden=_shape(state, "moe_router.encoder.0.weight")[0] if "moe_router.encoder.0.weight" in state else base.router_hidden,
        router_shared=_router_is_shared(state) if ranks and "moe_router.encoder.4.weight" in state else base.router_shared,
        vision=replace(
            vision, pixels=side * patches[2], patch=patches[2], depth=image_depth,
            adapted=_adapted(state, f"{IMAGE}.blocks", "attn.qkv.A_q_pool", vision.adapted, image_depth),
            hidden=_shape(state, f"{IMAGE}.blocks.0.mlp.fc1.weight")[0], unused=_shape(state, head)[0] if head in state else 0,
        ),
        language=replace(
            language, width=words[1], vocabulary=words[0], depth=text_depth,
            adapted=_adapted(state, f"{TEXT}.encoder.layers", "self_attn.q_proj.A_pool", language.adapted, text_depth),
            positions=_shape(state, f"{TEXT}.embeddings.position_embedding.weight")[0],
            hidden=_shape(state, f"{TEXT}.encoder.layers.0.mlp.fc1.weight")[0],
            outputs=_shape(state, "language_encoder_spatial.post_proj.weight")[0],
        ),
    )  # fmt: skip


def backbone_from_official(state: Mapping[str, Tensor], sizes: PolicySizes | None = None) -> dict[str, Tensor]:
    """Return our backbone's tensors. Joints and fingers are not normalised: the official policy takes them as they are.

    Raises:
        DmpelError: A tensor is missing.
    """
    table = backbone_names(Layout.of(sizes or sizes_of(state)))
    missing = sorted(name for names in table.values() for name in names if name not in state)
    if missing:
        raise DmpelError(f"the official checkpoint lacks {len(missing)} tensors of the backbone: {', '.join(missing)}")
    backbone = {ours: torch.cat([_tensor(state[name]) for name in names]) if len(names) > 1 else _tensor(state[names[0]])
                for ours, names in table.items()}  # fmt: skip
    inputs = sum(_shape(state, f"extra_encoder.encoders.{index}.0.weight")[1] for index in range(2))
    return {**backbone, "proprioception.mean": torch.zeros(inputs), "proprioception.std": torch.ones(inputs)}


def experts_from_official(state: Mapping[str, Tensor], sizes: PolicySizes | None = None) -> list[dict[str, Tensor]]:
    """Return each expert's factors, `<module>.A` (inputs, rank) and `<module>.B` (rank, outputs); none of a pretrained policy."""
    table = {ours: name for ours, name in factor_names(Layout.of(sizes or sizes_of(state))).items() if name in state}
    counts = {name: len(state[name]) for name in table.values()}
    if len(set(counts.values())) > 1:
        fewest = min(counts, key=lambda name: counts[name])
        raise DmpelError(f"{fewest} holds {counts[fewest]} experts, other layers hold {max(counts.values())}: the checkpoint is damaged")
    experts = next(iter(counts.values()), 0)
    return [{ours: _tensor(state[name])[index].clone() for ours, name in table.items()} for index in range(experts)]


def router_from_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the router's tensors; none of a pretrained policy."""
    prefix = "moe_router.encoder."
    return {f"net.{name.removeprefix(prefix)}": _tensor(value) for name, value in state.items() if name.startswith(prefix)}


def to_official(
    backbone: Mapping[str, Tensor], experts: Sequence[Mapping[str, Tensor]] = (), router: Mapping[str, Tensor] | None = None,
    *, position_ids: bool = False,
) -> dict[str, Tensor]:  # fmt: skip
    """Return a state dict under the official names.

    Args:
        backbone: Our backbone's tensors.
        experts: Factors of each expert; the last one is marked as the one in training.
        router: The router's tensors.
        position_ids: Add the text model's position numbers, a buffer that transformers before 4.31 keeps in its state dict.

    Raises:
        DmpelError: The policy has other towers, or normalises joints and fingers, which the official one cannot.
    """
    layout = Layout.of_backbone(backbone)
    mean, std = _tensor(backbone["proprioception.mean"]), _tensor(backbone["proprioception.std"])
    if not mean.is_meta and not (bool((mean == 0).all()) and bool((std == 1).all())):
        raise DmpelError("this policy normalises joints and fingers, the official one takes them as they are: it cannot be exported")
    state: dict[str, Tensor] = {}
    for ours, names in backbone_names(layout).items():
        state |= zip(names, _tensor(backbone[ours]).chunk(len(names)), strict=True)
    width = len(state[f"{TEMPORAL}.0.0.norm.weight"])
    state[FREQUENCIES] = 1.0 / (10 ** (torch.arange(0, width, 2).float() / width))
    if position_ids:
        state[POSITION_IDS] = torch.arange(len(backbone["text.position.weight"]))[None]
    table = factor_names(layout)
    for ours in experts[0] if experts else ():
        state[table[ours]] = torch.stack([_tensor(expert[ours]) for expert in experts])
        mask = f"{re.sub(r'[.][^.]+_pool$', '', table[ours])}.{FROZEN}"
        state[mask] = torch.arange(len(experts)) < len(experts) - 1
    return state | {f"moe_router.encoder.{name.removeprefix('net.')}": _tensor(value) for name, value in (router or {}).items()}


def _tensor(value: Tensor) -> Tensor:
    """Return a tensor, made of an array where one was given."""
    return torch.as_tensor(value)


def _shape(state: Mapping[str, Tensor], name: str) -> tuple[int, ...]:
    if name not in state:
        raise DmpelError(f"the official checkpoint has no tensor {name}: it is truncated, or of another policy")
    return tuple(state[name].shape)


def _count(names: Iterable[str], prefix: str) -> int:
    """Return how many different parts follow a prefix in names like `<prefix><part>.weight`."""
    return len({name.removeprefix(prefix).partition(".")[0] for name in names if name.startswith(prefix)})


def _blocks(part: str, halves: tuple[int, int], theirs: str, layer: str = "") -> list[tuple[str, str]]:
    """Return our and the official name of every block of a transformer, or of one layer's owner in it."""
    frozen, rest = halves
    suffix = f".{layer}" if layer else ""
    pairs = [(f"{part}.frozen.{index}", f"{theirs}.{index}{suffix}") for index in range(frozen)]
    return pairs + [(f"{part}.blocks.{index}", f"{theirs}.{frozen + index}{suffix}") for index in range(rest)]


def _ranks(state: Mapping[str, Tensor]) -> dict[str, int]:
    return {name: _shape(state, name)[2] for name in state if re.search(r"[.]A(_q|_v)?_pool$", name)}


def _adapted(state: Mapping[str, Tensor], blocks: str, factor: str, default: tuple[int, ...], depth: int) -> tuple[int, ...]:
    """Return the adapted blocks of a tower: those with factors, and in a pretrained policy the default ones or the upper half."""
    found = tuple(index for index in range(depth) if f"{blocks}.{index}.{factor}" in state)
    if found:
        return found
    return default if default[-1] == depth - 1 else tuple(range(depth // 2, depth))


def _router_is_shared(state: Mapping[str, Tensor]) -> bool:
    experts, outputs = (_shape(state, name)[0] for name in ("policy_head.mean_layer.A_pool", "moe_router.encoder.4.weight"))
    if outputs not in (experts, 6 * experts):
        raise DmpelError(f"the router has {outputs} outputs for {experts} experts, expected {experts} or {6 * experts}")
    return outputs == experts
