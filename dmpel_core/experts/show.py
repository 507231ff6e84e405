"""Show what a library holds, after checking every file of it; or select another generation, which is how to roll back."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

from dmpel_core.experts.library import Expert, Library, Limits, Module, generations, read_library, select_generation
from dmpel_core.experts.signature import read_public_key


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("library", type=Path, help="folder of the library")
    parser.add_argument("--generation", type=int, help="generation to show; the one in use when left out")
    parser.add_argument("--select", type=int, metavar="GENERATION", help="make this the generation in use; no other file changes")
    parser.add_argument("--public-key", type=Path, metavar="FILE", help="refuse what is not signed by this key, see `dmpel sign`")
    parser.add_argument("--json", action="store_true", help="print the whole manifest as JSON instead")


def run(arguments: argparse.Namespace) -> int:
    """Print the library and return 0."""
    if arguments.select is not None:
        select_generation(arguments.library, arguments.select)
    key = read_public_key(arguments.public_key) if arguments.public_key else None
    library = read_library(arguments.library, arguments.generation, Limits(signed_by=key))
    text = json.dumps(asdict(library.manifest), indent=1) if arguments.json else "\n".join(describe(library))
    print(text)
    return 0


def describe(library: Library) -> Iterator[str]:
    """Yield the lines of a description."""
    manifest = library.manifest
    megabytes = sum(file.bytes for file in manifest.files()) / 1e6
    yield f"{library.path}: generation {library.generation} of {', '.join(map(str, generations(library.path)))}, {megabytes:.1f} MB, whole"
    yield f"backbone  {manifest.backbone.sha256[:16]}  {manifest.backbone.bytes / 1e6:.1f} MB"
    for group, modules in groupby(sorted(library.modules, key=_group), key=_group):
        yield _describe_group(group, list(modules))
    for number, expert in enumerate(library.experts, start=1):
        yield from _describe_expert(number, expert)


def _group(module: Module) -> str:
    return module.group


def _describe_group(group: str, modules: list[Module]) -> str:
    ranks = ", ".join(map(str, sorted({module.rank for module in modules})))
    numbers = sum((module.inputs + module.outputs) * module.rank for module in modules)
    return f"  {group:15} {len(modules):3} adapted layers, rank {ranks}, {numbers:,} numbers per expert"


def _describe_expert(number: int, expert: Expert) -> Iterator[str]:
    yield f"expert {number}  {expert.name}  ({expert.skill}; {expert.factors.bytes / 1e6:.2f} MB; {expert.factors.sha256[:16]})"
    yield from (f"  says   {instruction}" for instruction in expert.instructions)
    metrics = "".join(f", {name} {value}" for name, value in _metrics(expert).items())
    yield f"  from   data {expert.provenance['dataset'][:16]}, seed {expert.provenance['seed']}{metrics}"


def _metrics(expert: Expert) -> dict[str, str]:
    """Return the metrics that fit on a line, four digits each."""
    plain = {name: value for name, value in expert.provenance["metrics"].items() if isinstance(value, int | float | str)}
    return {name: f"{value:.4g}" if isinstance(value, float) else str(value) for name, value in plain.items()}
