"""One generation as one file: its manifest and the files that its parent lacks, for a robot that has the rest.

The file is safetensors: every content a tensor of bytes named by its place in the library, `manifest.json` among them, and the
signature where there is one. What it holds is checked as everything in a library is, before the generation exists.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from dmpel_core.experts.library import Library, generations, open_library
from dmpel_core.experts.manifest import LibraryError, Limits, Manifest, from_text, to_text
from dmpel_core.experts.signature import check_signature, place_of
from dmpel_core.experts.storage import read_file, read_stored, write_file, writing
from dmpel_core.experts.tensors import Tensors, pack, unpack

_MANIFEST = "manifest.json"


def pack_generation(library: Library) -> bytes:
    """Return a generation as the content of one file: usually one expert, the router that knows it and its replay memory.

    Raises:
        LibraryError: The generation has no expert, or a file of it is damaged.
    """
    manifest, root = library.manifest, library.path
    if manifest.parent is None:
        raise LibraryError(f"{root}: generation {manifest.generation} has no expert to pack; copy the library's folder instead")
    known = set(open_library(root, manifest.parent, replace(library.limits, signed_by=None)).manifest.files()) - set(manifest.graphs)
    files = {file.path: read_stored(root, file) for file in manifest.files() if file not in known}
    if (root / place_of(manifest.generation)).exists():
        files[place_of(manifest.generation)] = (root / place_of(manifest.generation)).read_bytes()
    files[_MANIFEST] = to_text(manifest)
    return pack({place: np.frombuffer(data, np.uint8) for place, data in files.items()}, manifest.backbone.sha256)


def install(root: Path, file: Path, limits: Limits | None = None) -> Library:
    """Add the generation that a file holds to a library. The one in use stays so.

    Args:
        root: Folder of the library; it must have the generation's parent.
        file: What `pack_generation` gave.
        limits: Caps, and who must have signed the generation; None for the defaults.

    Raises:
        LibraryError: The file is damaged, of another backbone or parent, its number is taken, or it lacks the signature asked for. The
            library is then as before.
    """
    limits = limits or Limits()
    unsigned = replace(limits, signed_by=None)
    here = open_library(root, None, unsigned)
    data = read_file(file.parent, file.name, limits.file_bytes)
    contents = unpack(data, limits, str(file), here.manifest.backbone.sha256)
    if _MANIFEST not in contents or any(array.dtype != np.uint8 for array in contents.values()):
        raise LibraryError(f"{file} is no expert file: `dmpel pack` makes them")
    manifest = from_text(contents.pop(_MANIFEST).tobytes(), limits, str(file))
    with writing(root):
        _check_parent(root, manifest, file, unsigned)
        if manifest.generation in generations(root, limits):
            return _same(root, manifest, file, limits)
        return _write(root, manifest, contents, limits)


def _check_parent(root: Path, manifest: Manifest, file: Path, limits: Limits) -> None:
    """Refuse a generation that was not made from one of the library's."""
    numbers = generations(root, limits)
    parent = open_library(root, manifest.parent, limits).manifest if manifest.parent in numbers else None
    if parent is None or manifest.experts[: len(parent.experts)] != parent.experts:
        names = ", ".join(repr(expert.name) for expert in manifest.experts[:-1]) or "no expert"
        raise LibraryError(
            f"{file} follows generation {manifest.parent} with {names}; {root} has generations {', '.join(map(str, numbers))} and none "
            "that is the same: send those in between first, or copy the library's folder"
        )


def _same(root: Path, manifest: Manifest, file: Path, limits: Limits) -> Library:
    """Return the generation that is there already, if it is the same one."""
    there = open_library(root, manifest.generation, limits)
    if replace(there.manifest, graphs=()) != replace(manifest, graphs=()):
        raise LibraryError(
            f"{file} holds generation {manifest.generation}, and {root} has another one of that number, whose newest expert is "
            f"{there.experts[-1].name if there.experts else 'none'!r}: a number is given once, learn the skill on this library"
        )
    return there


def _write(root: Path, manifest: Manifest, contents: Tensors, limits: Limits) -> Library:
    """Write the files, check the generation as a reader would, and only then make it exist."""
    library, written = Library(root, manifest, limits), []
    wanted = {file.path for file in manifest.files()} | {place_of(manifest.generation)}
    try:
        for place in sorted(contents.keys() & wanted):
            if not (root / place).exists():
                written.append(root / place)
                write_file(root, place, contents[place].tobytes())
        library.check()
        if limits.signed_by is not None:
            check_signature(root, manifest, limits.signed_by)
        write_file(root, f"manifests/{manifest.generation:04d}.json", to_text(manifest))
    except (LibraryError, OSError):
        for file in written:
            file.unlink(missing_ok=True)
        raise
    return library
