"""The policy on ONNX Runtime: the arithmetic of `torch_engine` without torch, with nothing computed twice.

Generations of one backbone share its stages, its arrays and the rows of its experts, so loading one opens nothing that is open
already; the tick picks up one pointer at its start.
"""

import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic, sleep

import numpy as np

from dmpel_core.errors import DmpelError
from dmpel_core.experts.library import Library, LibraryError, Limits, open_library
from dmpel_core.experts.tensors import Tensors
from dmpel_core.groups import GROUPS
from dmpel_core.inference.calm import Calm
from dmpel_core.inference.engine import Tick
from dmpel_core.inference.ensemble import ChunkEnsemble
from dmpel_core.inference.flat_pool import FlatPool
from dmpel_core.inference.flat_router import FlatRouter
from dmpel_core.inference.int8 import open_int8
from dmpel_core.inference.options import Savings
from dmpel_core.inference.routing import Mixer, Queries
from dmpel_core.inference.stages import Stopwatch
from dmpel_core.inference.workspace import Workspace
from dmpel_core.observation import Observation
from dmpel_core.skills.insight import Insight, Known, Observer, observer_of

SWITCH_INTERVAL = 0.00005  # [s], how long a load may keep the interpreter from the tick; Python's own 5 ms would delay every stage of it
PAUSE = 0.002  # [s], after which a load that has given way to a tick looks whether that has ended
PATIENCE = 0.1  # [s], after which it looks no longer: where one tick follows on the other, a load must end all the same


@dataclass(frozen=True)
class Backbone:
    """What all generations of one backbone share.

    Attributes:
        key: What must be equal for that: the backbone's hash, the policy's sizes, the modules, the graphs.
    """

    key: tuple[object, ...]
    work: Workspace
    pool: FlatPool


@dataclass(frozen=True, eq=False)
class Generation:
    """Everything that one generation needs to act. Never changed once built; gone when no tick holds it."""

    number: int
    backbone: Backbone
    names: tuple[str, ...]
    keys: tuple[str, ...]
    rows: np.ndarray
    router: FlatRouter | None
    observer: Observer | None = None


class OnnxEngine:
    """Runs one generation; `load` builds the next one aside and `tick` picks it up.

    Args:
        library: Library folder.
        generation: Which one; None for the selected one.
        threads: Processor threads of one tick.
        sample_seed: Draw actions from the mixture instead of taking the heaviest Gaussian's mean.
        provider: `auto`, or one of `dmpel_core.inference.sessions.PROVIDERS`.
        savings: What may be left out.
        insight: Whether ticks tell more than the action, see `dmpel_core.skills.insight`.
        limits: Caps on what is ever loaded; memory for `limits.experts` experts is set aside at the start.

    Raises:
        DmpelError: The library is damaged or over a cap, has no graphs, or the provider does not work here.
    """

    def __init__(
        self,
        library: Path,
        generation: int | None = None,
        threads: int = 1,
        sample_seed: int | None = None,
        provider: str = "auto",
        savings: Savings | None = None,
        limits: Limits | None = None,
        *,
        insight: bool = False,
    ) -> None:
        self._threads, self._provider = threads, provider
        self._savings, self._limits = savings or Savings(), limits or Limits()
        self._chance = None if sample_seed is None else np.random.default_rng(sample_seed)
        self._loading = threading.Lock()
        self._known: Known | None = {} if insight else None
        self._alive: weakref.WeakSet[Generation] = weakref.WeakSet()
        self._instruction = ""
        self._ticking = False
        self._stopwatch = Stopwatch()
        self._next = self._current = self._build(open_library(library, generation, self._limits), None)
        self._begin(self._current)

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
        return self._current.backbone.work.provider

    def set_instruction(self, instruction: str) -> None:
        """Change the instruction from the next tick on."""
        self._instruction = instruction

    def reset(self) -> None:
        """Forget the observation window and the planned actions."""
        self._slot, self._ticks, self._pending = -1, 0, False
        self._queries.reset()
        self._ensemble.reset()
        self._calm.reset()

    def load(self, library: Path, generation: int | None = None) -> None:
        """Read, check and warm up a generation aside, then hand it to the next tick; on an error the running one goes on.

        Raises:
            DmpelError: The library is damaged, over a cap, or does not fit; or another load is under way.
        """
        if not self._loading.acquire(blocking=False):
            raise DmpelError("another generation is being loaded: load this one when that has finished")
        try:
            with yielding():
                self._next.backbone.pool.keep({key for running in self._alive for key in running.keys})
                self._give_way()
                self._next = self._build(open_library(library, generation, self._limits), self._next.backbone)
        finally:
            self._loading.release()

    def _build(self, library: Library, shared: Backbone | None) -> Generation:
        """Read what a generation needs and is not there yet, giving way to ticks in between."""
        same = (library.manifest.backbone.sha256, library.policy, library.modules, library.text_encoder, library.manifest.graphs)
        backbone = shared if shared and shared.key == same else self._open(library, same)
        pool, work = backbone.pool, backbone.work
        keys = tuple(expert.factors.sha256 for expert in library.experts)
        rows = [pool.hold(key, partial(self._factors, library, index)) for index, key in enumerate(keys)]
        self._give_way()
        router = work.router(library.router(), len(keys)) if keys else None
        names = tuple(expert.name for expert in library.experts)
        observer = self._observer(library, work) if keys else None
        built = Generation(library.generation, backbone, names, keys, np.array(rows, int), router, observer)
        self._alive.add(built)
        return built

    def _factors(self, library: Library, index: int) -> Tensors:
        self._give_way()
        return library.factors(index)

    def _give_way(self) -> None:
        """Let a tick that is under way end: it would have to share the interpreter."""
        begun = monotonic()
        while self._ticking and monotonic() - begun < PATIENCE:
            sleep(PAUSE)

    def _observer(self, library: Library, work: Workspace) -> Observer | None:
        """Return what tells more than the action, where that was asked for."""
        if self._known is None:
            return None
        if library.manifest.heads:
            work.feature  # noqa: B018  refuses graphs that do not tell it, now rather than in a tick
        return observer_of(library, work.sizes.router_hidden, work.sizes.width, self._known)

    def _open(self, library: Library, key: tuple[object, ...]) -> Backbone:
        """Open a backbone, and run every stage once so that the first tick finds everything warm."""
        frames = self._savings.int8
        opened = (library, self._threads, self._provider)
        work = open_int8(*opened, frames) if frames else Workspace(*opened)
        work.warm_up(library.observation.get("cameras", {}))
        return Backbone(key, work, FlatPool(work.layout, self._limits.experts))

    def _begin(self, current: Generation) -> None:
        """Take over the arrays of a backbone that has not been running."""
        self._work = work = current.backbone.work
        self._queries = Queries(work.sizes, work.frozen_sentence.shape[1], work.state.shape[1])
        self._mixer = Mixer(work.mixed, self._savings.tolerance)
        self._ensemble = ChunkEnsemble()
        self._calm = Calm(self._savings.hysteresis, self._savings.most_change)
        self._interval = self._savings.route_every or work.sizes.mixture_interval
        self._router: FlatRouter | None = None
        self._coefficients = np.zeros((len(GROUPS), 0), np.float32)
        self._query = np.zeros(0, np.float32)
        self.reset()

    def tick(self, observation: Observation) -> Tick:
        """Compute one action from one observation."""
        self._ticking = True
        try:
            return self._tick(observation)
        finally:
            self._ticking = False

    def _tick(self, observation: Observation) -> Tick:
        self._stopwatch.begin()
        self.catch_up()
        current = self._current = self._next
        if current.backbone.work is not self._work:
            self._begin(current)
        work = self._work
        work.observe(observation)
        self._stopwatch.lap("image")
        new = work.read(self._instruction)
        self._stopwatch.lap("text")
        self._adapt(current, new)
        work.encode()
        self._stopwatch.lap("image")
        self._advance()
        logits, mean, deviation = work.act(self._slot)
        self._stopwatch.lap("temporal")
        action = self._ensemble.next(self._choose(logits, mean, deviation))
        return Tick(action, self._coefficients, current.number, self._tell(current), self._stopwatch.times())

    def latent(self) -> np.ndarray:
        """Return the router's last hidden layer and the temporal feature of the last tick, (router_hidden + width,): what heads see.

        Raises:
            LibraryError: The graphs do not tell the feature, or there is no expert and so no router.
        """
        if self._router is None:
            raise LibraryError("heads need a router: learn a task first")
        return np.concatenate([self._router.hidden, self._work.feature])

    def _tell(self, current: Generation) -> Insight | None:
        if current.observer is None or self._router is None:
            return None
        return current.observer(self._query, self._router.hidden, lambda: self._work.feature)

    def catch_up(self) -> None:
        """Route for the next tick, if that was put off until the action is out; else do nothing."""
        if self._pending:
            self._pending = False
            self._route(self._current)

    def _adapt(self, current: Generation, new_instruction: bool) -> None:
        """Bring coefficients, mixed factors and sentence up to date."""
        if current.router is None:
            self._without_experts(new_instruction)
            return
        if self._savings.route_after and self._router is current.router and self._ticks:
            self._pending = True
        else:
            self._route(current)
        moved = self._mixer.update(current.backbone.pool, current.rows, current.router, self._coefficients)
        self._stopwatch.lap("mixing")
        if new_instruction or moved[GROUPS.index("text")]:
            self._work.understand(adapted=True)
            self._stopwatch.lap("text")

    def _without_experts(self, new_instruction: bool) -> None:
        """Act with the backbone alone."""
        if self._router is not None or new_instruction:
            self._mixer.reset()
            self._work.understand(adapted=False)
            self._stopwatch.lap("text")
        self._router, self._coefficients = None, np.zeros((len(GROUPS), 0), np.float32)

    def _route(self, current: Generation) -> None:
        """Ask the router, or only remember the state between two routings; new experts are always routed to at once."""
        assert current.router is not None
        due = self._ticks % self._interval == 0 or self._router is not current.router
        if due:
            self._work.look()
            self._stopwatch.lap("image")
            self._queries.see(self._work.frozen_sentence, self._work.classes)
        self._queries.remember(self._work.state)
        self._ticks += 1
        if due:
            self._query = self._queries.mean()
            if self._router is not current.router:
                self._calm.reset()
            self._router, self._coefficients = current.router, self._calm(current.router(self._query))
        self._stopwatch.lap("router")

    def _advance(self) -> None:
        """Move to this tick's place in the window."""
        if self._slot + 1 == self._work.sizes.window:
            self._work.shift()
        self._slot = min(self._slot + 1, self._work.sizes.window - 1)

    def _choose(self, logits: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
        """Return one chunk of actions: the heaviest Gaussian's mean, or a draw."""
        if self._chance is None:
            return mean[logits.argmax()]
        drawn = (logits + self._chance.gumbel(size=logits.shape)).argmax()
        return mean[drawn] + deviation[drawn] * self._chance.standard_normal(mean.shape[1:], np.float32)


@contextmanager
def yielding() -> Iterator[None]:
    """Let other threads have the interpreter often while this one loads."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)
