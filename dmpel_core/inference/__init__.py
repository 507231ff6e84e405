"""What runs once per control tick."""

from importlib.util import find_spec
from pathlib import Path

from dmpel_core.errors import DmpelError
from dmpel_core.experts.library import Limits, open_library
from dmpel_core.inference.engine import Engine, Tick
from dmpel_core.inference.options import Savings

__all__ = ["ENGINES", "Engine", "Limits", "Savings", "Tick", "load_engine"]

ENGINES = ("auto", "onnx", "torch")


def load_engine(
    library: Path,
    generation: int | None = None,
    threads: int = 1,
    sample_seed: int | None = None,
    *,
    engine: str = "auto",
    provider: str = "auto",
    savings: Savings | None = None,
    limits: Limits | None = None,
    insight: bool = False,
) -> Engine:
    """Read a library and return an engine that runs it.

    Args:
        library: Library folder.
        generation: Generation to run, or None for the selected one.
        threads: Processor threads for one tick.
        sample_seed: Draw actions from the mixture, as the published policy does, instead of taking the heaviest Gaussian's mean.
        engine: One of `ENGINES`; `auto` is `onnx` for a library that has graphs, else `torch`.
        provider: What `onnx` computes on, see `dmpel_core.inference.onnx_engine.OnnxEngine`.
        savings: What `onnx` may leave out; None for nothing.
        limits: Caps on what is ever loaded.
        insight: Whether the ticks of `onnx` tell more than the action, see `dmpel_core.skills.insight`; `torch` tells nothing more.

    Raises:
        DmpelError: The library is damaged or does not fit this version, or the engine cannot run here.
    """
    if engine not in ENGINES:
        raise DmpelError(f"there is no engine {engine!r}; choose one of {', '.join(ENGINES)}")
    if engine == "auto":
        engine = "onnx" if open_library(library, generation, limits).manifest.graphs or find_spec("torch") is None else "torch"
    if engine == "onnx":
        from dmpel_core.inference.onnx_engine import OnnxEngine

        return OnnxEngine(library, generation, threads, sample_seed, provider, savings, limits, insight=insight)
    if savings not in {None, Savings()}:
        raise DmpelError("the torch engine is exact and has no savings: choose the engine 'onnx'")
    import torch  # imported here: a robot does without

    from dmpel_core.inference.torch_engine import TorchEngine

    torch.set_num_threads(threads)
    return TorchEngine(library, generation, sample_seed, limits)
