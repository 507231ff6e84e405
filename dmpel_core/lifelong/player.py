"""A student in execution, tick by tick, and what it chose."""

from collections import deque
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from dmpel_core.inference.engine import Tick
from dmpel_core.inference.ensemble import ChunkEnsemble
from dmpel_core.inference.torch_engine import frames_of
from dmpel_core.lifelong.student import Student
from dmpel_core.lifelong.switching import Episode
from dmpel_core.observation import Observation
from dmpel_core.policy.adapted import Mixture
from dmpel_core.policy.policy import Policy


@dataclass(frozen=True)
class Acting:
    """What follows from one tick's coefficients (1, 6, slots) and the instruction alone.

    Attributes:
        coefficients: Whose slots act, and how strongly.
        policy: Whose weights act.
        mixture: Mixed factors; None where there are none.
        text: (1, text_width), the instruction after the adapted half of the text tower.
    """

    coefficients: Tensor
    policy: Policy
    mixture: Mixture | None
    text: Tensor


class StudentEngine:
    """Runs one student as `dmpel_core.inference.torch_engine.TorchEngine` runs a library.

    It needs no more of the engine's protocol than episodes in simulation do.

    Attributes:
        used: Coefficients (6, slots) of every tick so far.
    """

    def __init__(self, student: Student) -> None:
        self.student = student
        self.used: list[np.ndarray] = []
        self._actions: list[np.ndarray] = []
        self._starts = [0]
        window = student.base.sizes.window
        self._queries: deque[Tensor] = deque(maxlen=window)
        self._tokens: deque[Tensor] = deque(maxlen=window)
        self._ensemble = ChunkEnsemble()
        self._acting: Acting | None = None

    @property
    def expert_names(self) -> tuple[str, ...]:
        """Numbers of the slots."""
        return tuple(map(str, range(len(self.student.slots))))

    @property
    def generation(self) -> int:
        """A student has no generations."""
        return 0

    @torch.inference_mode()
    def set_instruction(self, instruction: str) -> None:
        """Change the instruction from the next tick on."""
        base = self.student.base
        self._words = base.text.trunk(instruction)
        self._text = base.text.encode(self._words)
        self._acting = None

    def reset(self) -> None:
        """Forget the observation window and the planned actions: another episode begins."""
        self._starts.append(len(self.used))
        self._queries.clear()
        self._tokens.clear()
        self._ensemble.reset()

    @torch.inference_mode()
    def tick(self, observation: Observation) -> Tick:
        """Compute one action from one observation."""
        student, query = self.student, None
        frames = frames_of(student.policies[0], observation)  # where several slots are to choose from, they share the trunk
        if student.chooser is not None:
            self._queries.append(student.base.sequence_query(student.base.query(frames, self._text)))
            query = torch.stack(list(self._queries)).mean(0)
        coefficients = student.coefficients(query, 1)
        if self._acting is None or not torch.equal(self._acting.coefficients, coefficients):
            self._acting = self._acting_with(coefficients)
        policy, mixture = self._acting.policy, self._acting.mixture
        self._tokens.append(policy.tokens(frames, self._acting.text, mixture)[0])
        answer = policy.act(torch.cat(list(self._tokens))[None], mixture)
        self.used.append(coefficients[0].numpy())
        self._actions.append(self._ensemble.next(answer.mode()[0, -1].numpy()))
        return Tick(self._actions[-1], self.used[-1], 0)

    def _acting_with(self, coefficients: Tensor) -> Acting:
        """Mix, and read the instruction; most algorithms act with the same coefficients for many ticks."""
        policy, mixture = self.student.policies[int(self.student.owner(coefficients))], self.student.mixture(coefficients)
        return Acting(coefficients, policy, mixture, policy.text.encode(self._words, mixture))

    def episodes(self) -> list[Episode]:
        """Return the coefficients and the actions of every episode so far."""
        spans = [slice(first, end) for first, end in pairwise([*self._starts, len(self.used)]) if end > first]
        return [(np.stack(self.used[span]), np.stack(self._actions[span])) for span in spans]

    def catch_up(self) -> None:
        """Do nothing: a tick leaves nothing for later."""

    def load(self, library: object, generation: int | None = None) -> None:
        """Refuse: a student is what it is."""
        raise NotImplementedError(f"a student cannot load {library} generation {generation}")


def routing(used: list[np.ndarray]) -> dict[str, list]:
    """Return what was chosen over many ticks.

    Returns:
        `share` (6, slots): on which share of the ticks a slot was the strongest of its group; `mean` (6, slots): mean coefficients;
        `entropy` (6,): mean entropy of the coefficients, each tick's divided by their sum [bit].
    """
    all_ticks = np.stack(used)  # (ticks, 6, slots)
    slots = all_ticks.shape[-1]
    share = np.stack([np.bincount(row, minlength=slots) for row in all_ticks.argmax(-1).T]) / len(all_ticks)
    p = all_ticks / np.maximum(all_ticks.sum(-1, keepdims=True), 1e-12)
    entropy = -(p * np.log2(np.maximum(p, 1e-12))).sum(-1).mean(0)
    return {name: np.round(values, 4).tolist() for name, values in (("share", share), ("mean", all_ticks.mean(0)), ("entropy", entropy))}
