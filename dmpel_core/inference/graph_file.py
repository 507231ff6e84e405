"""What an ONNX file asks for, read from its bytes without the onnx package: which weights it wants, and nothing hidden.

Graphs of a library hold structure only. Their weights are named in the graph and stay in the library's own safetensors files,
where hash, shape and finiteness are checked; a graph that names any other place is refused before a runtime sees it.
Field numbers are those of onnx.proto (ONNX 1.0 and later); the wire format is Protocol Buffers'.
"""

from collections.abc import Iterator

from dmpel_core.experts.manifest import LibraryError

WEIGHTS_PLACE = "library"
"""Where a graph says its weights are; no file of that name is ever opened."""
MIXED = "mixed."
"""Before the name of a mixed factor where it is an input: an expert's bias is called like the layer's own."""

_GRAPH, _FUNCTIONS = 7, 25  # of ModelProto
_NODE, _INITIALIZER, _SPARSE = 1, 5, 15  # of GraphProto
_ATTRIBUTE = 5  # of NodeProto
_TENSOR, _SUBGRAPH, _TENSORS, _SUBGRAPHS, _SPARSE_TENSOR, _SPARSE_TENSORS = 5, 6, 10, 11, 22, 23  # of AttributeProto
_DIMS, _NAME, _EXTERNAL, _LOCATION = 1, 8, 13, 14  # of TensorProto
_KEY, _VALUE = 1, 2  # of StringStringEntryProto
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def wanted_weights(data: bytes, what: str) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of each weight that the graph does not hold itself.

    Args:
        data: The file.
        what: The file's name, for messages.

    Raises:
        LibraryError: It is no ONNX file, or it has parts that a library's graph never has.
    """
    try:
        return _wanted(data, what)
    except (IndexError, UnicodeDecodeError) as error:
        raise LibraryError(f"{what} is no ONNX graph, or is damaged: write it again with `dmpel export`") from error


def _wanted(data: bytes, what: str) -> dict[str, tuple[int, ...]]:
    weights: dict[str, tuple[int, ...]] = {}
    for field, value in _fields(data):
        if field == _FUNCTIONS:
            raise _refusal(what, "defines functions")
        for part, content in _fields(_bytes(value)) if field == _GRAPH else ():
            if part == _SPARSE:
                raise _refusal(what, "has sparse weights")
            if part == _NODE:
                _check_node(_bytes(content), what)
            if part == _INITIALIZER:
                name, place, shape = _tensor(_bytes(content))
                if place not in {None, WEIGHTS_PLACE}:
                    raise _refusal(what, f"wants weights from the file {place!r}")
                weights |= {name: shape} if place else {}
    return weights


def _refusal(what: str, fault: str) -> LibraryError:
    return LibraryError(f"{what} {fault}, which no graph of a library does: write it again with `dmpel export`")


def _check_node(node: bytes, what: str) -> None:
    """Refuse nodes that carry a graph, or a tensor from elsewhere."""
    for field, attribute in _fields(node):
        for part, content in _fields(_bytes(attribute)) if field == _ATTRIBUTE else ():
            if part in {_SUBGRAPH, _SUBGRAPHS, _SPARSE_TENSOR, _SPARSE_TENSORS}:
                raise _refusal(what, "has a graph or sparse numbers inside a node")
            if part in {_TENSOR, _TENSORS} and _tensor(_bytes(content))[1] is not None:
                raise _refusal(what, "has a constant from another file")


def _tensor(data: bytes) -> tuple[str, str | None, tuple[int, ...]]:
    """Return a tensor's name, the place of its data when that is not in the graph, and its shape."""
    name, place, external, shape = "", "", False, list[int]()
    for field, value in _fields(data):
        if field == _DIMS:
            shape += [value] if isinstance(value, int) else _varints(value)
        if field == _NAME:
            name = _bytes(value).decode()
        if field == _LOCATION:
            external = external or value != 0
        if field == _EXTERNAL:
            entry = {key: _bytes(text).decode() for key, text in _fields(_bytes(value))}
            external, place = True, entry.get(_VALUE, "") if entry.get(_KEY) == "location" else f"{place}?{entry.get(_KEY)}"
    return name, place if external else None, tuple(shape)


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise IndexError("a number where a message should be")
    return value


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the fields of a Protocol Buffers message: number and value."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield tag >> 3, value
            continue
        length = {_FIXED64: 8, _FIXED32: 4}.get(kind)
        if length is None:
            if kind != _BYTES:
                raise IndexError(f"wire type {kind}")
            length, at = _varint(data, at)
        if at + length > len(data):
            raise IndexError("the message ends early")
        yield tag >> 3, data[at : at + length]
        at += length


def _varints(data: bytes) -> list[int]:
    """Return packed numbers."""
    values, at = [], 0
    while at < len(data):
        value, at = _varint(data, at)
        values.append(value)
    return values


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise IndexError("a number longer than 64 bits")
