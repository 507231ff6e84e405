"""What a library says about itself: the text of `manifest.json`, parsed and checked.

Knows the shape of the text only. It opens no file and loads no tensor; `storage` and `tensors` do.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from dmpel_core.errors import DmpelError
from dmpel_core.groups import GROUPS

FORMAT = "dmpel-library"
VERSION = 1

_PATH = re.compile(
    r"backbone\.safetensors|(experts|routers|replay|heads|alarm)/\d{4,8}(-[a-z0-9-]{1,80})?\.safetensors|graphs/[a-z_]{1,32}-[0-9a-f]{16}\.onnx"
)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_Item = TypeVar("_Item")


class LibraryError(DmpelError):
    """A library on disk is damaged, too large, of another format, or does not fit."""


@dataclass(frozen=True)
class Limits:
    """What a reader insists on: caps that are checked before anything is allocated, and a signature where one is wanted.

    Raise the caps for a library that you trust. The defaults hold a ViT-B/16 policy with its text tower in float32 (0.8 GB) and
    some hundred experts.

    Attributes:
        manifest_bytes: Largest `manifest.json` [bytes].
        header_bytes: Largest header of a safetensors file [bytes].
        file_bytes: Largest file [bytes].
        total_bytes: All files of one generation together [bytes].
        tensors: Most tensors in one file.
        modules: Most adapted modules.
        experts: Most experts.
        rank: Largest rank of a module.
        signed_by: Public key that the manifest must be signed by, 32 bytes; None for no signature.
    """

    manifest_bytes: int = 8 << 20
    header_bytes: int = 1 << 20
    file_bytes: int = 2 << 30
    total_bytes: int = 4 << 30
    tensors: int = 4096
    modules: int = 1024
    experts: int = 256
    rank: int = 256
    signed_by: bytes | None = None


@dataclass(frozen=True)
class Module:
    """One linear layer that experts adapt: `y = x W + x A B`.

    Attributes:
        name: Unique within the policy; prefix of its factors' names `<name>.A` and `<name>.B`.
        group: One of `dmpel_core.groups.GROUPS`.
        inputs: Rows of A.
        outputs: Columns of B.
        rank: Columns of A and rows of B.
    """

    name: str
    group: str
    inputs: int
    outputs: int
    rank: int


@dataclass(frozen=True)
class StoredFile:
    """One immutable file: its place relative to the library, its hash and its size [bytes]."""

    path: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Expert:
    """One skill of the library.

    Attributes:
        name: Unique within the library.
        instructions: Sentences that ask for the skill; the first is the one it was learned with.
        skill: What the arm does, as the skill labels name it, e.g. `put`.
        factors: File of its low-rank factors, never changed after it was written.
        replay: File of its coefficient replay memory.
        provenance: Where it comes from: `dataset` (sha256), `seed`, `metrics`, and whatever else the trainer notes.
    """

    name: str
    instructions: tuple[str, ...]
    skill: str
    factors: StoredFile
    replay: StoredFile
    provenance: Mapping[str, Any]


@dataclass(frozen=True)
class Manifest:
    """One generation of a library.

    Attributes:
        generation: Number of this generation; 0 has no expert.
        parent: Generation that this one was made from; None for 0.
        policy: Sizes of the policy, as the policy code wrote them.
        text_encoder: Which text encoder made the instructions' embeddings.
        observation: Cameras and joints that the policy expects.
        modules: The adapted layers, in the policy's order.
        backbone: File of the frozen backbone.
        router: File of this generation's router; None without experts.
        experts: In the order in which they were learned, which is the order of the router's columns.
        graphs: Files of the policy as ONNX graphs, one for each stage of a tick; none where nobody has exported them.
        heads: File of the auxiliary heads of this generation's router; None where none are trained.
        alarm: File of the alarm's limits; None where nobody has calibrated it.
    """

    generation: int
    parent: int | None
    policy: Mapping[str, Any]
    text_encoder: Mapping[str, Any]
    observation: Mapping[str, Any]
    modules: tuple[Module, ...]
    backbone: StoredFile
    router: StoredFile | None = None
    experts: tuple[Expert, ...] = field(default=())
    graphs: tuple[StoredFile, ...] = field(default=())
    heads: StoredFile | None = None
    alarm: StoredFile | None = None

    def files(self) -> tuple[StoredFile, ...]:
        """Return every file of this generation, the backbone first."""
        single = (file for file in (self.router, self.heads, self.alarm) if file)
        return (self.backbone, *single, *self.graphs, *(file for expert in self.experts for file in (expert.factors, expert.replay)))

    def what_acts(self) -> str:
        """Return a name that generations share only if they act alike: a hash of their files' hashes."""
        files = (self.backbone, *([self.router] if self.router else []), *(expert.factors for expert in self.experts))
        return hashlib.sha256(" ".join(file.sha256 for file in files).encode()).hexdigest()

    def alarm_limits(self) -> str | None:
        """Return the hash of the alarm's limits, by which strangeness is told; None where nobody has calibrated it."""
        return self.alarm.sha256 if self.alarm else None


def to_text(manifest: Manifest) -> bytes:
    """Return the manifest as JSON, the same bytes for the same content."""
    record = {"format": FORMAT, "version": VERSION, **asdict(manifest)}
    for later in ("graphs", "heads", "alarm"):  # a library without them reads as it always did
        if not record[later]:
            del record[later]
    return (json.dumps(record, indent=1, allow_nan=False) + "\n").encode()


def from_text(text: bytes, limits: Limits, source: str) -> Manifest:
    """Parse and check a manifest.

    Args:
        text: JSON of at most `limits.manifest_bytes`.
        limits: Caps.
        source: What to call the text in an error.

    Raises:
        LibraryError: It is not JSON, of another format or version, or a field is missing, malformed or over a cap.
    """
    record = _strict_json(text, source)
    try:
        _check_version(record)
        manifest = _manifest(record)
        _check(manifest, limits)
    except _MalformedError as error:
        raise LibraryError(f"{source}: {error}") from error
    return manifest


def slug(name: str) -> str:
    """Return `name` as a part of a file name: lower case, hyphens, at most 80 characters."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:80].strip("-") or "expert"


class _MalformedError(Exception):
    """What is wrong with a field; `from_text` adds the file's name."""


def _strict_json(text: bytes, source: str) -> dict[str, Any]:
    """Parse a JSON object, without the extensions of Python's parser: no NaN, no key twice."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) != len(pairs):
            raise ValueError("a key stands there twice")
        return dict(pairs)

    def refuse(constant: str) -> float:
        raise ValueError(f"{constant} is not JSON")

    try:
        record = json.loads(text.decode(), object_pairs_hook=unique, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise LibraryError(f"{source} is not valid JSON ({error}): the file is damaged, restore it or select another generation") from error
    if not isinstance(record, dict):
        raise LibraryError(f"{source} holds a JSON {type(record).__name__}, expected an object")
    return record


def _check_version(record: dict[str, Any]) -> None:
    """Refuse another format before any other field is looked at."""
    if record.get("format") != FORMAT:
        raise _MalformedError(f"format is {record.get('format')!r}, expected {FORMAT!r}: this is not a library")
    if record.get("version") != VERSION:
        raise _MalformedError(
            f"format version is {record.get('version')!r}, this dmpel reads {VERSION}: use the release that wrote the library"
        )


def _take(record: object, key: str, kind: type[_Item]) -> _Item:
    """Return `record[key]`, which must be exactly of type `kind`."""
    if not isinstance(record, dict) or key not in record:
        raise _MalformedError(f"field {key!r} is missing")
    value = record[key]
    if type(value) is not kind:  # `isinstance` would take True for an integer
        raise _MalformedError(f"field {key!r} is a {type(value).__name__}, expected {kind.__name__}")
    return value


def _optional(record: dict[str, Any], key: str, parse: Callable[[Any], _Item]) -> _Item | None:
    """Return `parse(record[key])`, or None where the field is null."""
    if key not in record:
        raise _MalformedError(f"field {key!r} is missing")
    return None if record[key] is None else parse(record[key])


def _stored_file(record: object) -> StoredFile:
    file = StoredFile(_take(record, "path", str), _take(record, "sha256", str), _take(record, "bytes", int))
    if not _PATH.fullmatch(file.path):
        raise _MalformedError(f"file name {file.path!r} is not one that a library writes, it must stay inside the library's own folders")
    if not _SHA256.fullmatch(file.sha256):
        raise _MalformedError(f"sha256 of {file.path} is {file.sha256[:80]!r}, expected 64 hexadecimal digits")
    if file.bytes < 0:
        raise _MalformedError(f"bytes of {file.path} is {file.bytes}")
    return file


def _module(record: object) -> Module:
    sizes = (_take(record, key, int) for key in ("inputs", "outputs", "rank"))
    return Module(_take(record, "name", str), _take(record, "group", str), *sizes)


def _expert(record: object) -> Expert:
    instructions = tuple(_take(record, "instructions", list))
    if not instructions or not all(type(text) is str and text for text in instructions):
        raise _MalformedError("an expert's instructions must be a list of one or more sentences")
    provenance = _take(record, "provenance", dict)
    for key, kind in (("dataset", str), ("seed", int), ("metrics", dict)):
        _take(provenance, key, kind)
    factors, replay = (_stored_file(_take(record, key, dict)) for key in ("factors", "replay"))
    return Expert(_take(record, "name", str), instructions, _take(record, "skill", str), factors, replay, provenance)


def _manifest(record: dict[str, Any]) -> Manifest:
    parent = _optional(record, "parent", lambda value: _take({"parent": value}, "parent", int))
    policy, text_encoder, observation = (_take(record, key, dict) for key in ("policy", "text_encoder", "observation"))
    return Manifest(
        _take(record, "generation", int), parent, policy, text_encoder, observation,
        modules=tuple(_module(entry) for entry in _take(record, "modules", list)),
        backbone=_stored_file(_take(record, "backbone", dict)),
        router=_optional(record, "router", _stored_file),
        experts=tuple(_expert(entry) for entry in _take(record, "experts", list)),
        graphs=tuple(_stored_file(entry) for entry in (_take(record, "graphs", list) if "graphs" in record else ())),
        heads=_optional(record, "heads", _stored_file) if "heads" in record else None,
        alarm=_optional(record, "alarm", _stored_file) if "alarm" in record else None,
    )  # fmt: skip


def _check(manifest: Manifest, limits: Limits) -> None:
    """Check what several fields must agree on, and the caps."""
    if (manifest.parent is None) != (manifest.generation == 0) or not 0 <= manifest.generation < 10**8:
        raise _MalformedError(f"generation {manifest.generation} cannot have parent {manifest.parent}")
    if (manifest.router is None) != (not manifest.experts):
        raise _MalformedError(f"{len(manifest.experts)} experts and {'no' if manifest.router is None else 'a'} router do not go together")
    _check_caps(manifest, limits)
    _check_unique("module", [module.name for module in manifest.modules])
    _check_unique("expert", [expert.name for expert in manifest.experts])
    _check_unique("file", [file.path for file in manifest.files()])
    for module in manifest.modules:
        _check_module(module, limits)


def _check_caps(manifest: Manifest, limits: Limits) -> None:
    files = manifest.files()
    largest = max(files, key=lambda file: file.bytes)
    for what, found, cap in (
        ("experts", len(manifest.experts), limits.experts),
        ("modules", len(manifest.modules), limits.modules),
        (f"bytes in {largest.path}", largest.bytes, limits.file_bytes),
        ("bytes together", sum(file.bytes for file in files), limits.total_bytes),
    ):
        if found > cap:
            raise _MalformedError(f"{found} {what} are more than the cap of {cap}: raise `Limits` if you trust this library")


def _check_unique(what: str, names: list[str]) -> None:
    for name in names:
        if not 0 < len(name) <= 256 or not name.isprintable():
            raise _MalformedError(f"{what} name {name[:80]!r} must have 1 to 256 printable characters")
    twice = {name for name in names if names.count(name) > 1} if len(set(names)) != len(names) else set()
    if twice:
        raise _MalformedError(f"{what} {min(twice)!r} stands there twice")


def _check_module(module: Module, limits: Limits) -> None:
    if module.group not in GROUPS:
        raise _MalformedError(f"module {module.name!r} is in group {module.group!r}, expected one of {', '.join(GROUPS)}")
    if min(module.inputs, module.outputs, module.rank) < 1 or module.rank > limits.rank:
        sizes = f"{module.inputs} x {module.rank} x {module.outputs}"
        raise _MalformedError(f"module {module.name!r} has sizes {sizes}, rank must be 1 to {limits.rank}")
