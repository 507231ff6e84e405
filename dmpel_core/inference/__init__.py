"""What runs once per control tick."""

from pathlib import Path

from dmpel_core.inference.engine import Engine, Tick

__all__ = ["Engine", "Tick", "load_engine"]


def load_engine(library: Path, generation: int | None = None, threads: int = 1, sample_seed: int | None = None) -> Engine:
    """Read a library and return an engine that runs it.

    Args:
        library: Library folder.
        generation: Generation to run, or None for the selected one.
        threads: Processor threads for one tick.
        sample_seed: Draw actions from the mixture, as the published policy does, instead of taking the heaviest Gaussian's mean.

    Raises:
        DmpelError: The library is damaged or does not fit this version.
    """
    import torch  # imported here: reading the seam must not need it

    from dmpel_core.inference.torch_engine import TorchEngine

    torch.set_num_threads(threads)
    return TorchEngine(library, generation, sample_seed)
