"""The official checkpoint file: its state dict read tensor by tensor, and written again.

`torch.save` has two formats. A zip archive, since torch 1.6, holds `data.pkl` and one record for each storage; the older one is
a row of pickles followed by the storages. The object inside is a state dict, a dictionary that holds one under `state_dict` beside the
configuration, as the official code writes it, or a tuple that begins with one.
"""

import mmap
import os
import re
import zipfile
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from dmpel_core.errors import DmpelError
from dmpel_core.official.pickled import DamagedError, Inert, Storage, StoredTensor, read_pickle

ZIP, LOCAL_HEADER = b"PK\x03\x04", 30  # first bytes and length of what stands before a record's name
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
COPY_AGAIN = "copy it again"
BIG_ENDIAN = "was written on a big-endian machine, which is not supported: save it again on another"


def read_state(path: Path) -> dict[str, Tensor]:
    """Return the state dict of an official checkpoint, on the processor.

    Raises:
        DmpelError: The file cannot be read, is truncated or damaged, or holds code, which is then not run.
    """
    try:
        with path.open("rb") as file:
            first = file.read(4)
            file.seek(0)
            return _read_zip(file, str(path)) if first == ZIP else _read_legacy(file, str(path))
    except OSError as error:
        raise DmpelError(f"{path} cannot be read: {error}") from error


def write_state(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write a state dict as the official code does, without its configuration, aside and renamed."""
    aside = path.with_name(f".{path.name}.unfinished")
    aside.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": dict(state), "cfg": None, "previous_masks": None}, aside)
    aside.replace(path)


def _read_zip(file: IO[bytes], source: str) -> dict[str, Tensor]:
    """Read the archive format."""
    try:
        archive = zipfile.ZipFile(file)
    except zipfile.BadZipFile as error:
        raise DmpelError(f"{source} is truncated: {_first_lost(file, source)}; {COPY_AGAIN}") from error
    with archive:
        total = os.fstat(file.fileno()).st_size
        records = {record.filename.partition("/")[2]: record for record in archive.infolist() if record.file_size <= total}
        if "data.pkl" not in records or any(record.compress_type != zipfile.ZIP_STORED for record in records.values()):
            raise DmpelError(f"{source} is an archive that torch.save did not write: expected data.pkl and nothing compressed")
        if "byteorder" in records and archive.read(records["byteorder"]) != b"little":
            raise DmpelError(f"{source} {BIG_ENDIAN}")
        with archive.open(records["data.pkl"]) as pickled:
            state = _state_dict(read_pickle(pickled, source), source)
        return {
            name: _load(name, stored, _record(archive, records, name, stored.storage, source), source) for name, stored in state.items()
        }


def _record(archive: zipfile.ZipFile, records: Mapping[str, zipfile.ZipInfo], name: str, storage: Storage, source: str) -> bytes:
    """Return the bytes of one storage, which must be as many as the tensors that use it need."""
    record = records.get(f"data/{storage.key}")
    if record is None or record.file_size != storage.size:
        found = "none" if record is None else f"{record.file_size}"
        raise DmpelError(f"{source} is truncated: tensor {name!r} needs {storage.size} bytes, the file has {found}; {COPY_AGAIN}")
    try:
        return archive.read(record)
    except (zipfile.BadZipFile, EOFError) as error:
        raise DmpelError(f"{source}: the numbers of tensor {name!r} are damaged ({error}); {COPY_AGAIN}") from error


def _first_lost(file: IO[bytes], source: str) -> str:
    """Say which tensor is the first that an archive without its end has lost; the archive's list of records stood at that end."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        length, extra = (int.from_bytes(data[place : place + 2], "little") for place in (26, 28))
        name = data[LOCAL_HEADER : LOCAL_HEADER + length]  # torch writes <folder>/data.pkl first
        file.seek(LOCAL_HEADER + length + extra)
        try:
            state = _state_dict(read_pickle(file, source), source)
        except DamagedError:
            return "it ends before its list of tensors does"
        starts = _storage_places(data, name.removesuffix(b"data.pkl"))
        left = {name: len(data) - starts.get(stored.storage.key, len(data)) for name, stored in state.items()}
        lost = [name for name, stored in state.items() if left[name] < stored.storage.size]
        if not lost:
            return "it ends after its last tensor"
        first = max(lost, key=lambda name: left[name])  # the one that is there in part; in doubt the first of the rest
        return f"tensor {first!r} needs {state[first].storage.size} bytes, the file has {max(0, left[first])}"


def _storage_places(data: mmap.mmap, folder: bytes) -> dict[str, int]:
    """Return where the content of each storage's record begins, told by the headers that stand before each."""
    header = re.compile(re.escape(ZIP) + rb".{22}(..)(..)" + re.escape(folder) + rb"data/(\d+)", re.DOTALL)
    return {
        found[3].decode(): found.end() + int.from_bytes(found[2], "little")
        for found in header.finditer(data)
        if int.from_bytes(found[1], "little") == len(folder) + len(b"data/") + len(found[3])
    }


def _read_legacy(file: IO[bytes], source: str) -> dict[str, Tensor]:
    """Read the format of torch before 1.6: magic number, version, machine, object, storage keys, storages."""
    if read_pickle(file, source) != LEGACY_MAGIC:
        raise DmpelError(f"{source} was not written by torch.save")
    read_pickle(file, source)
    machine = read_pickle(file, source)
    if not isinstance(machine, dict) or not machine.get("little_endian"):
        raise DmpelError(f"{source} {BIG_ENDIAN}")
    storages: dict[str, Storage] = {}
    state = _state_dict(read_pickle(file, source, storages), source)
    keys = read_pickle(file, source)
    if not isinstance(keys, list) or {*keys} != {*storages}:
        raise DmpelError(f"{source} lists other storages than its tensors use; {COPY_AGAIN}")
    tensors: dict[str, Tensor] = {}
    for key in keys:
        names = [name for name, stored in state.items() if stored.storage.key == key]
        data = _legacy_storage(file, storages[key], names[0] if names else f"of storage {key}", source)
        tensors |= {name: _load(name, state[name], data, source) for name in names}
    return {name: tensors[name] for name in state}


def _legacy_storage(file: IO[bytes], storage: Storage, name: str, source: str) -> bytes:
    """Return the bytes of the next storage of the older format, behind the count of its numbers."""
    count = int.from_bytes(file.read(8), "little")
    left = os.fstat(file.fileno()).st_size - file.tell()
    if left < storage.size or count != storage.numbers:
        raise DmpelError(f"{source} is truncated: tensor {name!r} needs {storage.size} bytes, the file has {left}; {COPY_AGAIN}")
    return file.read(storage.size)


def _state_dict(found: Any, source: str) -> dict[str, StoredTensor]:
    """Return the state dict inside what a checkpoint holds."""
    parts = list(found) if isinstance(found, tuple | list) else [found]
    for part in parts:
        state = part["state_dict"] if isinstance(part, dict) and "state_dict" in part else part
        if isinstance(state, dict) and not isinstance(state, Inert) and any(isinstance(value, StoredTensor) for value in state.values()):
            odd = [name for name, value in state.items() if not isinstance(name, str) or not isinstance(value, StoredTensor)]
            if odd:
                raise DmpelError(f"{source}: entry {odd[0]!r:.80} of the state dict is no tensor ({len(odd)} such in all)")
            return state
    raise DmpelError(f"{source} holds no state dict, only {', '.join(type(part).__name__ for part in parts) or 'nothing'}")


def _load(name: str, stored: StoredTensor, data: bytes, source: str) -> Tensor:
    """Return the tensor that shows its part of a storage's bytes.

    A view that leaves its storage, or shows a number twice and so could be of any size, is refused before it is made.
    """
    storage, offset, shape, stride = stored
    if not all(type(number) is int and number >= 0 for number in (offset, *shape, *stride)) or len(shape) != len(stride):
        raise DmpelError(f"{source}: tensor {name!r} has shape {shape!r:.80}, stride {stride!r:.80} and offset {offset!r:.80}")
    count = prod(shape)
    last = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    if count > storage.numbers or (count and last >= storage.numbers):
        raise DmpelError(f"{source}: tensor {name!r} of shape {shape} leaves its storage of {storage.numbers} numbers; {COPY_AGAIN}")
    if not count:
        return torch.empty(shape, dtype=storage.dtype)
    return torch.frombuffer(bytearray(data), dtype=storage.dtype).as_strided(shape, stride, offset).contiguous()
