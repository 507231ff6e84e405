"""Loading an expert while the arm moves: how late the ticks of a 20 Hz loop are while another thread loads."""

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.rounds import LOOP, observations
from dmpel_core.inference.engine import Engine

PERIOD = 0.05  # [s]
BETWEEN = 5  # ticks from the end of a load to the beginning of the next one
WARM_UP = 40  # ticks before the first load


@dataclass(frozen=True)
class Late:
    """How late ticks were.

    Attributes:
        loads: Loads that were measured.
        load_ms: Median time of a load [ms].
        quiet_p99_ms: From the moment that a tick is due to its end, of ticks that no load touches [ms].
        loading_p99_ms: The same of ticks that a load overlaps, or that pick its generation up [ms].
        loading_max_ms: The latest of those [ms].
        quiet_max_ms: The latest of the others [ms].
    """

    loads: int
    load_ms: float
    quiet_p99_ms: float
    loading_p99_ms: float
    loading_max_ms: float
    quiet_max_ms: float


def load_under_way(engine: Engine, load: Callable[[int], None], loads: int) -> Late:
    """Tick at 20 Hz while another thread calls `load(0)`, `load(1)` and so on, with a few ticks in between."""
    ticks: list[tuple[float, float]] = []
    spans: list[tuple[float, float]] = []
    loader = threading.Thread(target=_load_in_turn, args=(load, loads, ticks, spans), daemon=True)
    seen = observations(LOOP)
    begun = due = time.perf_counter()
    loader.start()
    while loader.is_alive():
        time.sleep(max(0.0, due - time.perf_counter()))
        engine.tick(seen[len(ticks) % len(seen)])
        ended = time.perf_counter()
        ticks.append((due, ended))
        due = begun + PERIOD * math.ceil((ended - begun) / PERIOD)  # a moment that has passed is missed, as a timer misses it
    return judge(ticks[1:], spans)


def _load_in_turn(load: Callable[[int], None], loads: int, ticks: list, spans: list) -> None:
    """Load, wait until a few ticks have passed, load again."""
    for number in range(loads):
        wanted = len(ticks) + (BETWEEN if number else WARM_UP)
        while len(ticks) < wanted:
            time.sleep(PERIOD / 4)
        begun = time.perf_counter()
        load(number)
        spans.append((begun, time.perf_counter()))


def judge(ticks: Sequence[tuple[float, float]], spans: Sequence[tuple[float, float]]) -> Late:
    """Sort ticks, given by when they were due and when they ended [s], into those that a load touches and the others.

    A load touches the ticks that it overlaps and the first one that is due after it, which picks the new generation up.
    """
    touched = np.zeros(len(ticks), bool)
    dues = np.array([due for due, _ in ticks])
    ends = np.array([end for _, end in ticks])
    for begun, ended in spans:
        touched |= (ends >= begun) & (dues <= ended)
        touched |= np.arange(len(ticks)) == np.searchsorted(dues, ended)
    late = 1e3 * (ends - dues)
    load_ms = 1e3 * float(np.median([ended - begun for begun, ended in spans]))
    during, quiet = late[touched], late[~touched]
    return Late(
        len(spans), load_ms, float(np.percentile(quiet, 99)), float(np.percentile(during, 99)), float(during.max()), float(quiet.max())
    )
