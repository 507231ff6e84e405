"""What is written to a library beside learning: fewer experts, less memory, what a generation tells beside acting. Part of `library`."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from dmpel_core.experts.library import Library, _checked, _commit, _kept, _manifest, bare, generations, read_library
from dmpel_core.experts.manifest import LibraryError, Limits, StoredFile, slug, to_text
from dmpel_core.experts.storage import read_stored, write_file, writing
from dmpel_core.experts.usage import sampled


def keep_experts(
    library: Library, kept: Sequence[int], router: Mapping[str, np.ndarray], replays: Sequence[Mapping[str, np.ndarray]]
) -> Library:
    """Write the next generation with some of the experts only; the others' files stay for the generations that name them.

    Args:
        library: The generation to build on.
        kept: Which experts, in their order.
        router: The router for these.
        replays: Their coefficient replay memories, numbered as they are now.

    Raises:
        LibraryError: A tensor is malformed, or another process writes to the library.
    """
    root, owner, limits = library.path, library.manifest.backbone.sha256, library.limits
    memories = [_checked(tensors, f"replay of expert {index}", owner, limits) for index, tensors in zip(kept, replays, strict=True)]
    routing = _checked(router, "router of the experts that stay", owner, limits)
    with writing(root):
        number = max(generations(root, limits)) + 1
        experts = []
        for index, memory in zip(kept, memories, strict=True):
            stored = write_file(root, f"replay/{number:04d}-{slug(library.experts[index].name)}.safetensors", memory)
            experts.append(replace(library.experts[index], replay=stored))
        stored = write_file(root, f"routers/{number:04d}.safetensors", routing)
        _commit(root, replace(bare(library.manifest), generation=number, parent=library.generation,
                              router=stored, experts=tuple(experts)), limits)  # fmt: skip
    return read_library(root, number, limits)


def copy_with_less_replay(
    source: str | os.PathLike[str], path: str | os.PathLike[str], share: float, seed: int, limits: Limits | None = None
) -> Library:
    """Write a library with the generations of another one, which remember a share of what they stored for coefficient replay.

    The alarm's limits are left out, since what is familiar is told from the replay memories, and so are signatures of the manifests.

    Args:
        source: Folder of the library.
        path: New folder, or one that is empty.
        share: Of the samples of each task, in (0, 1]; at least one stays.
        seed: Of the choice.
        limits: Caps; None for the defaults.

    Raises:
        LibraryError: The library is damaged, there is one already, or the share is none.
    """
    old, root, limits = Path(source), Path(path), limits or Limits()
    if not 0 < share <= 1:
        raise LibraryError(f"a share of {share} of the replay memories: expected more than 0 and at most 1")
    root.mkdir(parents=True, exist_ok=True)
    with writing(root):
        if any(root.iterdir()):
            raise LibraryError(f"{root} is not empty: choose another folder")
        current, thinned = _manifest(old, None, limits).generation, dict[str, StoredFile]()
        for number in sorted(generations(old, limits), key=lambda number: number == current):  # the one in use makes it a library
            library = read_library(old, number, limits)
            kept = library.manifest
            for file in (kept.backbone, kept.router, kept.heads, *kept.graphs, *(expert.factors for expert in kept.experts)):
                if file is not None and not (root / file.path).exists():
                    write_file(root, file.path, read_stored(old, file))
            for index, expert in enumerate(kept.experts):
                if expert.replay.path not in thinned:
                    memory = sampled(library.replay(index), share, seed)
                    data = _checked(memory, f"replay of {expert.name!r}", kept.backbone.sha256, limits)
                    thinned[expert.replay.path] = write_file(root, expert.replay.path, data)
            experts = tuple(replace(expert, replay=thinned[expert.replay.path]) for expert in kept.experts)
            place = "manifest.json" if number == current else f"manifests/{number:04d}.json"
            write_file(root, place, to_text(replace(kept, experts=experts, alarm=None)))
    return read_library(root, None, limits)


def keep_beside(library: Library, kind: str, tensors: Mapping[str, np.ndarray]) -> Library:
    """Put tensors beside a generation's router: its auxiliary heads, or the limits of its alarm. Nothing else of it changes.

    Args:
        library: The generation that they belong to.
        kind: `heads` or `alarm`.
        tensors: What a reader gets from the method of that name.

    Raises:
        LibraryError: A tensor is malformed, or another process writes to the library.
    """
    root, limits = library.path, library.limits
    data = _checked(tensors, kind, library.manifest.backbone.sha256, limits)
    with writing(root):
        place = f"{kind}/{library.generation:04d}-{hashlib.sha256(data).hexdigest()[:16]}.safetensors"
        kept, stored = _manifest(root, library.generation, limits), write_file(root, place, data)
        manifest = replace(kept, heads=stored) if kind == "heads" else replace(kept, alarm=stored)
        current = _manifest(root, None, limits).generation == library.generation
        for name in ("manifest.json",) * current + _kept(root, library.generation):
            write_file(root, name, to_text(manifest))
    return read_library(root, library.generation, limits)
