"""What pretraining and the learning of an expert minimise."""

import torch.nn.functional as F
from torch import Tensor

from dmpel_core.errors import DmpelError
from dmpel_core.policy.head import ActionMixture
from dmpel_core.training.episodes import Sequences

FORESEES_NOTHING = "still pictures teach waypoints, and this policy foresees none; leave out --stills"


def imitation_loss(mixture: ActionMixture, foreseen: Tensor | None, batch: Sequences, waypoints: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean negative log-likelihood of the actions and the mean error of the foreseen waypoints.

    Args:
        mixture: Over the chunks of (batch, window) ticks.
        foreseen: (batch, window, 3) [dm]; None where the policy foresees nothing.
        batch: The demonstrated actions, and which ticks exist.
        waypoints: (batch, window, 3) [dm].
    """
    exists = batch.valid[..., 0]
    likelihood = mixture.negative_log_likelihood(batch.actions, batch.valid).sum() / exists.sum()
    if foreseen is None:
        return likelihood, likelihood.new_zeros(())
    return likelihood, (waypoint_loss(foreseen, waypoints) * exists).sum() / exists.sum()


def waypoint_loss(foreseen: Tensor | None, waypoints: Tensor) -> Tensor:
    """Return the error of each foreseen waypoint, (..., 3) -> (...) [dm].

    Raises:
        DmpelError: The policy foresees nothing.
    """
    if foreseen is None:
        raise DmpelError(FORESEES_NOTHING)
    return F.smooth_l1_loss(foreseen, waypoints, reduction="none", beta=0.1).mean(-1)
