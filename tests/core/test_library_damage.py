"""A library that is damaged is refused with one clear error; a writer that fails leaves the old generation whole."""

import errno
import hashlib
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from dmpel_core.errors import DmpelError
from dmpel_core.experts import storage
from dmpel_core.experts.library import LibraryError, Limits, read_library, select_generation
from tests.core.small_library import contents, make_library, teach

EXPERT = "experts/0001-first.safetensors"
Edit = Callable[[dict[str, Any]], object]


def flip(path: Path) -> None:
    """Flip the last bit of a file."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def edit(root: Path, change: Edit) -> None:
    """Change the manifest's JSON."""
    record = json.loads((root / "manifest.json").read_text())
    change(record)
    (root / "manifest.json").write_text(json.dumps(record))


def exchange(root: Path, data: bytes, relative: str = EXPERT) -> None:
    """Put other bytes in a file's place and make size and hash in the manifest agree with them: only the content can give it away."""
    (root / relative).write_bytes(data)
    stored = {"path": relative, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    edit(root, lambda record: record["experts"][0].update(factors=stored))


def packed(root: Path, change: Callable[[dict[str, np.ndarray]], object], backbone: str | None = None) -> bytes:
    """Return the expert's file with its factors changed."""
    library = read_library(root)
    factors = library.factors(0)
    change(factors)
    return save(factors, {"backbone": backbone or library.manifest.backbone.sha256})


def header(size: int, text: bytes = b"") -> bytes:
    """Return the beginning of a safetensors file."""
    return size.to_bytes(8, "little") + text


def keep(_: object) -> None:
    """Change nothing."""


def link_out(root: Path) -> None:
    """Replace the expert by a link to a file outside of the library with the very same bytes."""
    outside = root.parent / "outside.safetensors"
    (root / EXPERT).rename(outside)
    (root / EXPERT).symlink_to(outside)


def link_folder_out(root: Path) -> None:
    """Replace the experts' folder by a link to one outside of the library."""
    (root / "experts").rename(root.parent / "elsewhere")
    (root / "experts").symlink_to(root.parent / "elsewhere")


def loop(root: Path) -> None:
    """Make the expert's file a link to itself."""
    (root / EXPERT).unlink()
    (root / EXPERT).symlink_to(root / EXPERT)


def pipe(root: Path) -> None:
    """Make the expert's file a pipe that nobody writes to."""
    (root / EXPERT).unlink()
    os.mkfifo(root / EXPERT)


def renamed(path: str) -> Edit:
    """Name another file for the expert's factors."""
    return lambda record: record["experts"][0]["factors"].update(path=path)


def huge(root: Path) -> bytes:
    """Return a sound file whose header is above the cap."""
    text = packed(root, keep)
    size = int.from_bytes(text[:8], "little")
    padding = Limits().header_bytes
    return header(size + padding) + text[8 : 8 + size] + b" " * padding + text[8 + size :]


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "manifest truncated": (lambda root: os.truncate(root / "manifest.json", 100), "not valid JSON"),
    "manifest not text": (lambda root: (root / "manifest.json").write_bytes(b"\xff\xfe"), "not valid JSON"),
    "manifest nested": (lambda root: (root / "manifest.json").write_text("[" * 200_000), "not valid JSON"),
    "manifest a list": (lambda root: (root / "manifest.json").write_text("[]"), "expected an object"),
    "manifest with NaN": (lambda root: (root / "manifest.json").write_text('{"a": NaN}'), "NaN is not JSON"),
    "manifest key twice": (lambda root: (root / "manifest.json").write_text('{"a": 1, "a": 2}'), "a key stands there twice"),
    "manifest too long": (lambda root: (root / "manifest.json").write_bytes(b" " * (Limits().manifest_bytes + 1)), "bytes expected"),
    "manifest missing": (lambda root: (root / "manifest.json").unlink(), "has no manifest.json"),
    "other format": (lambda root: edit(root, lambda record: record.update(format="zip")), "this is not a library"),
    "later version": (lambda root: edit(root, lambda record: record.update(version=2)), "format version is 2, this dmpel reads 1"),
    "no version": (lambda root: edit(root, lambda record: record.pop("version")), "format version is None"),
    "field missing": (lambda root: edit(root, lambda record: record.pop("modules")), "field 'modules' is missing"),
    "field of another type": (lambda root: edit(root, lambda record: record.update(generation="1")), "expected int"),
    "truth for a number": (lambda root: edit(root, lambda record: record.update(generation=True)), "is a bool, expected int"),
    "orphan": (lambda root: edit(root, lambda record: record.update(parent=None)), "cannot have parent None"),
    "no router": (lambda root: edit(root, lambda record: record.update(router=None)), "1 experts and no router"),
    "unknown group": (
        lambda root: edit(root, lambda record: record["modules"][0].update(group="legs")),
        "group 'legs', expected one of image",
    ),
    "rank 0": (lambda root: edit(root, lambda record: record["modules"][0].update(rank=0)), "rank must be 1 to 256"),
    "rank above the cap": (lambda root: edit(root, lambda record: record["modules"][0].update(rank=257)), "rank must be 1 to 256"),
    "another rank": (lambda root: edit(root, lambda record: record["modules"][0].update(rank=1)), r"module list wants floats \(4, 1\)"),
    "another module": (lambda root: edit(root, lambda record: record["modules"][0].update(name="x")), "of no module|is missing"),
    "module twice": (lambda root: edit(root, lambda record: record["modules"].append(record["modules"][0])), "stands there twice"),
    "experts above the cap": (
        lambda root: edit(root, lambda record: record.update(experts=record["experts"] * 300)),
        "300 experts are more",
    ),
    "file above the cap": (lambda root: edit(root, lambda record: record["backbone"].update(bytes=1 << 40)), "more than the cap"),
    "negative size": (lambda root: edit(root, lambda record: record["backbone"].update(bytes=-1)), "bytes of backbone.safetensors is -1"),
    "no sentence": (lambda root: edit(root, lambda record: record["experts"][0].update(instructions=[])), "one or more sentences"),
    "no provenance": (lambda root: edit(root, lambda record: record["experts"][0]["provenance"].pop("seed")), "'seed' is missing"),
    "no hash": (lambda root: edit(root, lambda record: record["backbone"].update(sha256="")), "64 hexadecimal digits"),
    "absolute path": (lambda root: edit(root, renamed("/etc/passwd")), "must stay inside"),
    "parent path": (lambda root: edit(root, renamed("experts/../../0001.safetensors")), "must stay inside"),
    "path with a newline": (lambda root: edit(root, renamed(f"{EXPERT}\n")), "must stay inside"),
    "link out": (link_out, "leads out of the library"),
    "folder linked out": (link_folder_out, "leads out of the library"),
    "link to itself": (loop, "cannot be read"),
    "pipe": (pipe, "no regular file"),
    "folder": (lambda root: ((root / EXPERT).unlink(), (root / EXPERT).mkdir()), "no regular file"),
    "expert missing": (lambda root: (root / EXPERT).unlink(), "is missing: copy the library again"),
    "expert truncated": (lambda root: os.truncate(root / EXPERT, 200), "is truncated: it has 200 bytes"),
    "expert longer": (lambda root: (root / EXPERT).write_bytes((root / EXPERT).read_bytes() + b"1"), "bytes expected"),
    "expert bit flipped": (lambda root: flip(root / EXPERT), "is damaged or was exchanged"),
    "router bit flipped": (lambda root: flip(root / "routers/0001.safetensors"), "is damaged or was exchanged"),
    "replay bit flipped": (lambda root: flip(root / "replay/0001.safetensors"), "is damaged or was exchanged"),
    "backbone bit flipped": (lambda root: flip(root / "backbone.safetensors"), "is not the backbone of this library"),
    "expert empty": (lambda root: exchange(root, b""), "not a whole safetensors file: 0 bytes"),
    "expert shorter than its header": (lambda root: exchange(root, header(1000, b"{}")), "for a header of 1000"),
    "header endless": (lambda root: exchange(root, header(2**64 - 1, b"{}")), "not a whole safetensors file"),
    "header huge": (lambda root: exchange(root, huge(root)), "more than the cap of 1048576"),
    "header not JSON": (lambda root: exchange(root, header(2, b"{]")), "header that is not JSON"),
    "header a list": (lambda root: exchange(root, header(2, b"[]")), "expected an object"),
    "header without a backbone": (lambda root: exchange(root, header(2, b"{}")), "belongs to another backbone"),
    "expert of another backbone": (lambda root: exchange(root, packed(root, keep, "ff" * 32)), "belongs to another backbone"),
    "factor missing": (lambda root: exchange(root, packed(root, lambda f: f.pop("image.6.q.B"))), "'image.6.q.B' is missing"),
    "factor too many": (lambda root: exchange(root, packed(root, lambda f: f.update(x=f["image.6.q.B"]))), "'x' is of no module"),
    "wrong shape": (
        lambda root: exchange(root, packed(root, lambda f: f.update({"head.mean.B": np.zeros((3, 1), np.float32)}))),
        r"'head.mean.B' is float32 \(3, 1\), the module list wants floats \(1, 3\)",
    ),
    "NaN": (lambda root: exchange(root, packed(root, lambda f: f["head.mean.B"].fill(np.nan))), "NaN or infinity"),
    "infinity": (lambda root: exchange(root, packed(root, lambda f: f["head.mean.A"].fill(np.inf))), "NaN or infinity"),
    "float64": (
        lambda root: exchange(root, packed(root, lambda f: f.update({"head.mean.B": np.zeros((1, 3))}))),
        "of type 'F64', expected one of F32",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_refused(tmp_path: Path, damage: str) -> None:
    root = tmp_path / "library"
    teach(make_library(root), "first")
    assert read_library(root).generation == 1
    spoil, words = DAMAGES[damage]
    spoil(root)
    with pytest.raises(LibraryError, match=words) as caught:
        read_library(root)
    assert isinstance(caught.value, DmpelError)


ENTRY = '"dtype":"F32","shape":[2],"data_offsets":[0,8]'


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ('"dtype":"BF16","shape":[4],"data_offsets":[0,8]', "of type 'BF16'"),
        ('"dtype":[],"shape":[2],"data_offsets":[0,8]', "of type"),
        ('"dtype":"F32","shape":[-2],"data_offsets":[0,8]', "malformed shape"),
        ('"dtype":"F32","shape":[true,2],"data_offsets":[0,8]', "malformed shape"),
        ('"dtype":"F32","shape":"2","data_offsets":[0,8]', "malformed shape"),
        (f'"dtype":"F32","shape":{[1] * 9},"data_offsets":[0,4]', "malformed shape"),
        ('"dtype":"F32","shape":[2],"data_offsets":[0]', "malformed shape"),
        ('"dtype":"F32","shape":[1099511627776],"data_offsets":[0,8]', "does not fill its 8 bytes"),
        ('"dtype":"F32","shape":[1],"data_offsets":[0,8]', "does not fill its 8 bytes"),
        ('"dtype":"F32","shape":[2],"data_offsets":[8,16]', "not a whole safetensors file"),
        ('"dtype":"F32","shape":[1],"data_offsets":[0,4]', "not a whole safetensors file"),
    ],
)
def test_a_lying_header_is_refused(tmp_path: Path, entry: str, words: str) -> None:
    root = tmp_path / "library"
    owner = teach(make_library(root), "first").manifest.backbone.sha256
    text = f'{{"__metadata__":{{"backbone":"{owner}"}},"w":{{{entry}}}}}'.encode()
    exchange(root, header(len(text), text) + bytes(8))
    with pytest.raises(LibraryError, match=words):
        read_library(root)


def test_too_many_tensors_are_refused(tmp_path: Path) -> None:
    teach(make_library(tmp_path), "first")
    with pytest.raises(LibraryError, match="more than the cap of 1"):
        read_library(tmp_path, limits=Limits(tensors=1))


def test_a_file_exchanged_after_the_check_is_refused(tmp_path: Path) -> None:
    library = teach(make_library(tmp_path), "first")
    flip(tmp_path / EXPERT)
    with pytest.raises(LibraryError, match="is damaged or was exchanged"):
        library.factors(0)


class Failing:
    """Counts the steps of a writer, and lets one of them fail as a full disk does."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.steps = 0

    def reached(self) -> bool:
        """Count one step; return whether it is the one to fail."""
        self.steps += 1
        return self.steps == self.at

    def step(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return `call` as a step that fails before it does anything."""

        def counted(*values: Any) -> Any:
            if self.reached():
                raise OSError(errno.ENOSPC, "No space left on device")
            return call(*values)

        return counted

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Count every open for writing, write, flush and rename."""

        def open_counted(path: Path, mode: str) -> Any:
            return self.step(lambda: HalfWriter(path, self))() if mode == "wb" else open(path, mode)

        patch.setattr(storage, "open", open_counted, raising=False)
        patch.setattr(storage.os, "fsync", self.step(os.fsync))
        patch.setattr(storage.os, "replace", self.step(os.replace))


class HalfWriter(io.BufferedWriter):
    """A file whose write, when it is the one to fail, leaves half of the bytes."""

    def __init__(self, path: Path, failing: Failing) -> None:
        super().__init__(io.FileIO(path, "w"))
        self._failing = failing

    def write(self, data: Any) -> int:
        """Write all, or half and then fail."""
        if self._failing.reached():
            super().write(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


STEPS = 25
"""Five files (expert, router, replay, kept manifest, manifest), each opened, written, flushed, renamed, its folder flushed."""


def test_the_number_of_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = make_library(tmp_path)
    failing = Failing(at=0)
    failing.install(monkeypatch)
    teach(library, "first")
    assert failing.steps == STEPS


@pytest.mark.parametrize("at", range(1, STEPS + 1))
def test_a_failed_write_leaves_the_old_generation_whole(tmp_path: Path, at: int) -> None:
    undisturbed = teach(teach(make_library(tmp_path / "undisturbed"), "first"), "second", 2)
    library = teach(make_library(tmp_path / "library"), "first")
    before = contents(library.path)
    with pytest.MonkeyPatch.context() as patch:
        Failing(at).install(patch)
        with pytest.raises(OSError, match="No space left"):
            teach(library, "second", 2)
    after = contents(library.path)
    assert all(after[name] == data for name, data in before.items() if name != "manifest.json")
    if at < STEPS:  # at the last step the rename is done: the new generation stands
        assert read_library(library.path) == library
        teach(library, "second", 2)
    assert contents(library.path) == contents(undisturbed.path)


@pytest.mark.parametrize("at", range(1, 11))
def test_a_failed_creation_can_be_tried_again(tmp_path: Path, at: int) -> None:
    make_library(tmp_path / "undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        Failing(at).install(patch)
        with pytest.raises(OSError, match="No space left"):
            make_library(tmp_path / "library")
    if at < 10:
        make_library(tmp_path / "library")
    assert contents(tmp_path / "library") == contents(tmp_path / "undisturbed")


def test_a_failed_rollback_keeps_the_generation_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = teach(make_library(tmp_path), "first")
    Failing(at=9).install(monkeypatch)  # the second file's rename
    with pytest.raises(OSError, match="No space left"):
        select_generation(tmp_path, 0)
    assert read_library(tmp_path) == library
