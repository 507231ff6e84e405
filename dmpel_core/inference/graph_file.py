"""What an ONNX file asks for, read from its bytes without the onnx package: which weights it wants, and nothing hidden.

Graphs of a library hold structure only. Their large weights are named in the graph and stay in the library's own safetensors
files, where hash, shape and finiteness are checked; a graph that names any other place is refused before a runtime sees it.
Field numbers are those of onnx.proto (ONNX 1.0 and later); the wire format is Protocol Buffers'.
"""

from collections.abc import Iterator

from dmpel_core.experts.manifest import LibraryError

_GRAPH, _FUNCTIONS = 7, 25  # of ModelProto
_NODE, _INITIALIZER, _SPARSE = 1, 5, 15  # of GraphProto
_ATTRIBUTE = 5  # of NodeProto
_TENSOR, _SUBGRAPH, _TENSORS, _SUBGRAPHS = 5, 6, 10, 11  # of AttributeProto
_NAME, _EXTERNAL, _LOCATION = 8, 13, 14  # of TensorProto
_KEY, _VALUE = 1, 2  # of StringStringEntryProto
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def wanted_weights(data: bytes, what: str) -> dict[str, str]:
    """Return where each weight that the graph does not hold itself is to come from, by name.

    Args:
        data: The file.
        what: The file's name, for messages.

    Raises:
        LibraryError: It is no ONNX file, or it has parts that a library's graph never has.
    """
    try:
        return _wanted(data, what)
    except (IndexError, UnicodeDecodeError) as error:
        raise LibraryError(f"{what} is no ONNX graph, or is damaged: export the library again") from error


def _wanted(data: bytes, what: str) -> dict[str, str]:
    weights: dict[str, str] = {}
    for field, value in _fields(data):
        if field == _FUNCTIONS:
            raise LibraryError(f"{what} defines functions, which no graph of a library does: export the library again")
        if field == _GRAPH:
            for part, content in _fields(_bytes(value)):
                if part == _SPARSE:
                    raise LibraryError(f"{what} has sparse weights, which no graph of a library has: export the library again")
                if part == _NODE:
                    _check_node(_bytes(content), what)
                if part == _INITIALIZER:
                    name, place = _tensor(_bytes(content))
                    if place is not None:
                        weights[name] = place
    return weights


def _check_node(node: bytes, what: str) -> None:
    """Refuse nodes that carry a graph, or a tensor from elsewhere."""
    for field, attribute in _fields(node):
        if field != _ATTRIBUTE:
            continue
        for part, content in _fields(_bytes(attribute)):
            if part in (_SUBGRAPH, _SUBGRAPHS):
                raise LibraryError(f"{what} has a graph inside a node, which no graph of a library has: export the library again")
            if part in (_TENSOR, _TENSORS) and _tensor(_bytes(content))[1] is not None:
                raise LibraryError(f"{what} wants a constant from another file: export the library again")


def _tensor(data: bytes) -> tuple[str, str | None]:
    """Return a tensor's name, and the place of its data when that is not in the graph."""
    name, place, external = "", "", False
    for field, value in _fields(data):
        if field == _NAME:
            name = _bytes(value).decode()
        if field == _LOCATION:
            external = external or value != 0
        if field == _EXTERNAL:
            entry = {key: _bytes(text).decode() for key, text in _fields(_bytes(value))}
            external, place = True, entry[_VALUE] if entry.get(_KEY) == "location" else place
    return name, place if external else None


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
