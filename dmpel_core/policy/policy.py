"""The whole policy: towers, proprioception, FiLM fusion, temporal transformer, head."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmpel_core.errors import DmpelError
from dmpel_core.policy.adapted import AdaptedLinear, AdaptedModule, Mixture, name_adapted
from dmpel_core.policy.clip_text import ClipTextTower
from dmpel_core.policy.head import ActionMixture, MixtureHead
from dmpel_core.policy.image import ConvolutionalTower, ImageTower
from dmpel_core.policy.query import query_width, running_query, sequence_query
from dmpel_core.policy.sizes import PolicySizes
from dmpel_core.policy.temporal import TemporalTransformer
from dmpel_core.policy.text import TextTower
from dmpel_core.policy.vision import VisionTower

PART_GROUPS = {
    "image": "image",
    "text": "text",
    "proprioception": "proprioception",
    "fusion": "fusion",
    "temporal": "temporal",
    "head": "head",
}
JOINTS, FINGERS = 7, 2
TOKENIZER = "text.tokenizer"  # a tokenizer's file among the backbone's tensors, where the text tower is the backbone's own


@dataclass(frozen=True)
class Frames:
    """Consecutive ticks of a batch, after the frozen half of the image tower.

    Attributes:
        tokens: (batch, ticks, cameras, tokens, image_width), the trunk's output.
        joints: (batch, ticks, 7) [rad].
        gripper: (batch, ticks, 2) [m].
    """

    tokens: Tensor
    joints: Tensor
    gripper: Tensor


class Proprioception(nn.Module):
    """One token for the joints and one for the fingers, from positions normalised by the pretraining data."""

    mean: Tensor
    std: Tensor

    def __init__(self, sizes: PolicySizes) -> None:
        super().__init__()
        self.joints = AdaptedLinear(JOINTS, sizes.width)
        self.gripper = AdaptedLinear(FINGERS, sizes.width)
        self.register_buffer("mean", torch.zeros(JOINTS + FINGERS))
        self.register_buffer("std", torch.ones(JOINTS + FINGERS))

    def normalise(self, joints: Tensor, gripper: Tensor) -> Tensor:
        """Return (..., 9) with mean 0 and deviation 1 over the pretraining data."""
        return (torch.cat([joints, gripper], -1) - self.mean) / self.std

    def forward(self, normalised: Tensor, mixture: Mixture | None = None) -> Tensor:
        """Map (n, 9) to tokens (n, 2, width)."""
        joints, gripper = normalised.split([JOINTS, FINGERS], -1)
        return torch.stack([self.joints(joints, mixture), self.gripper(gripper, mixture)], -2)


class Fusion(nn.Module):
    """FiLM: the instruction scales and shifts every token, x <- (1 + gamma) x + beta."""

    def __init__(self, sizes: PolicySizes, text_width: int) -> None:
        super().__init__()
        self.hidden = AdaptedLinear(text_width, sizes.film_hidden)
        self.out = AdaptedLinear(sizes.film_hidden, 2 * sizes.width)

    def forward(self, tokens: Tensor, text: Tensor, mixture: Mixture | None = None) -> Tensor:
        """Modulate tokens (batch, ticks, count, width) by text (batch, text_width)."""
        h = F.gelu(self.hidden(text, mixture), approximate="tanh")
        beta, gamma = self.out(h, mixture)[:, None, None].chunk(2, -1)
        return (1 + gamma) * tokens + beta


class Policy(nn.Module):
    """The network without its experts: call `image.trunk` once per picture, then `query`, `tokens` and `act`."""

    def __init__(self, sizes: PolicySizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.image: ImageTower = VisionTower(sizes, sizes.vision) if sizes.vision else ConvolutionalTower(sizes)
        self.text: TextTower | ClipTextTower = ClipTextTower(sizes.language, sizes.adapt) if sizes.language else TextTower()
        self.proprioception = Proprioception(sizes)
        self.fusion = Fusion(sizes, self.text.width)
        self.temporal = TemporalTransformer(sizes)
        self.head = MixtureHead(sizes)
        if sizes.waypoint:
            self.waypoint = nn.Linear(sizes.width, 3)  # used in training only
        self.modules_adapted: list[AdaptedModule] = name_adapted(self, PART_GROUPS, sizes)

    @property
    def query_width(self) -> int:
        """Width of the router's query (paper: 2057)."""
        return query_width(self.sizes, self.text.width, JOINTS + FINGERS)

    def query(self, frames: Frames, text: Tensor) -> Tensor:
        """Return each tick's frozen features, from which `sequence_query` and `running_query` make the router's queries.

        Args:
            frames: A batch of ticks.
            text: (batch, text_width) or (1, text_width), the frozen sentence embedding.

        Returns:
            (batch, ticks, features): text, class token of each camera, joints, fingers.
        """
        batch, ticks = frames.tokens.shape[:2]
        classes = self.image.encode(frames.tokens.flatten(0, 1)).view(batch, ticks, -1)
        state = self.proprioception.normalise(frames.joints, frames.gripper)
        return torch.cat([text[:, None].expand(batch, ticks, -1), classes, state], -1)

    def sequence_query(self, ticks: Tensor) -> Tensor:
        """Return one router query (batch, query_width) for each sequence of `query`'s features (batch, ticks, features)."""
        return sequence_query(ticks, self.sizes, self.text.width)

    def running_query(self, ticks: Tensor) -> Tensor:
        """Return a router query for each tick of `query`'s features, from it and earlier ones, (batch, ticks, query_width)."""
        return running_query(ticks, self.sizes, self.text.width)

    def tokens(self, frames: Frames, text: Tensor, mixture: Mixture | None = None, state: Tensor | None = None) -> Tensor:
        """Return the fused tokens of each tick.

        Args:
            frames: A batch of ticks.
            text: (batch, text_width), the sentence embedding after the adapted half.
            mixture: Mixed factors with the frames' batch size, or None for the backbone alone.
            state: (batch, ticks, 9), normalised proprioception to use instead of the frames' own, as training noise does.

        Returns:
            (batch, ticks, 2 + cameras, width): joints, fingers, cameras.
        """
        batch, ticks, cameras = frames.tokens.shape[:3]
        if state is None:
            state = self.proprioception.normalise(frames.joints, frames.gripper)
        classes = self.image.encode(frames.tokens.flatten(0, 1), mixture)  # (batch * ticks, cameras, image_width)
        pictures = self.image.project(classes, mixture).view(batch, ticks, cameras, -1)
        body = self.proprioception(state, mixture)  # (batch, ticks, 2, width)
        return self.fusion(torch.cat([body, pictures], 2), text, mixture)

    def act(self, tokens: Tensor, mixture: Mixture | None = None, horizon: Tensor | None = None) -> ActionMixture:
        """Return the action mixture of each tick of a window of fused tokens (batch, ticks, 2 + cameras, width)."""
        return self.head(self.temporal(tokens, mixture, horizon), mixture)

    def act_and_foresee(
        self, tokens: Tensor, mixture: Mixture | None = None, horizon: Tensor | None = None
    ) -> tuple[ActionMixture, Tensor | None]:
        """Return `act`'s mixtures and each tick's foreseen way to the next gripper event, (batch, ticks, 3) [dm], if it foresees."""
        feature = self.temporal(tokens, mixture, horizon)
        return self.head(feature, mixture), self.waypoint(feature) if self.sizes.waypoint else None

    def backbone_state(self) -> dict[str, Tensor]:
        """Return what a library keeps: the weights, and the text encoder's only where no package carries them."""
        state = self.state_dict()
        if not self.text.stored:
            return {name: value for name, value in state.items() if not name.startswith("text.")}
        content = self.text.tokenizer_file if isinstance(self.text, ClipTextTower) else b""
        return {**state, TOKENIZER: torch.frombuffer(bytearray(content), dtype=torch.uint8)} if content else state

    def load_backbone(self, weights: Mapping[str, Tensor]) -> None:
        """Take what `backbone_state` returned.

        Raises:
            DmpelError: A tensor is missing, unexpected or of another shape.
        """
        given = dict(weights)
        tokenizer = given.pop(TOKENIZER, None)
        if tokenizer is not None and isinstance(self.text, ClipTextTower):
            self.text.set_tokenizer(tokenizer.numpy().tobytes())
        wanted = {name: value for name, value in self.state_dict().items() if self.text.stored or not name.startswith("text.")}
        odd = {name: (tuple(given[name].shape), tuple(wanted[name].shape)) for name in given.keys() & wanted.keys()}
        odd = {name: shapes for name, shapes in odd.items() if shapes[0] != shapes[1]}
        if odd or given.keys() != wanted.keys():
            raise DmpelError(
                f"this backbone does not fit the policy: missing {sorted(wanted.keys() - given.keys())}, "
                f"unexpected {sorted(given.keys() - wanted.keys())}, of another shape (given, wanted) {odd}"
            )
        self.load_state_dict(given, strict=False)
