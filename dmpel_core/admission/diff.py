"""Say how two generations differ: what they are made of, and how the tasks of the first fare in the second."""

import argparse
from collections.abc import Iterator
from typing import Any

from dmpel_core.admission.gate import examine
from dmpel_core.admission.places import library_at
from dmpel_core.admission.probe import lazily
from dmpel_core.experts.library import Library


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("first", help="LIBRARY, or LIBRARY@GENERATION")
    parser.add_argument("second", help="the other one")


def run(arguments: argparse.Namespace) -> int:
    """Print the differences and return 0."""
    first, second = library_at(arguments.first), library_at(arguments.second)
    print("\n".join(differences(first, second)))
    if first.manifest.backbone.sha256 == second.manifest.backbone.sha256:
        print("\n".join(examine(first, second, None, lazily(second)).table()))
    return 0


def differences(first: Library, second: Library) -> Iterator[str]:
    """Yield a line for each part that is not the same."""
    yield f"first   {first.path} generation {first.generation}"
    yield f"second  {second.path} generation {second.generation}"
    parts: dict[str, list[Any]] = {
        "backbone": [library.manifest.backbone.sha256[:16] for library in (first, second)],
        "router": [library.manifest.router.sha256[:16] if library.manifest.router else "none" for library in (first, second)],
        "policy": [dict(library.policy) for library in (first, second)],
        "text encoder": [dict(library.text_encoder) for library in (first, second)],
        "observation": [dict(library.observation) for library in (first, second)],
        "adapted layers": [library.modules for library in (first, second)],
    }
    for name, (before, after) in parts.items():
        if before != after:
            yield f"{name}: {_changes(before, after)}"
    yield from _experts(first, second)


def _experts(first: Library, second: Library) -> Iterator[str]:
    before, after = ({expert.name: expert for expert in library.experts} for library in (first, second))
    yield from (f"expert {name!r}: only in the first" for name in before if name not in after)
    yield from (f"expert {name!r}: only in the second" for name in after if name not in before)
    for name in before.keys() & after.keys():
        parts = [part for part in ("factors", "replay") if getattr(before[name], part).sha256 != getattr(after[name], part).sha256]
        yield from (f"expert {name!r}: other {part}" for part in parts)


def _changes(before: object, after: object) -> str:
    """Return what changed; of mappings only the keys that did."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
        return ", ".join(f"{key} {before.get(key)} -> {after.get(key)}" for key in keys)
    return f"{before} -> {after}" if isinstance(before, str) else "not the same"
