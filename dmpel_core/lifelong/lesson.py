"""One training: what is drawn, what acts, what is trained."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from dmpel_core.lifelong.batch import Batch, Source, act, draw
from dmpel_core.policy.policy import Policy
from dmpel_core.training.losses import imitation_loss
from dmpel_core.training.settings import LearnSettings

AFTER_TOWERS = ("proprioception.", "fusion.", "temporal.", "head.", "waypoint.")
GLANCES = 2
"""Stream of chance of the still pictures."""
FORKED = ("proprioception.", "fusion.", "head.")
"""Parts that TAIL and IsCiL keep whole for each task."""


class Lesson(nn.Module):
    """Imitation of what some sources show; `forward` is one step, as `dmpel_core.training.optimise` wants it.

    Subclasses act otherwise or add to the loss. All train with the settings, the schedule and the clipping of the run.

    Args:
        policy: What acts. Its parameters that require gradients are what is trained.
        sources: What is drawn from.
        settings: Of the training.
        looks: Whether the policy's trunk is trained too.

    Attributes:
        process: Which of several processes this is.
    """

    def __init__(self, policy: Policy, sources: Sequence[Source], settings: LearnSettings, *, looks: bool) -> None:
        super().__init__()
        self.policy, self.settings, self.looks, self.process = policy, settings, looks, 0
        self._sources = list(sources)

    @property
    def device(self) -> torch.device:
        """Where the policy is."""
        return self.policy.proprioception.mean.device

    def parameters_by_name(self) -> Mapping[str, Tensor]:
        """Return what is trained."""
        return {name: value for name, value in self.policy.named_parameters() if value.requires_grad}

    def forward(self, step: int) -> tuple[Tensor, Tensor]:
        """Return the negative log-likelihood of one batch and the error of the foreseen waypoints [dm]."""
        return self.glanced(step, self.losses(self.draw(step)))

    def glanced(self, step: int, losses: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Add the error of the waypoints foreseen from the still pictures of what is being learned, where there are some."""
        stills = [source.data.stills for source in self._sources if source.data.stills is not None]
        if not stills or not self.settings.stills:
            return losses
        sources, shape = [Source(part, part.frames) for part in stills], (self.settings.stills, 1)
        batch = draw(sources, step, self.settings, self.policy, looks=self.looks, device=self.device,
                     shape=shape, stream=GLANCES, process=self.process)  # fmt: skip
        _, way = self.losses(batch)  # there are no actions to be likely
        return losses[0], losses[1] + way

    def draw(self, step: int) -> Batch:
        """Draw the sequences of a step."""
        return self.drawn_from(self._sources, step)

    def drawn_from(self, sources: Sequence[Source], step: int, stream: int = 0) -> Batch:
        """Draw this process's sequences of a step from some sources; see `draw`."""
        return draw(sources, step, self.settings, self.policy, looks=self.looks, device=self.device, stream=stream, process=self.process)

    def losses(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return both losses of a batch."""
        answer, ways = act(self.policy, batch)
        return imitation_loss(answer, ways, batch.sequences, batch.waypoints)


def trainable(policy: Policy, parts: Sequence[str] | None = None) -> dict[str, Tensor]:
    """Return the weights by name that a full fine-tuning trains, or those of some parts.

    The text tower's frozen half stays as it is, in the small preset the whole tower: its words come from another training than the
    robot's, and a few sentences would spoil it.

    Args:
        policy: The backbone.
        parts: How the names begin; None for all.
    """
    text = ("text.blocks.", "text.norm.", "text.projection.") if policy.text.stored else ()
    wanted = parts if parts is not None else (*AFTER_TOWERS, "image.", *text)
    return {name: value for name, value in policy.named_parameters() if name.startswith(tuple(wanted)) and ".unused." not in name}
