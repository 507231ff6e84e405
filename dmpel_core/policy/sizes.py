"""Every size and switch of the network in one place."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from dmpel_core.errors import DmpelError

LORA_ALPHA = 16  # the paper's scale of a low-rank update is alpha / rank
MEAN = (0.48145466, 0.4578275, 0.40821073)  # of the pictures that CLIP was trained on, for each colour
STD = (0.26862954, 0.26130258, 0.27577711)
CROP = 0.9  # share of the resized picture's side that CLIP's tower sees


@dataclass(frozen=True)
class VisionSizes:
    """A vision transformer as image tower; the defaults are CLIP's ViT-B/16.

    Attributes:
        pixels: Side of the square picture that the tower sees [px]; pictures are resized and cropped to it.
        patch: Side of a patch [px].
        depth: Transformer blocks.
        adapted: Blocks whose query and value experts adapt. Those before the first one run once for each picture.
        heads: Attention heads of a block.
        hidden: Hidden width of a block's MLP.
        activation: One of `dmpel_core.policy.transformer.ACTIVATIONS`. OpenAI trained CLIP with `quick_gelu`; the published policy
            was trained with `gelu` on top of these weights, so that is the default.
        unused: Outputs of a projection that no feature passes through and that the published weights contain; 0 for none.
    """

    pixels: int = 224
    patch: int = 16
    depth: int = 12
    adapted: tuple[int, ...] = (6, 7, 8, 9, 10, 11)
    heads: int = 12
    hidden: int = 3072
    activation: str = "gelu"
    unused: int = 512


@dataclass(frozen=True)
class LanguageSizes:
    """CLIP's text model as text tower; the defaults are those of CLIP ViT-B/16.

    Attributes:
        width: Width of the tokens.
        depth: Transformer blocks.
        adapted: Blocks whose query and value experts adapt. Those before the first one run once for each instruction.
        heads: Attention heads of a block.
        hidden: Hidden width of a block's MLP.
        positions: Most tokens that the position embedding knows.
        tokens: Most tokens of an instruction; longer ones are cut.
        vocabulary: Number of token ids.
        end: Id of the end-of-text token, at which the sentence is read out.
        outputs: Width of the sentence's embedding.
    """

    width: int = 512
    depth: int = 12
    adapted: tuple[int, ...] = (6, 7, 8, 9, 10, 11)
    heads: int = 8
    hidden: int = 2048
    positions: int = 77
    tokens: int = 25
    vocabulary: int = 49408
    end: int = 49407
    outputs: int = 512


@dataclass(frozen=True)
class PolicySizes:
    """Sizes of a policy; the defaults are the `small` preset, which trains and runs on two processor cores.

    Attributes:
        cameras: Camera names in token order.
        pixels: Side of the square pictures that are kept for training and given to the image tower [px].
        image_width: Width of the image tower's tokens.
        image_blocks: Transformer blocks in the adapted half of the convolutional image tower.
        width: Width of the fused tokens (paper: 768).
        heads: Attention heads of the temporal transformer and of the convolutional image tower's blocks.
        mlp_ratio: Hidden width of their MLPs over their own width.
        film_hidden: Hidden width of the FiLM network.
        temporal_blocks: Blocks of the temporal transformer.
        window: Ticks that the temporal transformer sees, and over which the router query is averaged.
        head_hidden: Hidden width of the mixture head.
        modes: Gaussians in the mixture.
        action: Numbers in one action.
        chunk: Future actions predicted at each tick (paper: 1).
        minimum_std: Floor of the mixture's standard deviations (paper: 1e-4).
        dropout: Dropout on what the temporal transformer's attention and MLP add.
        rank: Rank of every expert factor outside the towers; the low-rank update is scaled by 16 / rank.
        router_hidden: Hidden width of the router.
        top_k: Experts mixed in each module group.
        vision: Sizes of a vision transformer; None for the convolutional image tower.
        language: Sizes of CLIP's text model; None for the pretrained MiniLM.
        tower_rank: Rank of the expert factors in both towers; 0 for `rank`.
        adapt: What experts adapt in a transformer block: `all` its layers, or `query_value`.
        expert_bias: Whether experts also have biases in the proprioception, fusion and head layers (official `tune_bias`).
        temporal_hidden: Hidden width of the temporal transformer's MLPs; 0 for `mlp_ratio` times `width`.
        temporal_activation: Activation of the temporal transformer's MLPs.
        hidden_dropout: Dropout inside the temporal transformer's MLPs.
        drop_path: Chance that a sample skips an MLP of the temporal transformer.
        head_layers: Layers with a ReLU in the mixture head, before the one without.
        waypoint: Whether the temporal feature also foretells waypoints, for training only.
        router_shared: Whether one coefficient for each expert serves all module groups.
        query_mean: Whether the router query holds the mean class tokens.
        query_difference: Whether the router query holds the last class tokens of a sequence minus the first.
        query_state: Whether the router query holds joints and fingers.
        mixture_interval: Ticks from one routing to the next while the policy runs.
    """

    cameras: tuple[str, ...] = ("agentview", "eye_in_hand")
    pixels: int = 96
    image_width: int = 128
    image_blocks: int = 2
    width: int = 192
    heads: int = 8
    mlp_ratio: int = 2
    film_hidden: int = 128
    temporal_blocks: int = 4
    window: int = 10
    head_hidden: int = 256
    modes: int = 5
    action: int = 7
    chunk: int = 8
    minimum_std: float = 0.1
    dropout: float = 0.1
    rank: int = 16
    router_hidden: int = 256
    top_k: int = 3
    # Fields below came later: a library that does not name them means their defaults, and none is written that has its default.
    vision: VisionSizes | None = None
    language: LanguageSizes | None = None
    tower_rank: int = 0
    adapt: str = "all"
    expert_bias: bool = False
    temporal_hidden: int = 0
    temporal_activation: str = "gelu"
    hidden_dropout: float = 0.0
    drop_path: float = 0.0
    head_layers: int = 2
    waypoint: bool = True
    router_shared: bool = False
    query_mean: bool = True
    query_difference: bool = False
    query_state: bool = True
    mixture_interval: int = 1

    def to_json(self) -> dict[str, Any]:
        """Return the sizes as plain JSON values."""
        values = {name: _plain(value) for name, value in asdict(self).items()}
        return {name: value for name, value in values.items() if name not in _LATER or value != _plain(_LATER[name])}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "PolicySizes":
        """Build the sizes from `to_json`'s output.

        Raises:
            DmpelError: A name is unknown or missing.
        """
        values = {name: value for name, value in values.items() if name not in RETIRED}
        known = {field.name for field in fields(cls)}
        _check_names("policy", set(values), known, known - set(_LATER))
        plain: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        for name, tower in (("vision", VisionSizes), ("language", LanguageSizes)):
            if plain.get(name) is not None:
                plain[name] = _tower(tower, plain[name])
        return cls(**plain)


def _later() -> dict[str, Any]:
    """Return the fields that the first libraries did not name, with their defaults."""
    names = [field.name for field in fields(PolicySizes)]
    return {field.name: field.default for field in fields(PolicySizes) if names.index(field.name) >= names.index("vision")}


_LATER = _later()
RETIRED = ("coefficient_dropout",)  # a setting of the training now, which first libraries name here


def _plain(value: Any) -> Any:
    """Return a size as JSON holds it: lists for tuples."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _tower(kind: type[VisionSizes] | type[LanguageSizes], values: Mapping[str, Any]) -> VisionSizes | LanguageSizes:
    """Build the sizes of one tower."""
    known = {field.name for field in fields(kind)}
    _check_names("tower", set(values), known, known)
    plain: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return kind(**plain)


def _check_names(what: str, found: set[str], known: set[str], needed: set[str]) -> None:
    if found - known or needed - found:
        raise DmpelError(
            f"{what} sizes do not fit this version: unknown {sorted(found - known)}, missing {sorted(needed - found)}; "
            "use the version of dmpel that wrote them"
        )
