"""The library on disk: a frozen backbone, its experts, and one router per generation.

    library/
      manifest.json                   the generation in use
      manifests/0002.json             every other generation, so that rollback is a pointer
      backbone.safetensors            immutable, named by its hash
      experts/0003-open-a-drawer.safetensors   immutable; the number is the generation that added it
      routers/0003.safetensors        one per generation
      replay/0003.safetensors         coefficient replay memory of that task
      heads/0003-0123456789abcdef.safetensors  what a generation tells beside acting, where it was trained
      alarm/0003-0123456789abcdef.safetensors  the alarm's limits, where they were calibrated
      graphs/act-0123456789abcdef.onnx   the policy as ONNX graphs, named by their hash; structure only, no weight is in them
      signatures/0003.sig             of a manifest and so of every file that it names, where somebody has signed it

numpy, safetensors and JSON only: neither torch, nor a simulator, nor ROS. Renaming `manifest.json` is the one step that makes
a generation exist, so a crash leaves the old one whole. A generation without experts is numbered 0.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dmpel_core.experts.manifest import Expert, LibraryError, Limits, Manifest, Module, StoredFile, from_text, slug, to_text
from dmpel_core.experts.signature import check_signature
from dmpel_core.experts.storage import read_file, read_stored, write_file, writing
from dmpel_core.experts.tensors import Tensors, check_factors, pack, unpack

__all__ = [
    "Expert", "Library", "LibraryError", "Limits", "Module", "NewExpert",
    "add_expert", "add_experts", "create_library", "generations", "keep_graphs", "open_library", "read_library", "select_generation",
]  # fmt: skip


@dataclass(frozen=True)
class Library:
    """One checked, immutable generation of a library.

    The tensors stay on the disk until asked for; every method reads them anew and checks them again, so that a file exchanged
    in the meantime is refused. Safe to share between threads.

    Attributes:
        path: Folder of the library.
        manifest: What the generation says about itself.
        limits: Caps that hold for every read.
    """

    path: Path
    manifest: Manifest
    limits: Limits

    @property
    def generation(self) -> int:
        """Number of this generation."""
        return self.manifest.generation

    @property
    def parent(self) -> int | None:
        """Generation that this one was made from."""
        return self.manifest.parent

    @property
    def policy(self) -> Mapping[str, Any]:
        """Sizes of the policy."""
        return self.manifest.policy

    @property
    def text_encoder(self) -> Mapping[str, Any]:
        """Which text encoder made the instructions' embeddings."""
        return self.manifest.text_encoder

    @property
    def observation(self) -> Mapping[str, Any]:
        """Cameras and joints that the policy expects."""
        return self.manifest.observation

    @property
    def modules(self) -> tuple[Module, ...]:
        """The adapted layers, in the policy's order."""
        return self.manifest.modules

    @property
    def experts(self) -> tuple[Expert, ...]:
        """The experts in the order in which they were learned."""
        return self.manifest.experts

    def backbone(self) -> Tensors:
        """Return the frozen policy's tensors."""
        return self._load(self.manifest.backbone, bound=False)

    def factors(self, index: int) -> Tensors:
        """Return `<module>.A` (inputs, rank) and `<module>.B` (rank, outputs) of expert `index`."""
        file = self.experts[index].factors
        tensors = self._load(file)
        check_factors(tensors, self.modules, str(self.path / file.path))
        return tensors

    def router(self) -> Tensors:
        """Return this generation's router; empty without experts."""
        return self._load(self.manifest.router) if self.manifest.router else {}

    def replay(self, index: int) -> Tensors:
        """Return the coefficient replay memory of expert `index`."""
        return self._load(self.experts[index].replay)

    def graphs(self) -> dict[str, bytes]:
        """Return the policy's ONNX graphs by stage; empty where nobody has exported them."""
        return {Path(file.path).stem.rsplit("-", 1)[0]: read_stored(self.path, file) for file in self.manifest.graphs}

    def heads(self) -> Tensors:
        """Return the auxiliary heads of this generation's router; empty where none are trained."""
        return self._load(self.manifest.heads) if self.manifest.heads else {}

    def alarm(self) -> Tensors:
        """Return the limits of the alarm by task; empty where nobody has calibrated it."""
        return self._load(self.manifest.alarm) if self.manifest.alarm else {}

    def check(self) -> None:
        """Read every file once.

        Raises:
            LibraryError: One is damaged or does not fit.
        """
        self.backbone()
        self.router()
        self.graphs()
        self.heads()
        self.alarm()
        for index in range(len(self.experts)):
            self.factors(index)
            self.replay(index)

    def _load(self, file: StoredFile, *, bound: bool = True) -> Tensors:
        """Read one file; `bound` ones must name the backbone that they were trained on."""
        owner = self.manifest.backbone.sha256 if bound else ""
        return unpack(read_stored(self.path, file), self.limits, str(self.path / file.path), owner)


def create_library(
    path: str | os.PathLike[str],
    *,
    backbone: Mapping[str, np.ndarray],
    policy: Mapping[str, Any],
    modules: Sequence[Module],
    text_encoder: Mapping[str, Any],
    observation: Mapping[str, Any],
) -> Library:
    """Write generation 0: a backbone without experts.

    Args:
        path: New folder, or one that is empty.
        backbone: The frozen policy's tensors.
        policy: Sizes of the policy, JSON.
        modules: The layers that experts will adapt.
        text_encoder: Which text encoder made the instructions' embeddings, JSON.
        observation: Cameras and joints that the policy expects, JSON.

    Raises:
        LibraryError: There is a library already, or a tensor or field is malformed.
    """
    root = Path(path)
    root.mkdir(parents=True, exist_ok=True)
    with writing(root):
        if (root / "manifest.json").exists():
            raise LibraryError(f"{root} holds a library already: add experts to it, or choose another folder")
        data = _checked(backbone, "backbone")
        manifest = Manifest(0, None, policy, text_encoder, observation, tuple(modules), write_file(root, "backbone.safetensors", data))
        _commit(root, manifest, Limits())
    return read_library(root)


@dataclass(frozen=True)
class NewExpert:
    """One expert that is about to be written.

    Attributes:
        name: Unique within the library.
        instructions: Sentences that ask for the skill, the one it was learned with first.
        skill: Skill label.
        factors: `<module>.A` (inputs, rank) and `<module>.B` (rank, outputs) of every module.
        replay: Coefficient replay memory of this task.
        provenance: JSON with at least `dataset` (sha256), `seed` and `metrics`.
    """

    name: str
    instructions: tuple[str, ...]
    skill: str
    factors: Mapping[str, np.ndarray]
    replay: Mapping[str, np.ndarray]
    provenance: Mapping[str, Any]


def add_expert(
    library: Library,
    *,
    name: str,
    instructions: Sequence[str],
    skill: str,
    factors: Mapping[str, np.ndarray],
    router: Mapping[str, np.ndarray],
    replay: Mapping[str, np.ndarray],
    provenance: Mapping[str, Any],
) -> Library:
    """Write the next generation: the one given, one expert more, and a new router. No existing file changes.

    Args:
        library: The generation to build on.
        name: As `NewExpert`, and so are the others.
        instructions: Sentences that ask for the skill.
        skill: Skill label.
        factors: Of every module.
        router: The router for all experts, this one included.
        replay: Coefficient replay memory of this task.
        provenance: Where it comes from.

    Raises:
        LibraryError: The name is taken, or a tensor or field is malformed.
    """
    return add_experts(library, [NewExpert(name, tuple(instructions), skill, factors, replay, provenance)], router)


def add_experts(library: Library, experts: Sequence[NewExpert], router: Mapping[str, np.ndarray]) -> Library:
    """Write a generation with several experts more that share one new router, as those of another code's checkpoint do.

    Each takes a number of its own; the generations in between, whose routers nobody has, do not exist.

    Raises:
        LibraryError: A name is taken, or a tensor or field is malformed.
    """
    root, owner, limits = library.path, library.manifest.backbone.sha256, library.limits
    data = []
    for expert in experts:
        check_factors(dict(expert.factors), library.modules, f"expert {expert.name!r}")
        data.append([_checked(tensors, f"{what} of expert {expert.name!r}", owner, limits)
                     for what, tensors in (("factors", expert.factors), ("replay", expert.replay))])  # fmt: skip
    routing = _checked(router, f"router of expert {experts[-1].name!r}", owner, limits)
    with writing(root):
        number = max(generations(root, limits))  # not the parent: after a rollback the one after that is taken
        added = []
        for expert, (factors, replay) in zip(experts, data, strict=True):
            number += 1
            stored = write_file(root, f"experts/{number:04d}-{slug(expert.name)}.safetensors", factors)
            memory = write_file(root, f"replay/{number:04d}.safetensors", replay)
            added.append(Expert(expert.name, expert.instructions, expert.skill, stored, memory, dict(expert.provenance)))
        stored = write_file(root, f"routers/{number:04d}.safetensors", routing)
        _commit(root, replace(bare(library.manifest), generation=number, parent=library.generation,
                              router=stored, experts=(*library.experts, *added)), limits)  # fmt: skip
    return read_library(root, number, limits)


def select_generation(path: str | os.PathLike[str], generation: int, limits: Limits | None = None) -> Library:
    """Make another generation the one in use; none is lost.

    Raises:
        LibraryError: There is no such generation, or it is damaged. The one in use is then untouched.
    """
    chosen = read_library(path, generation, limits)
    with writing(chosen.path):
        _commit(chosen.path, chosen.manifest, chosen.limits)
    return chosen


def keep_graphs(path: str | os.PathLike[str], graphs: Mapping[str, bytes], limits: Limits | None = None) -> Library:
    """Put the policy's ONNX graphs into a library: every generation names them from then on, and nothing else of it changes.

    Args:
        path: Folder of the library.
        graphs: File content by stage.
        limits: Caps; None for the defaults.

    Raises:
        LibraryError: The library is damaged, or another process writes to it.
    """
    root, limits = Path(path), limits or Limits()
    with writing(root):
        names = {f"graphs/{stage}-{hashlib.sha256(data).hexdigest()[:16]}.onnx": data for stage, data in graphs.items()}
        files = tuple(write_file(root, name, data) for name, data in names.items())
        current = _manifest(root, None, limits)
        for generation in generations(root, limits):  # a crash in between leaves some without graphs, but whole: a second try mends them
            manifest = replace(_manifest(root, generation, limits), graphs=files)
            for place in ("manifest.json",) * (generation == current.generation) + _kept(root, generation):
                write_file(root, place, to_text(manifest))
    return read_library(root, None, limits)


def bare(manifest: Manifest) -> Manifest:
    """Return a manifest without the heads, which belong to one router. The alarm's limits belong to tasks and stay."""
    return replace(manifest, heads=None)


def _kept(root: Path, generation: int) -> tuple[str, ...]:
    """Return the place of a generation's kept manifest, if there is one."""
    place = f"manifests/{generation:04d}.json"
    return (place,) if (root / place).exists() else ()


def open_library(path: str | os.PathLike[str], generation: int | None = None, limits: Limits | None = None) -> Library:
    """Read one generation's manifest alone; its methods check each file when it is asked for.

    An engine that runs takes this: loading one expert reads one expert, whatever the library holds.

    Raises:
        LibraryError: There is no such library or generation, or its manifest is damaged, over a cap, or lacks the signature asked for.
    """
    root, limits = Path(path), limits or Limits()
    manifest = _manifest(root, generation, limits)
    if limits.signed_by is not None:
        check_signature(root, manifest, limits.signed_by)
    return Library(root, manifest, limits)


def read_library(path: str | os.PathLike[str], generation: int | None = None, limits: Limits | None = None) -> Library:
    """Read one generation and check every file of it.

    Args:
        path: Folder of the library.
        generation: Which one; None for the one in use.
        limits: Caps; None for the defaults.

    Raises:
        LibraryError: There is no such library or generation, or a file is damaged, does not fit, or lacks the signature asked for.
    """
    library = open_library(path, generation, limits)
    library.check()
    return library


def generations(path: str | os.PathLike[str], limits: Limits | None = None) -> tuple[int, ...]:
    """Return the numbers of all generations, oldest first."""
    root = Path(path)
    names = [place.stem for place in (root / "manifests").glob("*.json")]
    return tuple(sorted({_manifest(root, None, limits or Limits()).generation, *(int(name) for name in names if name.isdecimal())}))


def _manifest(root: Path, generation: int | None, limits: Limits) -> Manifest:
    """Read the manifest in use, or the one of `generation`: one file, for a load beside a moving arm should be short."""
    if not (root / "manifest.json").exists():
        raise LibraryError(f"{root} is not a library: it has no manifest.json")
    kept = _kept(root, generation) if generation is not None else ()
    place = kept[0] if kept else "manifest.json"
    found = from_text(read_file(root, place, limits.manifest_bytes), limits, str(root / place))
    if generation in {None, found.generation}:
        return found
    if kept:
        raise LibraryError(f"{root / place} describes generation {found.generation}: the file was exchanged")
    raise LibraryError(f"{root} has no generation {generation}, only {', '.join(map(str, generations(root, limits)))}")


def _commit(root: Path, manifest: Manifest, limits: Limits) -> None:
    """Make `manifest` the generation in use, and keep the one that was.

    The old one is kept first: until the last rename nothing has changed for a reader, and a second try starts from the same state.
    """
    data = to_text(manifest)
    from_text(data, limits, "the new manifest")
    if (root / "manifest.json").exists():
        kept = _manifest(root, None, limits)
        if not (root / f"manifests/{kept.generation:04d}.json").exists():
            write_file(root, f"manifests/{kept.generation:04d}.json", to_text(kept))
    write_file(root, "manifest.json", data)


def _checked(tensors: Mapping[str, np.ndarray], what: str, owner: str = "", limits: Limits | None = None) -> bytes:
    """Return tensors as bytes that a reader will take."""
    data = pack(tensors, owner)
    unpack(data, limits or Limits(), what, owner)
    return data
