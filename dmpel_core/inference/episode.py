"""One episode of a policy with its experts: the window of the last ticks, and what is carried from one to the next."""

from collections import deque

import torch
from torch import Tensor

from dmpel_core.experts.pool import ExpertPool
from dmpel_core.experts.router import Router
from dmpel_core.policy.adapted import Mixture
from dmpel_core.policy.head import ActionMixture
from dmpel_core.policy.policy import Frames, Policy
from dmpel_core.policy.sizes import PolicySizes


class Episode:
    """Routes, mixes and acts tick by tick.

    The tokens of earlier ticks stay as their own tick's mixture made them; the temporal transformer and the head use the mixture
    of now for the whole window.
    """

    def __init__(self, sizes: PolicySizes) -> None:
        self._interval = sizes.mixture_interval
        self._queries: deque[Tensor] = deque(maxlen=sizes.window)
        self._tokens: deque[Tensor] = deque(maxlen=sizes.window)
        self.reset()

    def reset(self) -> None:
        """Forget everything: a new episode starts at the next tick."""
        self._queries.clear()
        self._tokens.clear()
        self._ticks = 0
        self._features: Tensor | None = None
        self._mixed: tuple[ExpertPool, Mixture, Tensor] | None = None

    def tick(
        self, policy: Policy, pool: ExpertPool | None, router: Router | None, frames: Frames, words: Tensor, text: Tensor
    ) -> tuple[ActionMixture, Tensor | None]:
        """Return the action mixture of one tick, and the coefficients in use.

        Args:
            policy: The frozen backbone.
            pool: The experts; None for the backbone alone.
            router: Their router.
            frames: One tick, (1, 1).
            words: (1, tokens, width), the instruction after the frozen half of the text tower.
            text: (1, text_width), the instruction's frozen embedding.

        Returns:
            The mixture (1, ...), and coefficients (1, 6, experts) or None.
        """
        mixture, coefficients = None, None
        if pool is not None and router is not None:
            mixture, coefficients = self._mix(policy, pool, router, frames, text)
            text = policy.text.encode(words, mixture)
        self._tokens.append(policy.tokens(frames, text, mixture)[0])  # (1, tokens, width)
        answer = policy.act(torch.cat(list(self._tokens))[None], mixture)
        return ActionMixture(answer.logits[:, -1], answer.mean[:, -1], answer.std[:, -1]), coefficients

    def _mix(self, policy: Policy, pool: ExpertPool, router: Router, frames: Frames, text: Tensor) -> tuple[Mixture, Tensor]:
        """Route and mix, or keep the last mixture between two routings; new experts are always routed to at once."""
        due = self._ticks % self._interval == 0
        self._ticks += 1
        if self._mixed is None or self._features is None or self._mixed[0] is not pool or due:
            self._features = policy.query(frames, text)
            self._remember(policy)
            coefficients = router(torch.stack(list(self._queries)).mean(0))
            self._mixed = (pool, pool.mix(coefficients), coefficients)
        else:  # the frozen pass over the picture is spared: the last one counts again, with the joints of now
            state = policy.proprioception.normalise(frames.joints, frames.gripper)
            self._features = torch.cat([self._features[..., : -state.shape[-1]], state], -1)
            self._remember(policy)
        return self._mixed[1:]

    def _remember(self, policy: Policy) -> None:
        assert self._features is not None
        self._queries.append(policy.sequence_query(self._features))  # (1, query_width)
