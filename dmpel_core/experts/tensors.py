"""Tensors in and out of safetensors bytes, with the header checked before anything is allocated."""

import json
from collections.abc import Mapping, Sequence
from math import prod
from typing import TypeGuard

import numpy as np
from safetensors import SafetensorError
from safetensors import numpy as safetensors_numpy

from dmpel_core.experts.manifest import LibraryError, Limits, Module

Tensors = dict[str, np.ndarray]
_BYTES = {"F32": 4, "F16": 2, "I64": 8, "I32": 4, "U8": 1, "BOOL": 1}
"""Element types that numpy and every engine read; float64 and bfloat16 are left out on purpose."""


def pack(tensors: Mapping[str, np.ndarray], backbone: str = "") -> bytes:
    """Return tensors as safetensors bytes, the same bytes for the same tensors.

    Args:
        tensors: Name to array.
        backbone: sha256 of the backbone that they belong to. One key only: the order of several is not fixed.
    """
    metadata = {"backbone": backbone} if backbone else None
    return safetensors_numpy.save({name: np.asarray(array, order="C") for name, array in tensors.items()}, metadata)


def unpack(data: bytes, limits: Limits, source: str, backbone: str = "") -> Tensors:
    """Return the tensors of safetensors bytes, every number finite.

    Args:
        data: A whole file.
        limits: Caps on header size and tensor count.
        source: What to call the file in an error.
        backbone: When given, the sha256 that the file must name as its backbone.

    Raises:
        LibraryError: The header is malformed or over a cap, the backbone differs, or a number is not finite.
    """
    header = _header(data, limits, source)
    found = header.pop("__metadata__", {})
    if backbone and found != {"backbone": backbone}:
        raise LibraryError(f"{source} belongs to another backbone ({found}), this library has {backbone[:16]}..: train it on this one")
    if len(header) > limits.tensors:
        raise LibraryError(f"{source} holds {len(header)} tensors, more than the cap of {limits.tensors}")
    for name, entry in header.items():
        _check_entry(name, entry, source)
    try:
        tensors = safetensors_numpy.load(data)  # checks that the offsets tile the file
    except SafetensorError as error:
        raise LibraryError(f"{source} is not a whole safetensors file ({error}): copy it again") from error
    for name, array in tensors.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise LibraryError(f"{source}: tensor {name!r} holds NaN or infinity: training diverged, train this expert again")
    return tensors


def check_factors(tensors: Tensors, modules: Sequence[Module], source: str) -> None:
    """Check that an expert has the factors `<module>.A` and `<module>.B` of every module, and at most a `<module>.bias` beside them.

    Raises:
        LibraryError: One is missing, too many, of another shape, or not floating point.
    """
    expected: dict[str, tuple[int, ...]] = {f"{module.name}.A": (module.inputs, module.rank) for module in modules}
    expected |= {f"{module.name}.B": (module.rank, module.outputs) for module in modules}
    expected |= {name: shape for name, shape in ((f"{m.name}.bias", (m.outputs,)) for m in modules) if name in tensors}
    odd = sorted(expected.keys() ^ tensors.keys())
    if odd:
        fault = "missing" if odd[0] in expected else "of no module of this policy"
        raise LibraryError(f"{source}: factor {odd[0]!r} is {fault} ({len(odd)} such in all)")
    for name, shape in expected.items():
        found = tensors[name]
        if found.shape != shape or found.dtype.kind != "f":
            raise LibraryError(f"{source}: factor {name!r} is {found.dtype} {found.shape}, the module list wants floats {shape}")


def _header(data: bytes, limits: Limits, source: str) -> dict[str, object]:
    """Return the JSON header, whose length stands in the first eight bytes."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > len(data) - 8:
        raise LibraryError(f"{source} is not a whole safetensors file: {len(data)} bytes for a header of {length}; copy it again")
    if length > limits.header_bytes:
        raise LibraryError(f"{source} has a header of {length} bytes, more than the cap of {limits.header_bytes}")
    try:
        header = json.loads(data[8 : 8 + length])
    except (ValueError, RecursionError) as error:
        raise LibraryError(f"{source} has a header that is not JSON ({error}): copy it again") from error
    if not isinstance(header, dict):
        raise LibraryError(f"{source} has a header that is a {type(header).__name__}, expected an object")
    return header


def _check_entry(name: str, entry: object, source: str) -> None:
    """Check one tensor's type, and that its shape and its place in the file agree."""
    fields = entry if isinstance(entry, dict) else {}
    dtype, shape, offsets = fields.get("dtype"), fields.get("shape"), fields.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in _BYTES:
        raise LibraryError(f"{source}: tensor {name[:80]!r} is of type {dtype!r}, expected one of {', '.join(_BYTES)}")
    if not (_sizes(shape) and len(shape) <= 8 and _sizes(offsets) and len(offsets) == 2):
        raise LibraryError(f"{source}: tensor {name[:80]!r} has a malformed shape or place in the file")
    if offsets[1] - offsets[0] != prod(shape) * _BYTES[dtype]:
        raise LibraryError(f"{source}: tensor {name[:80]!r} of shape {shape} does not fill its {offsets[1] - offsets[0]} bytes")


def _sizes(value: object) -> TypeGuard[list[int]]:
    """Return whether `value` is a list of whole numbers from 0 to 2^40."""
    return isinstance(value, list) and all(type(number) is int and 0 <= number <= 1 << 40 for number in value)
