"""One block of rounds: all engines on one size, with one number of threads and of experts."""

import time
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from benchmarks.arithmetic import flop
from benchmarks.contestants import ANCHOR, Field, gather
from benchmarks.libraries import INSTRUCTION, SIZES
from benchmarks.rounds import Times, compete, quartiles, ratios, row
from benchmarks.stages import STAGES, stage_times

Block = tuple[str, int, int]
"""Size, threads, experts."""
Entry = dict[str, Any]

ROUNDS = {"nano": (200, 20.0), "small": (200, 20.0), "clip-vit-b16": (20, 60.0)}
"""Rounds of a block, and after how many seconds it ends though it has had fewer; twice as many where all modes take part."""
STAGE_ROUNDS = {"nano": 50, "small": 50, "clip-vit-b16": 5}
WORDS = len(INSTRUCTION.split()) + 2


def measure(block: Block, rounds: int | None) -> dict[str, list[Entry]]:
    """Run a block and return what it adds to each part of the record.

    Args:
        block: Which.
        rounds: How many; None for as many as fit into its time.
    """
    size, threads, experts = block
    begun = time.perf_counter()
    field = gather(size, experts, threads)
    clock = time.process_time if threads == 1 else time.perf_counter
    usual, seconds = ROUNDS[size]
    seconds *= 2 if experts == ANCHOR else 1
    most, limit = rounds or usual, np.inf if rounds else seconds
    times = compete([contestant for contestant, _ in field.contestants], most, limit, clock)
    operations = flop(SIZES[size], WORDS, experts, field.numbers)
    summary = {
        "size": size, "threads": threads, "experts": experts, "clock": "cpu" if threads == 1 else "wall", "gflop": operations / 1e9,
        "peak_gflops": float(np.median(times.rate)) / 1e9,
    }  # fmt: skip
    found = {
        "host_overhead" if size == "nano" else "rows": rows(field, times, operations),
        "stages": stages(field, clock) if experts == ANCHOR else [],
        "flatness": flatness(field, most, limit, clock),
    }
    return {**found, "blocks": [summary | {"seconds": time.perf_counter() - begun}]}


def rows(field: Field, times: Times, operations: int) -> list[Entry]:
    """Return the row of every contestant but the anchor; those on a GPU are timed by the wall's clock."""
    naive = field.contestants[0][0]
    place = {"size": field.size, "threads": field.threads}
    found = []
    for contestant, _ in field.contestants:
        if contestant != field.anchor:
            cpu = field.threads == 1 and contestant.engine != "onnx-cuda"
            found.append(place | row(contestant, times, times.cpu if cpu else times.wall, naive, operations))
    return found


def flatness(field: Field, rounds: int, seconds: float, clock: Callable[[], float]) -> list[Entry]:
    """Return how much longer a tick takes than with `ANCHOR` experts, in rounds of these two alone.

    The others read every expert at every tick, and who comes after them with many experts finds less in the caches than a robot ever does.
    """
    anchor = field.anchor
    if anchor is None:
        return []
    same = next(c for c, _ in field.contestants if (c.engine, c.mode) == (anchor.engine, anchor.mode) and c != anchor)
    times = compete([same, anchor], rounds, seconds, clock)
    taken = times.cpu if field.threads == 1 else times.wall
    low, ratio, high = ratios(taken[same], taken[anchor], 1)
    return [{"size": field.size, "threads": field.threads, "experts": field.experts, "engine": anchor.engine,
             "ratio_to_10": ratio, "quartiles": [low, high]}]  # fmt: skip


def stages(field: Field, clock: Callable[[], float]) -> list[Entry]:
    """Return the time of each stage and its ratio to the naive path's."""
    exact = [(contestant, places) for contestant, places in field.contestants if contestant.mode == "exact"]
    measured = stage_times(exact, STAGE_ROUNDS[field.size], clock)
    naive = exact[0][0]
    found = []
    for (contestant, _), stage in product(exact, (*STAGES, "rest")):
        taken = [one[contestant][stage] for one in measured]
        low, ratio, high = quartiles([one[naive][stage] / max(one[contestant][stage], 1e-9) for one in measured])
        found.append({"size": field.size, "threads": field.threads, "experts": field.experts, "engine": contestant.engine, "stage": stage,
                      "median_ms": 1e3 * float(np.median(taken)), "ratio_to_naive": ratio, "ratio_quartiles": [low, high]})  # fmt: skip
    return found
