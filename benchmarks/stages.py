"""Where a tick's time goes: a stopwatch around the methods that make up each stage.

A stage is one of `STAGES`; what remains of a tick (proprioception, fusion, the window, the host's own work) is `rest`.
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
from dmpel_core.policy.clip_text import ClipTextTower
from dmpel_core.policy.image import ConvolutionalTower, ImageTower
from dmpel_core.policy.policy import Policy
from dmpel_core.policy.text import TextTower
from dmpel_core.policy.vision import VisionTower

STAGES = ("image", "text", "router", "mixing", "temporal")

Place = tuple[type, str, Callable[..., str | None]]
"""A class, one of its methods, and which stage a call of it belongs to; None for none."""


def always(stage: str) -> Callable[..., str]:
    """Return a function that names that stage for every call."""
    return lambda *_: stage


NAIVE: tuple[Place, ...] = (
    (NaiveEngine, "look", always("image")),
    (NaiveEngine, "look_again", always("image")),
    (NaiveEngine, "read", always("text")),
    (NaiveEngine, "route", always("router")),
    (NaiveEngine, "mix", always("mixing")),
    (NaiveEngine, "act", always("temporal")),
)
TORCH: tuple[Place, ...] = (
    (ConvolutionalTower, "trunk", always("image")),
    (VisionTower, "trunk", always("image")),
    (ImageTower, "encode", always("image")),
    (ClipTextTower, "encode", always("text")),
    (TextTower, "encode", always("text")),
    (Router, "forward", always("router")),
    (ExpertPool, "mix", always("mixing")),
    (Policy, "act", always("temporal")),
)


@contextmanager
def stopwatch(places: Sequence[Place], clock: Callable[[], float]) -> Iterator[dict[str, float]]:
    """Add up the seconds spent in each stage while the context is open; calls within a call of another stage count for the outer one."""
    spent = dict.fromkeys(STAGES, 0.0)
    running: list[str] = []

    def timed(method: Callable[..., Any], name: Callable[..., str | None]) -> Callable[..., Any]:
        @functools.wraps(method)
        def call(*given: Any) -> Any:
            stage = name(*given)
            if stage is None or running:
                return method(*given)
            running.append(stage)
            begun = clock()
            try:
                return method(*given)
            finally:
                spent[stage] += clock() - begun
                running.pop()

        return call

    with ExitStack() as stack:
        for owner, method, name in places:
            stack.enter_context(patch.object(owner, method, timed(getattr(owner, method), name)))
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
