"""Make one episode of a collection: where it starts, how it is disturbed, what is tried when it fails.

An episode is fixed by the settings, the task, its number and the demonstrations kept before it, not by the process that
makes it, so that a collection that was stopped goes on as if it had not been.
"""

import json
import zlib
from dataclasses import asdict, dataclass, replace

import numpy as np

from dmpel_core.data.hdf5 import Demonstration
from dmpel_core.inference.engine import Engine
from dmpel_core.simulation.environment import Environment
from dmpel_core.simulation.expert import StuckError
from dmpel_core.simulation.expert.perturbation import Perturbation
from dmpel_core.simulation.handover import Handover
from dmpel_core.simulation.placement import widen
from dmpel_core.simulation.recording import record_episode
from dmpel_core.simulation.tasks import Task

LONGEST = 600
"""Ticks after which an episode is given up. The expert needs about 100 for most tasks, 270 where a drawer is opened first."""
_OVERLONG, _ENOUGH_FOR_MEDIAN = 1.6, 5
_WAYS, _PLACEMENTS = 3, 2
_STORED_EVERY, _CLEAN_EVERY = 4, 5
_LEVELS = (0.6, 0.8, 1.0, 1.2)


@dataclass(frozen=True)
class Settings:
    """What, with the task and the episode's number, fixes every demonstration.

    Attributes:
        reach: How far objects are moved from the stored states, at most, in x and in y [m].
        noise: Level of the disturbance, as a share of the largest action.
        seed: Seed of all randomness.
        states: First and one past the last stored initial state that may be used.
        policy: Which policy acts before the expert takes over; empty for none.
    """

    reach: float = 0.10
    noise: float = 0.1
    seed: int = 0
    states: tuple[int, int] = (0, 35)
    policy: str = ""

    def text(self) -> str:
        """Return the settings as JSON, to tell whether two runs may go into one file; files without a policy say nothing of one."""
        return json.dumps({name: value for name, value in asdict(self).items() if name != "policy" or value}, sort_keys=True)


def try_episode(
    environment: Environment, settings: Settings, episode: int, kept: list[dict], engine: Engine | None = None
) -> tuple[Demonstration | None, int]:
    """Try one episode until it succeeds.

    Args:
        environment: The task.
        settings: The collection's settings.
        episode: The episode's number.
        kept: Attributes of the demonstrations kept so far: what worked, and how long it took.
        engine: The policy that acts before the expert takes over, if any.

    Returns:
        The demonstration, or None if every try failed, and the number of tries.
    """
    lengths = [int(entry["num_samples"]) for entry in kept]
    longest = min(LONGEST, int(_OVERLONG * np.median(lengths))) if len(lengths) >= _ENOUGH_FOR_MEDIAN else LONGEST
    first, end = settings.states
    for number, (placement, way) in enumerate(_tries(kept)):
        state, reach = _start(environment, settings, episode, placement)
        level = _level(settings, episode) / (1 + number)
        disturb = Perturbation(level, _generator(environment.task, settings, episode, 1, number))
        lead = Handover(engine, _generator(environment.task, settings, episode, 2, number)) if engine else None
        try:
            demonstration = record_episode(environment, state, attempt=way, disturb=disturb, longest=longest, lead=lead)
        except StuckError:
            continue
        notes = {"state_index": first + episode % (end - first), "reach": reach, "noise": level, "way": way}
        return replace(demonstration, attributes={**demonstration.attributes, **notes}), number + 1
    return None, number + 1


def _tries(kept: list[dict]) -> list[tuple[int, int]]:
    """Return (placement, way of the expert) of an episode's tries: the way that has worked most often, then others.

    A demonstration that goes about the same task in another way is worth less than one that starts elsewhere.
    """
    worked = [int(entry["way"]) for entry in kept]
    best = max(range(_WAYS), key=lambda way: (worked.count(way), -way))
    usual = [(placement, best) for placement in range(_PLACEMENTS) for _ in range(2)]
    return usual + [(placement, way) for placement in range(_PLACEMENTS) for way in range(_WAYS) if way != best]


def _start(environment: Environment, settings: Settings, episode: int, placement: int) -> tuple[np.ndarray, float]:
    """Return an episode's initial state, (D,), and how far its objects may have been moved [m]."""
    first, end = settings.states
    state = environment.task.initial_states[first + episode % (end - first)]
    rng = _generator(environment.task, settings, episode, 0, placement)
    reach = float(rng.uniform(0, settings.reach)) if episode % _STORED_EVERY else 0.0
    return (widen(environment, state, rng, reach) if reach > 0 else np.array(state)), reach


def _level(settings: Settings, episode: int) -> float:
    """Return an episode's noise level: none at all for one in five, so that the undisturbed way is shown too."""
    return settings.noise * _LEVELS[episode % len(_LEVELS)] if episode % _CLEAN_EVERY else 0.0


def _generator(task: Task, settings: Settings, *numbers: int) -> np.random.Generator:
    """Return the generator that belongs to these numbers and to no other, in whatever process it is asked for."""
    return np.random.default_rng([settings.seed, zlib.crc32(task.suite.encode()), task.index, *numbers])
