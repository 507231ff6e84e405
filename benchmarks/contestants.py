"""Who takes part in a round: the naive path, the torch engine, and the ONNX engine where it is there, all on the same generation."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from benchmarks.libraries import INSTRUCTION, LIMITS, SIZES, random_library
from benchmarks.naive import NaiveEngine
from benchmarks.rounds import Contestant, observations
from benchmarks.stages import NAIVE, ONNX, TORCH, Place
from dmpel_core.errors import DmpelError
from dmpel_core.experts.tensors import pack
from dmpel_core.inference import Savings, load_engine
from dmpel_core.inference.int8 import FEWEST
from dmpel_core.inference.torch_engine import TorchEngine

ANCHOR = 10
"""Experts of the engine that runs beside those with more or fewer, so that both are timed in the same rounds."""


INT8 = "int8"
MODES = {"exact": Savings(), "route10": Savings(route_every=10), "lag": Savings(route_after=True)}


@dataclass(frozen=True)
class Field:
    """The contestants of one block of rounds, the naive path first.

    Attributes:
        size: One of `SIZES`.
        experts: Of all but the anchor.
        threads: Of every engine.
        numbers: In one expert's factors.
        contestants: With where their stages are.
    """

    size: str
    experts: int
    threads: int
    numbers: int
    contestants: Sequence[tuple[Contestant, Sequence[Place]]]

    @property
    def anchor(self) -> Contestant | None:
        """The contestant with another number of experts, if there is one."""
        return next((contestant for contestant, _ in self.contestants if contestant.experts != self.experts), None)


def gather(size: str, experts: int, threads: int) -> Field:
    """Build all engines of a block: in all modes with `ANCHOR` experts, else exact ones alone and one more with `ANCHOR` experts."""
    torch.set_num_threads(threads)
    opened = random_library(SIZES[size], experts)
    library = opened.path
    engine = TorchEngine(library, experts, limits=LIMITS)
    naive = NaiveEngine(engine._current)  # noqa: SLF001 - the naive path runs on the same tensors
    naive.set_instruction(INSTRUCTION)
    engine.set_instruction(INSTRUCTION)
    found: list[tuple[Contestant, Sequence[Place]]] = [
        (Contestant("naive", "exact", experts, naive.tick), NAIVE),
        (Contestant("torch", "exact", experts, engine.tick), TORCH),
    ]
    modes = MODES if experts == ANCHOR and size != "nano" else ("exact",)
    found += [(onnx(library, experts, threads, provider, mode), ONNX) for provider in providers() for mode in modes]
    if len(modes) > 1:
        found += in_eight_bits(library, experts, threads)
    if experts != ANCHOR:
        found.append((onnx(library, ANCHOR, threads, "cpu", "exact"), ONNX))
    numbers = sum(module.rank * (module.inputs + module.outputs) for module in opened.modules)
    return Field(size, experts, threads, numbers, found)


def in_eight_bits(library: Path, experts: int, threads: int) -> list[tuple[Contestant, Sequence[Place]]]:
    """Return the ONNX engine with its image tower in eight bits; none where it is refused on what the cameras of the rounds see."""
    seen = observations(FEWEST)
    with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
        file.write(pack({"agentview": np.stack([o.agentview for o in seen]), "eye_in_hand": np.stack([o.eye_in_hand for o in seen])}))
        file.flush()
        try:
            return [(onnx(library, experts, threads, "cpu", INT8, Savings(int8=Path(file.name))), ONNX)]
        except DmpelError as refused:
            print(refused, flush=True)
            return []


def providers() -> list[str]:
    """Return what ONNX graphs can be tried on here; that a package offers CUDA does not mean that there is a GPU."""
    offered = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    return ["cpu", "cuda"] if offered and torch.cuda.is_available() else ["cpu"]


def onnx(library: Path, experts: int, threads: int, provider: str, mode: str, savings: Savings | None = None) -> Contestant:
    """Return the ONNX engine in one mode.

    Raises:
        DmpelError: The provider does not work here.
    """
    savings = savings or MODES[mode]
    engine = load_engine(library, experts, threads, engine="onnx", provider=provider, savings=savings, limits=LIMITS)
    engine.set_instruction(INSTRUCTION)
    return Contestant(f"onnx-{provider}", mode, experts, engine.tick, savings.route_every or 1, engine.catch_up)
