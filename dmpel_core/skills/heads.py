"""Auxiliary heads: what the policy is about, told from what a tick computes anyway. Numpy alone; training is elsewhere.

The router's last hidden layer knows instruction and scene, the temporal feature knows the last ticks. One small layer on both and
one linear read-out say the task's skill, the phase, how far the task has come and when the fingers will move next.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dmpel_core.experts.manifest import LibraryError
from dmpel_core.skills.vocabulary import PHASES, SKILLS

LATEST = 100
"""Ticks; gripper events further away are told as this."""
OTHERS = 2
"""Outputs after the skills and phases: logit of the progress, logarithm of 1 + the ticks to the next gripper event."""


@dataclass(frozen=True)
class Told:
    """What the heads say of one tick.

    Attributes:
        skills: Probability of each of `SKILLS` that the heads know, (skills,).
        phases: Probability of each of `PHASES` that they know, (phases,).
        progress: Share of the task that is done, in [0, 1].
        event: Ticks to the fingers' next closing or opening, or to the end, at most `LATEST`.
    """

    skills: np.ndarray
    phases: np.ndarray
    progress: float
    event: float

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
    """The heads of one generation. Immutable."""

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
        self._places = (skills, skills + phases)
        first = tensors["first.weight"] / tensors["scale"]  # the normalisation is one more linear map
        self._first = np.ascontiguousarray(first, np.float32)
        self._bias = np.asarray(tensors["first.bias"] - first @ tensors["centre"], np.float32)
        self._last, self._offset = (np.ascontiguousarray(tensors[f"last.{part}"], np.float32) for part in ("weight", "bias"))

    def __call__(self, hidden: np.ndarray, feature: np.ndarray) -> Told:
        """Say what a tick is about, from the router's hidden layer (hidden,) and the temporal feature (feature,)."""
        inner = np.maximum(self._first @ np.concatenate([hidden, feature]) + self._bias, 0)
        out = self._last @ inner + self._offset
        skills, phases = self._places
        progress, event = out[phases:].tolist()
        done = 1 / (1 + math.exp(-min(max(progress, -30.0), 30.0)))
        ticks = min(max(math.expm1(min(event, 10.0)), 0.0), LATEST)
        return Told(_probabilities(out[:skills]), _probabilities(out[skills:phases]), done, ticks)


def _probabilities(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()
