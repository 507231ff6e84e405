"""Training state on disk: tensors in one safetensors file, written aside and renamed."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import Optimizer

from dmpel_core.errors import DmpelError
from dmpel_core.training.average import AVERAGE


def save_checkpoint(path: Path, parameters: Mapping[str, Tensor], optimizer: Optimizer, step: int, settings: Mapping[str, object]) -> None:
    """Write trainable parameters, AdamW's moments and the running means, the step and the settings that the run must share."""
    tensors = {f"parameter.{name}": value.detach().contiguous() for name, value in parameters.items()}
    for name, value in parameters.items():
        state = optimizer.state[value]
        tensors |= {f"{key}.{name}": torch.as_tensor(state[key]).reshape(value.shape if key != "step" else ()) for key in state}
    aside = path.with_suffix(".partial")
    save_file(tensors, aside, metadata={"step": str(step), "settings": json.dumps(settings, sort_keys=True)})
    with aside.open("rb") as file:
        os.fsync(file.fileno())
    aside.replace(path)


def load_checkpoint(path: Path, parameters: Mapping[str, Tensor], optimizer: Optimizer, settings: Mapping[str, object]) -> int:
    """Restore what `save_checkpoint` wrote and return the number of steps done, 0 when there is no checkpoint.

    Raises:
        DmpelError: The checkpoint is damaged, or belongs to a run with other settings.
    """
    if not path.exists():
        return 0
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dictionary
    except (SafetensorError, OSError) as error:
        raise DmpelError(f"checkpoint {path} cannot be read ({error}); remove it to start again") from error
    stored, wanted = json.loads(metadata["settings"]), json.loads(json.dumps(settings))
    if stored != wanted:
        changed = {name: (stored.get(name), wanted.get(name)) for name in {*stored, *wanted} if stored.get(name) != wanted.get(name)}
        raise DmpelError(
            f"checkpoint {path} belongs to a run with other settings, {changed} (stored, asked); remove it or use another --run folder"
        )
    with torch.no_grad():
        for name, value in parameters.items():
            value.copy_(tensors[f"parameter.{name}"])
            there = [key for key in ("exp_avg", "exp_avg_sq", AVERAGE) if f"{key}.{name}" in tensors]
            optimizer.state[value] = {"step": tensors[f"step.{name}"], **{key: tensors[f"{key}.{name}"].to(value.device) for key in there}}
    return int(metadata["step"])
