"""`engine.json`: what was measured, on what machine, block by block, so that a run can be cut off and continued."""

import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from dmpel_core.errors import DmpelError

PARTS = ("rows", "stages", "flatness", "blocks", "swap", "host_overhead", "savings")
PACKAGES = ("dmpel", "torch", "numpy", "onnxruntime", "onnxruntime-gpu")

Record = dict[str, Any]


def new_record() -> Record:
    """Return an empty record of this machine."""
    return {"machine": machine(), "versions": versions(), **{part: [] for part in PARTS}}


def read_record(path: Path, *, resume: bool) -> Record:
    """Return the record to add to: with `resume` the one on the disk, if there is one, else an empty one.

    Raises:
        DmpelError: The one on the disk is of another machine or other versions.
    """
    fresh = new_record()
    if not resume or not path.exists():
        return fresh
    found: Record = json.loads(path.read_text())
    for part in ("machine", "versions"):
        if found.get(part) != fresh[part]:
            raise DmpelError(f"{path} was measured with {part} {found.get(part)}, this is {fresh[part]}: leave --resume out to begin anew")
    return found


def versions() -> dict[str, str]:
    """Return the versions of the packages that times depend on, where they are installed."""
    installed = {found.name: found.version for found in metadata.distributions() if found.name in PACKAGES}
    return {"python": platform.python_version(), **dict(sorted(installed.items()))}


def machine() -> dict[str, Any]:
    """Return what the system says about its processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    fields = dict(reversed([[part.strip() for part in line.split(":", 1)] for line in lines if ":" in line]))
    known = ("avx2", "avx512f", "avx512_vnni", "amx_int8")
    flags = [flag for flag in known if flag in fields.get("flags", "").split()]
    return {"processor": fields.get("model name", platform.processor()), "cores": os.cpu_count(), "instructions": flags}
