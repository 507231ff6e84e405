"""Pickles that are read but not trusted.

The official checkpoints are pickles, and a pickle is a small program. This is the one place of the package that opens one, with
a `pickle.Unpickler` whose `find_class` imports nothing. It can build plain containers, descriptions of tensors, and
`Inert` stand-ins for configuration objects, which take what the pickle gives them and do nothing with it. Whatever else a
pickle names is refused before it could be called.
"""

import pickle
import sys
from collections import OrderedDict
from typing import IO, Any, NamedTuple

import torch

from dmpel_core.errors import DmpelError

STORAGES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
"""Element type of each of torch's storage classes."""

CONFIGURATIONS = {"easydict", "omegaconf"}
"""Packages whose classes hold the official configuration: they may even be called, which makes an `Inert`."""

VALUES = {
    "argparse": {"Namespace"},
    "builtins": {"bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "object", "set", "str", "tuple"},
    "_codecs": {"encode"},
    "collections": {"defaultdict"},
    "copyreg": {"_reconstructor"},
    "numpy": {"dtype", "ndarray"},
    "numpy.core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "pathlib": {"Path", "PosixPath", "PurePosixPath"},
    "torch": {"Size", "device", *(str(dtype).removeprefix("torch.") for dtype in STORAGES.values())},
    "types": {"SimpleNamespace"},
    "typing": {"Any"},
}
"""Further names that a configuration's values come with; each becomes an `Inert` too."""

PYTHON_2 = {"__builtin__": "builtins", "copy_reg": "copyreg"}  # how protocol 2, torch's, spells these modules

BROKEN = (
    pickle.UnpicklingError, EOFError, AttributeError, LookupError, TypeError, ValueError, OverflowError, MemoryError, RecursionError,
)  # fmt: skip
"""What `pickle` raises on bytes that are no pickle."""


class CodeError(DmpelError):
    """A pickle asks for more than data."""


class DamagedError(DmpelError):
    """Bytes are no whole pickle."""


class Storage(NamedTuple):
    """The numbers that one or more tensors share: the name of their record, how many, and of which type."""

    key: str
    numbers: int
    dtype: torch.dtype

    @property
    def size(self) -> int:
        """Size of the record [bytes]."""
        return self.numbers * self.dtype.itemsize


class StoredTensor(NamedTuple):
    """A tensor whose numbers have not been read, as the pickle says, unchecked: which numbers of its storage it shows.

    A tuple, like `Storage`, so that nothing later in the pickle can change it.
    """

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class Inert(dict):
    """Stands for an object that is not built: takes whatever a pickle gives it and runs nothing."""

    def __init__(self, *_: object) -> None:
        super().__init__()

    def __setstate__(self, state: object) -> None:
        """Ignore an object's attributes."""

    def append(self, item: object) -> None:
        """Ignore a list's item."""

    def extend(self, items: object) -> None:
        """Ignore a list's items."""

    def add(self, item: object) -> None:
        """Ignore a set's item."""


class NotCallable(type):
    """Class of stand-ins for classes of unknown packages: objects of them are inert, but a pickle that calls one is refused."""

    def __call__(cls, *args: object, **kwargs: object) -> object:  # noqa: ARG002 - takes what the pickle would have passed
        """Refuse; an unpickler makes plain objects without a call."""
        raise CodeError(f"it wants to call {cls.__name__}, which is code: nothing of it was run")


def read_pickle(file: IO[bytes], source: str, storages: dict[str, Storage] | None = None) -> Any:
    """Read one pickle from an open file, up to its end mark.

    Args:
        file: Where the pickle begins.
        source: What to call the file in an error.
        storages: Takes every storage that the pickle refers to.

    Returns:
        Plain containers with `StoredTensor` and `Inert` in them.

    Raises:
        CodeError: It names a function or class that is not data. Nothing of it was run.
        DamagedError: It is not a whole pickle.
    """
    try:
        return _Unpickler(file, {} if storages is None else storages).load()
    except CodeError as error:
        raise CodeError(f"{source} is refused: {error}. Get the file anew from those who trained it") from error
    except BROKEN as error:
        raise DamagedError(f"{source} is damaged or no checkpoint ({type(error).__name__}: {error}): copy it again") from error


class _Unpickler(pickle.Unpickler):
    """Finds stand-ins instead of classes."""

    def __init__(self, file: IO[bytes], storages: dict[str, Storage]) -> None:
        super().__init__(file)
        self._storages = storages

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a global of the pickle; import nothing."""
        module = PYTHON_2.get(module, module)
        root = module.partition(".")[0]
        if (module, name) in _BUILDERS:
            return _BUILDERS[module, name]
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        if name in VALUES.get(module, ()) or root in CONFIGURATIONS:
            return Inert
        if root in sys.stdlib_module_names or root in {"torch", "numpy"}:
            raise CodeError(f"it asks for {module}.{name}, which is code: nothing of it was run")
        return NotCallable(f"{module}.{name}", (Inert,), {})

    def persistent_load(self, pid: Any) -> Storage:
        """Return the storage that a tensor refers to."""
        kind, dtype, key, _, numbers, *view = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype) or not isinstance(key, str) or type(numbers) is not int or numbers < 0:
            raise pickle.UnpicklingError(f"it refers to {pid!r:.80}, expected a storage")
        if any(part is not None for part in view):
            raise pickle.UnpicklingError(f"storage {key} is a part of another, which torch writes no more")
        storage = self._storages.setdefault(key, Storage(key, numbers, dtype))
        if storage != (key, numbers, dtype):
            raise pickle.UnpicklingError(f"storage {key} has two sizes or types")
        return storage


def _tensor(storage: Storage, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: object) -> StoredTensor:
    """Stand for `torch._utils._rebuild_tensor_v2`."""
    if not isinstance(storage, Storage):
        raise pickle.UnpicklingError(f"a tensor's storage is a {type(storage).__name__}")
    return StoredTensor(storage, offset, tuple(shape), tuple(stride))


def _parameter(data: StoredTensor, *_: object) -> StoredTensor:
    """Stand for `torch._utils._rebuild_parameter`."""
    return data


_BUILDERS = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
}
