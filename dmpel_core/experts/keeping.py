"""What is written to a library beside learning: fewer experts, and what a generation tells beside acting. Part of `library`."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from dmpel_core.experts.library import Library, _checked, _commit, _kept, _manifest, bare, generations, read_library
from dmpel_core.experts.manifest import slug, to_text
from dmpel_core.experts.storage import write_file, writing


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
