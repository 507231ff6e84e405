"""Compiling what is arithmetic alone in a training step, with torch.compile."""

import os
import shutil
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

from dmpel_core.errors import DmpelError

BACKEND = "inductor"  # makes C++ for processors and Triton for CUDA
COMPILERS = ("c++", "g++", "clang++")

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def compiled(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Return the function as one that is compiled when it is first called, and again for each further shape of its arguments.

    Training has two shapes of batches, see `dmpel_core.training.schedule.shape_for`. Compiled dropout draws other numbers.

    Raises:
        DmpelError: This machine has no C++ compiler.
    """
    wanted = (os.environ["CXX"],) if os.environ.get("CXX") else COMPILERS
    if BACKEND == "inductor" and not any(shutil.which(name) for name in wanted):
        raise DmpelError(f"--compile needs a C++ compiler and there is no {' or '.join(wanted)}: install one, or leave the option out")
    return torch.compile(function, backend=BACKEND, dynamic=False)
