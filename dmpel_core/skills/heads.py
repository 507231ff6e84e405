"""Auxiliary heads: what the policy is about, told from what a tick computes anyway. Numpy alone; training is elsewhere.

The router's last hidden layer knows instruction and scene, the temporal feature knows the last ticks. One small layer on both and
one linear read-out say the task's skill, the phase, how far the task has come and when the fingers will move next.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dmpel_core.experts.manifest import LibraryError
from dmpel_core.skills.vocabulary import PHASES, SKILLS

LATEST = 100
"""Ticks; gripper events further away are told as this."""
OTHERS = 2
"""Outputs after the skills and phases: logit of the progress, logarithm of 1 + the ticks to the next gripper event."""


@dataclass(frozen=True)
class Told:
    """What the heads say of one tick. Probabilities are computed when they are asked for: most of the work, and no action waits for it.

    Attributes:
        outputs: Logits of the skills and of the phases, then `OTHERS`, (skills + phases + 2,).
        counts: How many of `SKILLS` and of `PHASES` the heads know.
    """

    outputs: np.ndarray
    counts: tuple[int, int]

    @cached_property
    def skills(self) -> np.ndarray:
        """Probability of each skill, (skills,)."""
        return _probabilities(self.outputs[: self.counts[0]])

    @cached_property
    def phases(self) -> np.ndarray:
        """Probability of each phase, (phases,)."""
        return _probabilities(self.outputs[self.counts[0] : sum(self.counts)])

    @property
    def progress(self) -> float:
        """Share of the task that is done, in [0, 1]."""
        return 1 / (1 + math.exp(-min(max(float(self.outputs[-2]), -30.0), 30.0)))

    @property
    def event(self) -> float:
        """Ticks to the fingers' next closing or opening, or to the end, at most `LATEST`."""
        return min(max(math.expm1(min(float(self.outputs[-1]), 10.0)), 0.0), LATEST)

    @property
    def skill(self) -> tuple[str, float]:
        """The likeliest skill and its probability."""
        best = int(self.skills.argmax())
        return SKILLS[best], float(self.skills[best])

    @property
    def phase(self) -> tuple[str, float]:
        """The likeliest phase and its probability."""
        best = int(self.phases.argmax())
        return PHASES[best], float(self.phases[best])


class Heads:
    """The heads of one generation, for one thread at a time."""

    def __init__(self, tensors: Mapping[str, np.ndarray], hidden: int, feature: int) -> None:
        """Take heads as a library stores them.

        Args:
            tensors: `centre` and `scale` (hidden + feature,), `first` and `last` weights and biases, `counts` of skills and phases.
            hidden: Width of the router's hidden layer.
            feature: Width of the temporal feature.

        Raises:
            LibraryError: A tensor is missing, of another shape, or counts words that this version does not know.
        """
        skills, phases = (int(count) for count in np.resize(tensors.get("counts", np.zeros(2)), 2))
        if not (0 < skills <= len(SKILLS) and 0 < phases <= len(PHASES)):
            known = f"{len(SKILLS)} skills and {len(PHASES)} phases"
            raise LibraryError(f"the heads tell {skills} skills and {phases} phases, this version knows {known}: use a newer one")
        inner, width = len(tensors.get("first.bias", ())), hidden + feature
        wanted = {
            "centre": (width,), "scale": (width,), "first.weight": (inner, width), "first.bias": (inner,),
            "last.weight": (skills + phases + OTHERS, inner), "last.bias": (skills + phases + OTHERS,), "counts": (2,),
        }  # fmt: skip
        found = {name: value.shape for name, value in tensors.items()}
        if found != wanted:
            raise LibraryError(f"the heads have tensors {found}, this policy needs {wanted}: train them again with `dmpel heads`")
        self._counts = (skills, phases)
        first = tensors["first.weight"] / tensors["scale"]  # the normalisation is one more linear map
        self._first = _with_bias(first, tensors["first.bias"] - first @ tensors["centre"])
        self._last = _with_bias(tensors["last.weight"], tensors["last.bias"])
        self._input, self._inner = np.ones(width + 1, np.float32), np.ones(inner + 1, np.float32)

    def __call__(self, hidden: np.ndarray, feature: np.ndarray) -> Told:
        """Say what a tick is about, from the router's hidden layer (hidden,) and the temporal feature (feature,)."""
        np.concatenate([hidden, feature], out=self._input[:-1])
        np.maximum(self._first @ self._input, 0, out=self._inner[:-1])
        return Told(self._last @ self._inner, self._counts)


def _with_bias(weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Return a layer's bias as one more column of its weight, for inputs that end with 1."""
    return np.ascontiguousarray(np.column_stack([weight, bias]), np.float32)


def _probabilities(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()
