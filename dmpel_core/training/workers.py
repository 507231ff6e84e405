"""The processes and devices that train: one process by default, several under `accelerate launch`."""

from datetime import timedelta

import torch
from accelerate import Accelerator, InitProcessGroupKwargs

from dmpel_core.errors import DmpelError

PATIENT = InitProcessGroupKwargs(timeout=timedelta(days=7))
"""How long processes wait for one of them: while that one plays episodes the others have nothing to do."""


def on_processor() -> Accelerator:
    """Return what trains in fp32 on the processor, whatever devices there are."""
    return Accelerator(cpu=True, mixed_precision="no", kwargs_handlers=[PATIENT])


def on_device(precision: str) -> Accelerator:
    """Return what trains on the best device, a CUDA one where there is one, with other processes where this one was launched with some.

    Args:
        precision: `fp32`, `bf16` or `fp16`.

    Raises:
        DmpelError: Half precision without CUDA.
    """
    if precision != "fp32" and not torch.cuda.is_available():
        raise DmpelError(f"--precision {precision} needs a CUDA device and there is none: leave it at fp32")
    return Accelerator(mixed_precision="no" if precision == "fp32" else precision, kwargs_handlers=[PATIENT])
