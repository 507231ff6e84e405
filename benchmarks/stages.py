"""Where a tick's time goes: a stopwatch around the methods that make up each stage.

A stage is one of `STAGES`; what remains of a tick is `rest`: the window, the host's own work, and proprioception and fusion, which are
part of the graph `act` in the ONNX engine and therefore of its stage `temporal`.
"""

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from benchmarks.naive import NaiveEngine
from benchmarks.rounds import Contestant, observations
from dmpel_core.experts.pool import ExpertPool
from dmpel_core.experts.router import Router
from dmpel_core.inference.flat_pool import FlatPool
from dmpel_core.inference.flat_router import FlatRouter
from dmpel_core.inference.stages import STAGES
from dmpel_core.inference.workspace import Workspace
from dmpel_core.policy.clip_text import ClipTextTower
from dmpel_core.policy.image import ConvolutionalTower, ImageTower
from dmpel_core.policy.policy import Policy
from dmpel_core.policy.text import TextTower
from dmpel_core.policy.vision import VisionTower

Place = tuple[type, str, str]
"""A class, one of its methods, and the stage that its calls belong to."""

NAIVE: tuple[Place, ...] = (
    (NaiveEngine, "look", "image"),
    (NaiveEngine, "look_again", "image"),
    (NaiveEngine, "read", "text"),
    (NaiveEngine, "route", "router"),
    (NaiveEngine, "mix", "mixing"),
    (NaiveEngine, "act", "temporal"),
)
TORCH: tuple[Place, ...] = (
    (ConvolutionalTower, "trunk", "image"),
    (VisionTower, "trunk", "image"),
    (ImageTower, "encode", "image"),
    (ClipTextTower, "encode", "text"),
    (TextTower, "encode", "text"),
    (Router, "forward", "router"),
    (ExpertPool, "mix", "mixing"),
    (Policy, "act", "temporal"),
)

ONNX: tuple[Place, ...] = (
    (Workspace, "observe", "image"),
    (Workspace, "look", "image"),
    (Workspace, "encode", "image"),
    (Workspace, "read", "text"),
    (Workspace, "understand", "text"),
    (FlatRouter, "__call__", "router"),
    (FlatPool, "mix", "mixing"),
    (Workspace, "act", "temporal"),
)


@contextmanager
def stopwatch(places: Sequence[Place], clock: Callable[[], float]) -> Iterator[dict[str, float]]:
    """Add up the seconds spent in each stage while the context is open; calls within a call of another stage count for the outer one."""
    spent = dict.fromkeys(STAGES, 0.0)
    running: list[str] = []

    def timed(method: Callable[..., Any], stage: str) -> Callable[..., Any]:
        @functools.wraps(method)
        def call(*given: Any, **named: Any) -> Any:
            if running:
                return method(*given, **named)
            running.append(stage)
            begun = clock()
            try:
                return method(*given, **named)
            finally:
                spent[stage] += clock() - begun
                running.pop()

        return call

    with ExitStack() as stack:
        for owner, method, stage in places:
            stack.enter_context(patch.object(owner, method, timed(getattr(owner, method), stage)))
        yield spent


def stage_times(
    contestants: Sequence[tuple[Contestant, Sequence[Place]]], rounds: int, clock: Callable[[], float] = time.process_time
) -> list[dict[Contestant, dict[str, float]]]:
    """Return, for each round, each contestant's seconds in each stage and in `rest`."""
    return [{contestant: _one_tick(contestant, places, seen, clock) for contestant, places in contestants} for seen in observations(rounds)]


def _one_tick(contestant: Contestant, places: Sequence[Place], seen: Any, clock: Callable[[], float]) -> dict[str, float]:
    with stopwatch(places, clock) as spent:
        begun = clock()
        contestant.tick(seen)
        whole = clock() - begun
    contestant.settle()
    return {**spent, "rest": whole - sum(spent.values())}
