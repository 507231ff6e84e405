"""Who takes part in a round: the naive path, the torch engine, and the ONNX engine where it is there, all on the same generation."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from benchmarks.libraries import INSTRUCTION, SIZES, random_library
from benchmarks.naive import NaiveEngine
from benchmarks.rounds import Contestant
from benchmarks.stages import NAIVE, TORCH, Place
from dmpel_core.inference.torch_engine import TorchEngine

ANCHOR = 10
"""Experts of the engine that runs beside those with more or fewer, so that both are timed in the same rounds."""


@dataclass(frozen=True)
class Field:
    """The contestants of one block of rounds, the naive path first.

    Attributes:
        size: One of `SIZES`.
        experts: Of all but the anchor.
        threads: Of every engine.
        contestants: With where their stages are.
    """

    size: str
    experts: int
    threads: int
    contestants: Sequence[tuple[Contestant, Sequence[Place]]]

    @property
    def anchor(self) -> Contestant | None:
        """The contestant with another number of experts, if there is one."""
        return next((contestant for contestant, _ in self.contestants if contestant.experts != self.experts), None)


def gather(size: str, experts: int, threads: int) -> Field:
    """Build all engines of a block."""
    torch.set_num_threads(threads)
    library = random_library(SIZES[size], experts)
    engine = TorchEngine(library.path, experts)
    naive = NaiveEngine(engine._current)  # noqa: SLF001 - the naive path runs on the same tensors
    found: list[tuple[Contestant, Sequence[Place]]] = []
    for name, one, places in (("naive", naive, NAIVE), ("torch", engine, TORCH)):
        one.set_instruction(INSTRUCTION)
        found.append((Contestant(name, "exact", experts, one.tick), places))
    return Field(size, experts, threads, found)
