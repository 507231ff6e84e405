"""One backbone ready to run: its stages, and the arrays that they read and write at every tick, made once."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dmpel_core.experts.library import Library, LibraryError
from dmpel_core.inference import quantise
from dmpel_core.inference.flat_router import FlatRouter
from dmpel_core.inference.graph_file import MIXED
from dmpel_core.inference.layout import Layout
from dmpel_core.inference.pictures import resizing
from dmpel_core.inference.routing import query_width
from dmpel_core.inference.sentence import open_sentences
from dmpel_core.inference.sessions import GRAPH_ERRORS, Binding, open_sessions
from dmpel_core.observation import Observation
from dmpel_core.policy.sizes import PolicySizes

STAGES = ("trunk", "look", "encode", "text_trunk", "text_encode", "act")
LARGEST = 4096  # [px], side of a picture


class Workspace:
    """The arrays of one tick and the stages between them. Belongs to the thread that ticks.

    Attributes:
        sizes: Of the policy.
        layout: Where each factor lies in `mixed`.
        provider: The execution provider that really computes.
        mixed: The mixed factors; zeros are the backbone alone.
        frozen_sentence: (1, outputs), the instruction without experts, after `read`.
    """

    def __init__(self, library: Library, threads: int, provider: str, *, int8: bool = False) -> None:
        """Open a library's backbone, with `int8` the image tower in eight bits.

        Raises:
            DmpelError: A file is damaged, there are no graphs, or the text encoder is another one.
        """
        weights = library.backbone()
        self.sizes = sizes = PolicySizes.from_json(library.policy)
        self.layout = Layout(library.modules, sizes.expert_bias)
        self._sentences = open_sentences(library, sizes, weights)
        self._sessions = open_sessions(_graphs(library, int8), self._weights(weights, int8), threads, provider)
        self.provider = self._sessions["act"].get_providers()[0]
        self._centre, self._deviation = weights["proprioception.mean"], weights["proprioception.std"]
        self._make_arrays()
        self._bindings: dict[str, Binding] = {}
        self._bind("look", "encode", "act")
        self._pictures: np.ndarray | None = None
        self._instruction: str | None = None

    def _weights(self, backbone: Mapping[str, np.ndarray], int8: bool) -> Mapping[str, np.ndarray]:
        """Return the tensors that graphs may want."""
        weights = {**backbone, **self._sentences.weights}
        return quantise.with_quantised(weights) if int8 else weights

    def _make_arrays(self) -> None:
        """Make every array whose size does not depend on a picture or an instruction."""
        sizes, shapes = self.sizes, self._shapes()
        arrays = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
        window = np.zeros((sizes.window, *shapes["fused"]), np.float32)
        state, slot = np.zeros((1, len(self._centre)), np.float32), np.zeros(1, np.int64)
        self._arrays: dict[str, np.ndarray] = {**arrays, "window": window, "slot": slot, "state": state}
        self.mixed = np.zeros(self.layout.size, np.float32)
        self._factors = self._factors_in(self.mixed)
        self.frozen_sentence = np.zeros_like(arrays["sentence"])

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of what stages write, as their graphs say."""
        places = [place for name in ("trunk", "look", "encode", "text_encode", "act") for place in self._sessions[name].get_outputs()]
        shapes = {place.name: tuple(place.shape) for place in places}
        if odd := [name for name, shape in shapes.items() if not all(isinstance(size, int) for size in shape)]:
            raise LibraryError(f"a graph of this library leaves the size of {odd[0]!r} open: write it again with `dmpel export`")
        return shapes

    def _factors_in(self, row: np.ndarray) -> dict[str, np.ndarray]:
        """Return every factor of a row under the name that graphs give it."""
        return {f"{MIXED}{name}": self.layout.view(row, name) for name in self.layout.names}

    def _bind(self, *stages: str) -> None:
        for stage in stages:
            self._bindings[stage] = Binding(self._sessions[stage], {**self._arrays, **self._factors}, self._arrays)

    @property
    def classes(self) -> np.ndarray:
        """(cameras, image_width), class tokens without experts, after `look`."""
        return self._arrays["classes"]

    @property
    def feature(self) -> np.ndarray:
        """(width,), the temporal feature, after `act`.

        Raises:
            LibraryError: The graphs were exported before they told it.
        """
        if "feature" not in self._arrays:
            raise LibraryError("the graphs of this library do not tell the temporal feature: write them again with `dmpel export`")
        return self._arrays["feature"]

    @property
    def state(self) -> np.ndarray:
        """(1, 9), joints and fingers, normalised by the pretraining data."""
        return self._arrays["state"]

    def observe(self, observation: Observation) -> None:
        """Run the frozen half of the image tower on both pictures, and take the joints."""
        pictures = [getattr(observation, camera) for camera in self.sizes.cameras]
        if self._pictures is None or self._pictures.shape[1:] != pictures[0].shape:
            self._expect(pictures[0].shape)
        np.stack(pictures, out=self._pictures)
        self._bindings["trunk"].run()
        state = self.state[0]
        state[:7], state[7:] = observation.joints, observation.gripper
        state -= self._centre
        state /= self._deviation

    def _expect(self, shape: tuple[int, ...]) -> None:
        """Make room for pictures of another size."""
        rows, columns = resizing(self.sizes, *shape[:2])
        pictures = np.zeros((len(self.sizes.cameras), *shape), np.uint8)
        self._arrays |= {"pictures": pictures, "rows": rows, "columns": columns}
        self._bind("trunk")
        self._pictures = pictures

    def read(self, instruction: str) -> bool:
        """Run the text tower without experts when the instruction is a new one; return whether it is."""
        if instruction == self._instruction:
            return False
        self._arrays["embedded"] = np.ascontiguousarray(self._sentences.embed(instruction), np.float32)
        self._arrays["words"] = np.empty_like(self._arrays["embedded"])
        self._bind("text_trunk", "text_encode")
        self._bindings["text_trunk"].run()
        none = self._factors_in(np.zeros_like(self.mixed))
        Binding(self._sessions["text_encode"], {**self._arrays, **none}, {"sentence": self.frozen_sentence}).run()
        self._instruction = instruction
        return True

    def look(self) -> None:
        """Run the second half of the image tower without experts."""
        self._bindings["look"].run()

    def understand(self, *, adapted: bool) -> None:
        """Run the second half of the text tower with the mixed factors, or take its frozen answer."""
        if adapted:
            self._bindings["text_encode"].run()
        else:
            self._arrays["sentence"][:] = self.frozen_sentence

    def encode(self) -> None:
        """Run the second half of the image tower with the mixed factors."""
        self._bindings["encode"].run()

    def act(self, slot: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Fuse what was seen and read, run the temporal transformer and the head, and put this tick into the window.

        Args:
            slot: Where this tick stands in the window.

        Returns:
            Logits (modes,), mean and deviation (modes, chunk, action), valid until the next tick.
        """
        arrays = self._arrays
        arrays["slot"][0] = slot
        self._bindings["act"].run()
        arrays["window"][slot] = arrays["fused"]
        return arrays["logits"], arrays["mean"], arrays["deviation"]

    def shift(self) -> None:
        """Let the oldest tick fall out of the window, to make room for a new one at its end."""
        window = self._arrays["window"]
        window[:-1] = window[1:]

    def router(self, tensors: Mapping[str, np.ndarray], experts: int) -> FlatRouter:
        """Return a generation's router, tried once."""
        width = query_width(self.sizes, self.frozen_sentence.shape[1], self.state.shape[1])
        router = FlatRouter(tensors, experts, width, self.sizes.top_k, shared=self.sizes.router_shared)
        router(np.zeros(width, np.float32))
        return router

    def warm_up(self, cameras: Mapping[str, Any]) -> None:
        """Run every stage once on black pictures of the size that the library expects.

        Raises:
            LibraryError: The size is none, or a stage does not run.
        """
        shapes: list[Any] = [cameras.get(camera) for camera in self.sizes.cameras]
        if any(shapes[0] != shape for shape in shapes) or not _is_picture(shapes[0]):
            raise LibraryError(f"this library expects cameras of {shapes}, expected one [height, width, 3] up to {LARGEST} for all")
        black = {camera: np.zeros(shapes[0], np.uint8) for camera in self.sizes.cameras}
        try:
            self.observe(Observation(**black, joints=np.zeros(7), gripper=np.zeros(2)))
            self.read("")
            self.look()
            self.understand(adapted=True)
            self.encode()
            self.act(0)
        except GRAPH_ERRORS as error:
            raise LibraryError(f"the graphs of this library do not run ({error}): write them again with `dmpel export`") from error
        self._arrays["window"][:] = 0
        self._instruction = None


def _graphs(library: Library, int8: bool) -> dict[str, bytes]:
    """Return a library's graph for each stage."""
    graphs = library.graphs()
    names = {stage: f"{stage}{quantise.SUFFIX}" if int8 and stage in quantise.STAGES else stage for stage in STAGES}
    if not graphs.keys() >= set(names.values()):
        found = ", ".join(graphs) or "no graphs"
        raise LibraryError(
            f"{library.path} has {found}, this version needs {', '.join(names.values())}: write them with `dmpel export {library.path}`"
        )
    return {stage: graphs[name] for stage, name in names.items()}


def _is_picture(shape: object) -> bool:
    """Return whether a manifest's camera is [height, width, 3]."""
    return (
        isinstance(shape, list) and len(shape) == 3 and shape[2] == 3 and all(type(side) is int and 0 < side <= LARGEST for side in shape)
    )
