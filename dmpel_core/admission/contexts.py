"""The contexts of old tasks: stored queries with the coefficients that were given to them when the task was learned."""

from dataclasses import dataclass

import numpy as np

from dmpel_core.experts.library import Library
from dmpel_core.experts.usage import PARTS
from dmpel_core.groups import GROUPS

MOST = 200
"""Contexts of one task that go through a gate, evenly spread over all that are stored: more tell the same."""


@dataclass(frozen=True)
class Contexts:
    """Some of one task's replay memory, as the experts of a candidate generation are numbered.

    Attributes:
        name: The task's expert.
        instruction: What it was learned with.
        queries: (n, query_width).
        targets: (n, 6, experts), the coefficients that were stored, zero outside the top-k.
        lost: Largest coefficient of an expert that the candidate does not have.
    """

    name: str
    instruction: str
    queries: np.ndarray
    targets: np.ndarray
    lost: float


def contexts_of(source: Library, index: int, candidate: Library) -> Contexts | None:
    """Return contexts of expert `index` of `source`, numbered as in `candidate`; None where nothing is stored.

    Raises:
        LibraryError: The memory is damaged.
    """
    memory = source.replay(index)
    if not memory.keys() >= PARTS or not len(memory["features"]):
        return None
    rows = np.unique(np.linspace(0, len(memory["features"]) - 1, MOST).astype(int))
    features, chosen, values = (memory[name][rows] for name in ("features", "index", "coefficient"))
    known = np.zeros((len(rows), len(GROUPS), len(source.experts)), np.float32)
    np.put_along_axis(known, chosen.astype(np.int64), values, 2)
    places = places_in(candidate, source)
    targets = np.zeros((len(rows), len(GROUPS), len(candidate.experts)), np.float32)
    targets[:, :, places[places >= 0]] = known[:, :, places >= 0]
    lost = float(known[:, :, places < 0].max(initial=0.0))
    text = np.broadcast_to(memory["text"], (len(rows), len(memory["text"])))
    expert = source.experts[index]
    return Contexts(expert.name, expert.instructions[0], np.concatenate([text, features], 1), targets, lost)


def places_in(candidate: Library, source: Library) -> np.ndarray:
    """Return where each expert of `source` stands among those of `candidate`, by the hash of its factors; -1 where it is none of them."""
    order = [expert.factors.sha256 for expert in candidate.experts]
    return np.array([order.index(expert.factors.sha256) if expert.factors.sha256 in order else -1 for expert in source.experts], int)
