"""Every size and switch of the network in one place."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from dmpel_core.errors import DmpelError


@dataclass(frozen=True)
class PolicySizes:
    """Sizes of a policy; the defaults are the `small` preset, which trains and runs on two processor cores.

    Attributes:
        cameras: Camera names in token order.
        pixels: Side of the square picture that the image tower sees [px].
        image_width: Width of the image tower's tokens.
        image_blocks: Transformer blocks in the image tower's adapted half.
        width: Width of the fused tokens (paper: 768).
        heads: Attention heads in every transformer block.
        mlp_ratio: Hidden width of a block's MLP over its own width.
        film_hidden: Hidden width of the FiLM network.
        temporal_blocks: Blocks of the temporal transformer.
        window: Ticks that the temporal transformer sees, and over which the router query is averaged.
        head_hidden: Hidden width of the mixture head.
        modes: Gaussians in the mixture.
        action: Numbers in one action.
        chunk: Future actions predicted at each tick (paper: 1).
        minimum_std: Floor of the mixture's standard deviations (paper: 1e-4).
        dropout: Dropout in the temporal transformer.
        rank: Rank of every expert factor; the low-rank update is scaled by 16 / rank.
        router_hidden: Hidden width of the router.
        top_k: Experts mixed in each module group.
        coefficient_dropout: Dropout on the coefficients while an expert is trained.
    """

    cameras: tuple[str, ...] = ("agentview", "eye_in_hand")
    pixels: int = 64
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
    coefficient_dropout: float = 0.15

    def to_json(self) -> dict[str, Any]:
        """Return the sizes as plain JSON values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "PolicySizes":
        """Build the sizes from `to_json`'s output.

        Raises:
            DmpelError: A name is unknown or missing.
        """
        known = {field.name for field in fields(cls)}
        if known != set(values):
            raise DmpelError(
                f"policy sizes do not fit this version: unknown {sorted(set(values) - known)}, missing {sorted(known - set(values))}; "
                "use the version of dmpel that wrote the library"
            )
        plain: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        return cls(**plain)
