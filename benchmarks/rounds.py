"""Rounds in which every contestant does one tick on the same observation, and what is made of their times.

Only contestants of the same round are compared: the machine may be busier in the next one.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.arithmetic import matrix_rate
from dmpel_core.inference.engine import Tick
from dmpel_core.observation import Observation

WARM_UP = 10  # ticks, after which the window is full
LOOP = 64  # different observations, used in turn; the last one is followed by the first as any other by the next
PAUSE = 0.002  # [s] before a tick: idle threads of the engine before may still spin


@dataclass(frozen=True)
class Contestant:
    """One engine in one mode.

    Attributes:
        engine: `naive`, `torch`, `onnx-cpu` or `onnx-cuda`.
        mode: `exact`, or what is computed less often or less precisely.
        experts: Experts in its library.
        tick: Computes an action.
        interval: Ticks in which everything that it does from time to time comes once.
        settle: Does what it has put off until the action is out; the time that this takes is not counted.
    """

    engine: str
    mode: str
    experts: int
    tick: Callable[[Observation], Tick]
    interval: int = 1
    settle: Callable[[], object] = lambda: None


@dataclass
class Times:
    """What the rounds gave.

    Attributes:
        wall: Seconds of each tick by the wall's clock.
        cpu: Seconds of each tick that the process computed.
        rate: Of matrix products, in each round [FLOP/s].
        off: The largest difference of an action from the first contestant's.
    """

    wall: dict[Contestant, list[float]] = field(default_factory=dict)
    cpu: dict[Contestant, list[float]] = field(default_factory=dict)
    rate: list[float] = field(default_factory=list)
    off: dict[Contestant, float] = field(default_factory=dict)


def observations(count: int) -> list[Observation]:
    """Return what a camera sees that moves slowly along a coloured wall, two pixels a tick with a little noise, and an arm that sways."""
    rng = np.random.default_rng(0)
    walls = rng.integers(8, 248, (2, 16, 16, 3)).repeat(8, 1).repeat(8, 2)  # (cameras, 128, 128, 3)
    phases = rng.uniform(0, 2 * np.pi, 9)
    found = []
    for number in range(count):
        pictures = (np.roll(walls, 2 * number, 2) + rng.integers(-3, 4, walls.shape)).astype(np.uint8)
        swaying = np.sin(2 * np.pi * number / LOOP + phases)
        found.append(Observation(*pictures, 0.5 * swaying[:7], 0.02 + 0.02 * swaying[7:]))
    return found


def compete(contestants: Sequence[Contestant], rounds: int, seconds: float, clock: Callable[[], float]) -> Times:
    """Let the contestants do one tick each in every round, after filling their windows.

    Their order is drawn anew in each round: whoever comes after an engine that has read gigabytes finds the caches cold.

    Args:
        contestants: The first one is the one that the others are compared with.
        rounds: How often; more often where a contestant's interval is longer.
        seconds: Stop when this much time has passed [s], though never before the longest interval is over.
        clock: Used for the rate of matrix products.
    """
    seen, times, rng = observations(LOOP), Times(), np.random.default_rng(0)
    least = max(contestant.interval for contestant in contestants) + 1
    begun = 0.0
    for number in range(-WARM_UP, max(rounds, least)):
        if number == 0:
            begun = time.perf_counter()
        if number >= least and time.perf_counter() - begun > seconds:
            break
        drawn = [contestants[place] for place in rng.permutation(len(contestants))]
        actions = _round(drawn, seen[number % LOOP], times if number >= 0 else None)
        if number >= 0:
            times.rate.append(matrix_rate(clock))
            for contestant, action in actions.items():
                off = float(np.abs(action - actions[contestants[0]]).max())
                times.off[contestant] = max(times.off.get(contestant, 0.0), off)
    return times


def _round(contestants: Sequence[Contestant], seen: Observation, times: Times | None) -> dict[Contestant, np.ndarray]:
    """Do one round, note its times, and return each one's action."""
    actions = {}
    for contestant in contestants:
        time.sleep(PAUSE)
        wall, cpu = time.perf_counter(), time.process_time()
        actions[contestant] = contestant.tick(seen).action
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        contestant.settle()
        if times is not None:
            times.wall.setdefault(contestant, []).append(wall)
            times.cpu.setdefault(contestant, []).append(cpu)
    return actions


def moving_mean(values: Sequence[float], count: int) -> np.ndarray:
    """Return the mean of every `count` consecutive values."""
    return np.convolve(values, np.full(count, 1 / count), "valid")


def quartiles(values: Sequence[float] | np.ndarray) -> tuple[float, float, float]:
    """Return the lower quartile, the median and the upper quartile."""
    low, middle, high = np.percentile(values, (25, 50, 75))
    return float(low), float(middle), float(high)


def ratios(slow: Sequence[float], fast: Sequence[float], interval: int) -> tuple[float, float, float]:
    """Return the quartiles of how many times longer the slow one took in the same rounds, over every `interval` of them."""
    return quartiles(moving_mean(slow, interval) / moving_mean(fast, interval))


def row(contestant: Contestant, times: Times, clock: Mapping[Contestant, Sequence[float]], reference: Contestant, operations: int) -> dict:
    """Return what is reported of one contestant.

    Args:
        contestant: Which.
        times: Of all.
        clock: The times to use, `times.wall` or `times.cpu`.
        reference: The contestant to compare with.
        operations: Of an exact tick [FLOP].
    """
    taken = clock[contestant]
    means = moving_mean(taken, contestant.interval)
    low, ratio, high = ratios(clock[reference], taken, contestant.interval)
    share = np.median(operations / (means * moving_mean(times.rate, contestant.interval)))
    return {
        "engine": contestant.engine, "mode": contestant.mode, "experts": contestant.experts,
        "median_ms": 1e3 * float(np.median(means)), "p99_ms": 1e3 * float(np.percentile(taken, 99)),
        "ratio_to_naive": ratio, "ratio_spread": high - low, "ratio_quartiles": [low, high],
        "roofline_share": float(share) if contestant.mode == "exact" else None, "rounds": len(taken),
        "wall_median_ms": 1e3 * float(np.median(moving_mean(times.wall[contestant], contestant.interval))),
        "action_off": times.off[contestant],
    }  # fmt: skip
