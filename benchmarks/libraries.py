"""Libraries of random weights to measure on: how long a tick takes does not depend on what the arm has learned."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from dmpel_core.experts.library import Library, LibraryError, Limits, NewExpert, add_experts, create_library, keep_graphs, open_library
from dmpel_core.experts.router import Router
from dmpel_core.inference.export.command import weight_shapes
from dmpel_core.inference.export.stages import write_graphs
from dmpel_core.paths import cache_directory
from dmpel_core.policy.adapted import AdaptedModule
from dmpel_core.policy.clip_text import ClipTextTower
from dmpel_core.policy.policy import FINGERS, JOINTS, Policy
from dmpel_core.policy.presets import CLIP_VIT_B16, PRESETS
from dmpel_core.policy.query import query_width
from dmpel_core.policy.sizes import LanguageSizes, PolicySizes, VisionSizes
from dmpel_core.policy.text_files import WIDTH
from dmpel_core.training.interface import OBSERVATION, library_modules

INSTRUCTION = "put the bowl on the plate"
STEPS = (1, 10, 11, 100, 1000)  # generations, numbered by their experts; 11 is there to be loaded into an engine that runs 10
LIMITS = Limits(experts=1000, total_bytes=8 << 30)
NANO = replace(
    CLIP_VIT_B16, pixels=32, image_width=24, width=24, heads=8, film_hidden=16, head_hidden=16, temporal_hidden=16, rank=2, tower_rank=1,
    router_hidden=16, vision=VisionSizes(pixels=32, heads=12, hidden=16, unused=0),
    language=LanguageSizes(width=16, hidden=16, vocabulary=64, end=63, outputs=16),
)  # fmt: skip
SIZES = {**PRESETS, "nano": NANO}
"""The presets, and one with the operations of the published policy and next to no arithmetic: what is left is the host's overhead."""


def random_library(sizes: PolicySizes, experts: int, folder: Path | None = None) -> Library:
    """Return a library's generation with that many experts, one of `STEPS`, made if it does not exist yet.

    Args:
        sizes: Sizes of the policy.
        experts: Number of experts, and of the generation.
        folder: Where the library is kept; None for a folder in the cache that is named by the sizes.
    """
    if folder is None:
        digest = hashlib.sha256(json.dumps(sizes.to_json()).encode()).hexdigest()[:12]
        folder = cache_directory() / "benchmarks" / digest
    if not (folder / "manifest.json").exists():
        _create(folder, sizes)
    for last, step in zip((0, *STEPS), STEPS, strict=False):
        if step <= experts and not _has(folder, step):
            _grow(open_library(folder, last, LIMITS), step)
    _export(open_library(folder, experts, LIMITS))
    return open_library(folder, experts, LIMITS)


def _has(folder: Path, generation: int) -> bool:
    try:
        open_library(folder, generation, LIMITS)
    except LibraryError:
        return False
    return True


def _create(folder: Path, sizes: PolicySizes) -> Library:
    """Write a random backbone without experts."""
    torch.manual_seed(0)
    policy = Policy(sizes)
    if isinstance(policy.text, ClipTextTower):
        policy.text.set_tokenizer(word_tokenizer(policy.text.sizes.end))
    return create_library(
        folder,
        backbone={name: value.numpy() for name, value in policy.backbone_state().items()},
        policy=sizes.to_json(),
        modules=library_modules(policy),
        text_encoder=policy.text.identity(),
        observation=OBSERVATION,
    )


def word_tokenizer(end: int) -> bytes:
    """Return a tokenizer that knows the words of `INSTRUCTION` and marks start and end as CLIP's does; the end is token `end`."""
    words = {word: number for number, word in enumerate(dict.fromkeys(INSTRUCTION.split()))}
    tokenizer = Tokenizer(WordLevel({**words, "<start>": end - 1, "<end>": end}, unk_token="<end>"))  # noqa: S106 - a token of words
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(single="<start> $A <end>", special_tokens=[("<start>", end - 1), ("<end>", end)])
    return tokenizer.to_str().encode()


def _grow(library: Library, experts: int) -> None:
    """Add random experts up to that number, and a router for all of them."""
    sizes = PolicySizes.from_json(library.policy)
    modules = [AdaptedModule(m.name, m.group, m.inputs, m.outputs, m.rank, m.name) for m in library.modules]
    added = [_expert(modules, number) for number in range(len(library.experts), experts)]
    torch.manual_seed(experts)
    width = query_width(sizes, sizes.language.outputs if sizes.language else WIDTH, JOINTS + FINGERS)
    router = Router(width, sizes.router_hidden, experts, sizes.top_k, shared=sizes.router_shared)
    stored = {name: value.numpy() for name, value in router.state_dict().items()}
    stored["net.4.weight"] = 10 * stored["net.4.weight"]  # or all experts weigh nearly the same
    add_experts(library, added, stored)


def _export(library: Library) -> None:
    """Write the library's graphs, unless it has those that this version writes."""
    sizes = PolicySizes.from_json(library.policy)
    graphs = write_graphs(sizes, library.modules, weight_shapes(library, sizes))
    if graphs != library.graphs():
        keep_graphs(library.path, graphs, LIMITS)


def _expert(modules: list[AdaptedModule], number: int) -> NewExpert:
    """Return an expert whose factors change every module by a few per cent."""
    generator = torch.Generator().manual_seed(number)
    factors = {}
    for module in modules:
        for name, shape in module.shapes().items():
            strength = 0.3 * module.inputs**-0.5 if name.endswith(".A") else 0.05 * module.rank**-0.5
            factors[name] = (torch.randn(shape, generator=generator) * strength).numpy()
    name, provenance = f"skill {number + 1}", {"dataset": "00" * 32, "seed": number, "metrics": {}}
    return NewExpert(name, (name,), "none", factors, {"queries": torch.zeros(1, 1).numpy()}, provenance)
