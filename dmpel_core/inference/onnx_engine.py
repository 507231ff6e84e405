"""The policy on ONNX Runtime: the arithmetic of `torch_engine` without torch, with nothing computed twice.

A backbone's sessions and the rows of its experts are shared by all generations that use them, so loading a generation opens
nothing that is open already; the tick picks one pointer up at its start.
"""

import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dmpel_core.errors import DmpelError
from dmpel_core.experts.library import Library, read_library
from dmpel_core.groups import GROUPS
from dmpel_core.inference.engine import Tick
from dmpel_core.inference.ensemble import ChunkEnsemble
from dmpel_core.inference.flat_pool import FlatPool, Layout
from dmpel_core.inference.flat_router import FlatRouter
from dmpel_core.inference.sentence import Tokenizer, text_weights
from dmpel_core.inference.sessions import PROVIDERS, Sessions, open_sessions
from dmpel_core.observation import Observation


@dataclass(frozen=True)
class Backbone:
    """What all generations of one backbone share."""

    sha256: str
    sessions: Sessions
    layout: Layout
    pool: FlatPool
    tokenizer: Tokenizer
    cameras: tuple[str, ...]
    window: int
    mean: np.ndarray
    std: np.ndarray


@dataclass(frozen=True)
class Generation:
    """Everything that one generation needs to act. Never changed once built."""

    number: int
    backbone: Backbone
    names: tuple[str, ...]
    keys: tuple[str, ...]
    rows: np.ndarray
    router: FlatRouter | None


SIZE = 128  # [px], of the cameras that libraries are made for


class OnnxEngine:
    """Runs one generation; `load` builds the next one aside and `tick` picks it up."""

    def __init__(
        self, library: Path, generation: int | None = None, threads: int = 1, capacity: int = 64, providers: tuple[str, ...] = PROVIDERS
    ) -> None:
        """Read a library.

        Args:
            library: Library folder.
            generation: Which one; None for the selected one.
            threads: Processor threads of one tick.
            capacity: Most experts in memory; generations in use at the same time share them.
            providers: Execution providers in order of preference.
        """
        self._threads, self._capacity, self._providers = threads, capacity, providers
        self._loading = threading.Lock()
        read = read_library(library, generation)
        self._next = self._current = self._build(read, self._open(read))
        self._instruction = ""
        self._begin(self._current.backbone)
        self._warm_up()

    @property
    def expert_names(self) -> tuple[str, ...]:
        """Names of the experts of the generation in use."""
        return self._current.names

    @property
    def generation(self) -> int:
        """Generation in use."""
        return self._current.number

    @property
    def provider(self) -> str:
        """The execution provider that really computes."""
        return self._current.backbone.sessions.provider

    def set_instruction(self, instruction: str) -> None:
        """Change the instruction from the next tick on."""
        self._instruction = instruction

    def reset(self) -> None:
        """Forget the observation window and the planned actions."""
        self._ticks = 0
        self._ensemble.reset()

    def load(self, library: Path, generation: int | None = None) -> None:
        """Build a generation aside and hand it to the next tick; on an error the running one goes on."""
        with self._loading:
            read = read_library(library, generation)
            current, planned = self._current, self._next
            same = read.manifest.backbone.sha256 == planned.backbone.sha256
            backbone = planned.backbone if same else self._open(read)
            backbone.pool.keep({*current.keys, *planned.keys})
            self._next = self._build(read, backbone)

    def _open(self, library: Library) -> Backbone:
        """Open a backbone's graphs."""
        weights = library.backbone()
        layout = Layout(library.modules)
        sessions = open_sessions(library.graphs(), {"backbone": weights, "text": text_weights(library)}, self._threads, self._providers)
        return Backbone(
            library.manifest.backbone.sha256, sessions, layout, FlatPool(layout, self._capacity), Tokenizer(library),
            tuple(library.policy["cameras"]), int(library.policy["window"]), weights["proprioception.mean"], weights["proprioception.std"],
        )  # fmt: skip

    def _build(self, library: Library, backbone: Backbone) -> Generation:
        keys = tuple(expert.factors.sha256 for expert in library.experts)
        rows = [backbone.pool.hold(key, library.factors(index)) for index, key in enumerate(keys)]
        router = FlatRouter(library.router(), int(library.policy["top_k"])) if keys else None
        names = tuple(expert.name for expert in library.experts)
        return Generation(library.generation, backbone, names, keys, np.array(rows, int), router)

    def _begin(self, backbone: Backbone) -> None:
        """Make the buffers that a backbone's ticks work in, once."""
        self._backbone = backbone
        self._mixed = np.zeros(backbone.layout.size, np.float32)
        self._plain = np.zeros(backbone.layout.size, np.float32)
        self._sentence: tuple[str, np.ndarray, np.ndarray] | None = None
        self._queries = self._tokens = np.zeros(0, np.float32)
        self._ensemble = ChunkEnsemble()
        self._ticks = 0

    def tick(self, observation: Observation) -> Tick:
        """Compute one action from one observation."""
        current = self._current = self._next
        backbone = current.backbone
        if backbone is not self._backbone:
            self._begin(backbone)
        run, state = backbone.sessions.run, self._state(observation)
        words, sentence = self._read_sentence()
        pictures = np.stack([getattr(observation, camera) for camera in backbone.cameras])
        (tokens,) = run("trunk", pictures)
        coefficients, factors = np.zeros((len(GROUPS), 0), np.float32), self._plain
        if current.router is not None:
            (classes,) = run("encode", tokens, self._part("image", self._plain))
            query = self._remember(np.concatenate([sentence[0], classes.ravel(), state]))
            coefficients, factors = current.router(query), self._mixed
            backbone.pool.mix(current.rows, coefficients, factors)
            (sentence,) = run("sentence", words, self._part("text", factors))
        (classes,) = run("encode", tokens, self._part("image", factors))
        parts = [self._part(group, factors) for group in ("image", "proprioception", "fusion")]
        (fused,) = run("fuse", classes, state, sentence, *parts)
        window = self._extend(fused)
        logits, mean, _ = run("decide", window, self._part("temporal", factors), self._part("head", factors))
        self._ticks += 1
        return Tick(self._ensemble.next(mean[logits.argmax()]), coefficients, current.number)

    def _state(self, observation: Observation) -> np.ndarray:
        """Return joints and fingers (9,), normalised by the pretraining data."""
        raw = np.concatenate([observation.joints, observation.gripper]).astype(np.float32)
        return (raw - self._backbone.mean) / self._backbone.std

    def _part(self, group: str, factors: np.ndarray) -> np.ndarray:
        """Return one module group's slice of flat factors."""
        return factors[self._backbone.layout.groups[group]]

    def _read_sentence(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the instruction after the frozen half and its frozen embedding, computed when it changes."""
        instruction = self._instruction
        if self._sentence is None or self._sentence[0] != instruction:
            run = self._backbone.sessions.run
            (words,) = run("sentence_trunk", self._backbone.tokenizer.ids(instruction))
            (embedding,) = run("sentence", words, self._part("text", self._plain))
            self._sentence = (instruction, words, embedding)
        return self._sentence[1:]

    def _remember(self, query: np.ndarray) -> np.ndarray:
        """Keep a tick's query and return the mean of the last ones."""
        window = self._backbone.window
        if self._queries.shape != (window, len(query)):
            self._queries = np.zeros((window, len(query)), np.float32)
        self._queries[self._ticks % window] = query
        return self._queries[: self._ticks + 1].mean(0)

    def _extend(self, fused: np.ndarray) -> np.ndarray:
        """Keep a tick's fused tokens and return those of the last ticks, oldest first."""
        window = self._backbone.window
        if self._tokens.shape != (window, *fused.shape):
            self._tokens = np.zeros((window, *fused.shape), np.float32)
        if self._ticks >= window:
            self._tokens[:-1] = self._tokens[1:]
        self._tokens[min(self._ticks, window - 1)] = fused
        return self._tokens[: self._ticks + 1]

    def _warm_up(self) -> None:
        """Compute one tick on black pictures, so that the first real one finds everything allocated."""
        black = np.zeros((SIZE, SIZE, 3), np.uint8)
        self.tick(Observation(black, black, np.zeros(7), np.zeros(2)))
        self.reset()
