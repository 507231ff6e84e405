"""What runs once per control tick."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from dmpel_core.errors import DmpelError
from dmpel_core.experts.library import Limits, open_library
from dmpel_core.inference.engine import Engine, Tick
from dmpel_core.inference.options import EXACT, Savings

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
        engine: One of `ENGINES`; `auto` is `onnx` for a library that has graphs and in full precision, else `torch`.
        provider: What to compute on: `auto` for the fastest that works here, `cpu`, `cuda`, or for `onnx` alone `tensorrt`.
        savings: What `onnx` may leave out, and the precision of `torch`; None for nothing.
        limits: Caps on what is ever loaded.
        insight: Whether the ticks of `onnx` tell more than the action, see `dmpel_core.skills.insight`; `torch` tells nothing more.

    Raises:
        DmpelError: The library is damaged or does not fit this version, or the engine cannot run here.
    """
    if engine not in ENGINES:
        raise DmpelError(f"there is no engine {engine!r}; choose one of {', '.join(ENGINES)}")
    savings = savings or EXACT
    if engine == "auto":
        graphs = savings.precision == "fp32" and open_library(library, generation, limits).manifest.graphs
        engine = "onnx" if graphs or find_spec("torch") is None else "torch"
    if engine == "onnx":
        if savings.precision != "fp32":
            raise DmpelError(f"the onnx engine does not compute in {savings.precision}: choose the engine 'torch', or fp32")
        from dmpel_core.inference.onnx_engine import OnnxEngine

        return OnnxEngine(library, generation, threads, sample_seed, provider, savings, limits, insight=insight)
    if replace(savings, precision="fp32") != EXACT:
        raise DmpelError("the torch engine leaves nothing out and has no savings but its precision: choose the engine 'onnx'")
    import torch  # imported here: a robot does without

    from dmpel_core.inference.torch_engine import TorchEngine

    torch.set_num_threads(threads)
    return TorchEngine(library, generation, sample_seed, limits, provider=provider, precision=savings.precision)
