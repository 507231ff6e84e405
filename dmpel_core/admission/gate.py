"""The gate: a generation goes live only if it treats the tasks of old as the library did when it learned them.

Every old task's stored contexts go through the new router. Its answer must be near the stored coefficients, the strongest expert
must be the same, and the actions that follow must be near those that the stored coefficients give. The factors of old experts
never change, so what could have gone wrong lies in the router and in what a new expert adds to old tasks.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from dmpel_core.admission.contexts import Contexts, contexts_of
from dmpel_core.errors import DmpelError
from dmpel_core.experts.library import Library
from dmpel_core.inference.flat_router import FlatRouter
from dmpel_core.policy.sizes import PolicySizes

ActionDrift = Callable[[Contexts, np.ndarray], float]
"""Contexts and the coefficients (n, 6, experts) that they are given now: how far the actions move, as a share of full deflection."""


class GateError(DmpelError):
    """A generation that would change how old tasks are done."""


@dataclass(frozen=True)
class Limits:
    """What an old task may change by.

    Attributes:
        coefficient: Mean change of a group's coefficients, all experts together.
        switched: Share of contexts and groups with another strongest expert.
        action: Mean change of the six pose deltas, as a share of full deflection.
    """

    coefficient: float = 0.25
    switched: float = 0.1
    action: float = 0.03


@dataclass(frozen=True)
class Drift:
    """How one task is changed; the numbers as in `Limits`, None where they were not measured."""

    task: str
    contexts: int = 0
    coefficient: float | None = None
    switched: float | None = None
    action: float | None = None
    note: str = ""

    def exceeds(self, limits: Limits) -> list[str]:
        """Return which limits are broken; what is not a number breaks them."""
        pairs = ((name, getattr(self, name), getattr(limits, name)) for name in ("coefficient", "switched", "action"))
        return [name for name, value, limit in pairs if value is not None and not value <= limit]


@dataclass(frozen=True)
class Report:
    """What the gate found.

    Attributes:
        candidate: Number of the generation.
        drifts: One for each task, old ones first.
        limits: What they may be.
    """

    candidate: int
    drifts: tuple[Drift, ...]
    limits: Limits = field(default_factory=Limits)

    @property
    def refused(self) -> list[Drift]:
        """The tasks that break a limit."""
        return [drift for drift in self.drifts if drift.exceeds(self.limits)]

    def table(self) -> Iterator[str]:
        """Yield the lines of a table."""
        limits = self.limits
        yield f"{'task':50} {'contexts':>8} {'coefficients':>12} {'switched':>8} {'action':>7}"
        for drift in self.drifts:
            cells = f"{drift.contexts:8} {_cell(drift.coefficient):>12} {_cell(drift.switched):>8} {_cell(drift.action):>7}"
            broken = f"  too much: {', '.join(drift.exceeds(limits))}" if drift.exceeds(limits) else ""
            yield f"{drift.task[:50]:50} {cells}{broken}  {drift.note}".rstrip()
        yield f"{'at most':50} {'':8} {limits.coefficient:12.3f} {limits.switched:8.3f} {limits.action:7.3f}"


def admit(running: Library, candidate: Library, limits: Limits | None = None, actions: ActionDrift | None = None) -> Report:
    """Let a generation through the gate.

    Args:
        running: The generation that works now, whose memories are trusted.
        candidate: The one that is to follow.
        limits: None for the defaults.
        actions: Measures the drift of actions; None to leave that out.

    Raises:
        GateError: It would change an old task too much; the message holds the table.
        LibraryError: A file of either is damaged.
    """
    report = examine(running, candidate, limits, actions)
    if report.refused:
        tasks = ", ".join(repr(drift.task) for drift in report.refused)
        table = "\n".join(report.table())
        raise GateError(
            f"generation {candidate.generation} would change how {tasks} is done: learn it again with coefficient replay, or raise the "
            f"gate's limits\n{table}"
        )
    return report


def examine(running: Library, candidate: Library, limits: Limits | None = None, actions: ActionDrift | None = None) -> Report:
    """Return what `admit` judges by: the tasks of the running generation, then those that are new in the candidate."""
    kept = {expert.factors.sha256 for expert in candidate.experts}
    old = {expert.factors.sha256 for expert in running.experts}
    drifts = []
    for index, expert in enumerate(running.experts):
        if expert.factors.sha256 in kept:
            drifts.append(_drift(running, index, candidate, actions))
        else:
            drifts.append(Drift(expert.name, note="not in this generation"))
    for index, expert in enumerate(candidate.experts):
        if expert.factors.sha256 not in old:
            drifts.append(_drift(candidate, index, candidate, actions, "new"))
    return Report(candidate.generation, tuple(drifts), limits or Limits())


def _drift(source: Library, index: int, candidate: Library, actions: ActionDrift | None, note: str = "") -> Drift:
    name = source.experts[index].name
    contexts = contexts_of(source, index, candidate)
    if contexts is None:
        return Drift(name, note="no replay memory")
    now = answers(candidate, contexts.queries)
    moved = np.abs(now - contexts.targets).sum(2)  # (n, 6)
    switched = now.argmax(2) != contexts.targets.argmax(2)
    action = None if actions is None else actions(contexts, now)
    return Drift(name, len(now), float(moved.mean()) + contexts.lost, float(switched.mean()), action, note)


def answers(library: Library, queries: np.ndarray) -> np.ndarray:
    """Return the coefficients that a generation's router gives to queries (n, query_width), (n, 6, experts).

    Raises:
        LibraryError: The router is damaged or does not fit.
    """
    sizes = PolicySizes.from_json(library.policy)
    router = FlatRouter(library.router(), len(library.experts), queries.shape[1], sizes.top_k, shared=sizes.router_shared)
    return np.stack([router(query) for query in queries])


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
