"""Compute a recorded run again, tick by tick, and say where the first action differs.

The engine is given what the policy node gave it: the same pictures and joints, the same instructions, resets and generations
at the same ticks. On the same machine with the same library every action must come out bit for bit; a difference tells of
another library, another engine, another machine, or of a fault.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from std_msgs.msg import String

from dmpel_core.errors import DmpelError
from dmpel_core.inference.engine import Engine
from dmpel_core.observation import Observation
from dmpel_ros.engines import LoadEngine, load_library
from dmpel_ros.locations import find_library
from dmpel_ros.policy_parameters import ENGINE
from dmpel_ros.recording.bag import Bag, BagError
from dmpel_ros.recording.observations import Sight, read
from dmpel_ros.recording.topics import Robot, tick_topic
from dmpel_ros.trace import Trace


@dataclass(frozen=True)
class Difference:
    """The first tick that came out otherwise.

    Attributes:
        index: Number of the tick in the recording, from 0.
        trace: The tick as it was recorded.
        action: What was computed now, (7,); None where the engine could not compute.
    """

    index: int
    trace: Trace
    action: np.ndarray | None


@dataclass(frozen=True)
class Verdict:
    """What came of a replay.

    Attributes:
        ticks: Ticks in the recording.
        equal: Those that came out bit for bit.
        unknown: Those that could not be computed, because they or one before them in their episode are not in the recording.
        difference: The first one that came out otherwise, after which nothing was computed; None if all were equal.
    """

    ticks: int
    equal: int
    unknown: int
    difference: Difference | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("bag", type=Path, help="the recording, an MCAP file")
    parser.add_argument("--library", required=True, help="folder of the library that the policy ran")


def run(arguments: argparse.Namespace) -> int:
    """Replay and report; the exit status is 0 only if all that could be computed was equal, and there was any."""
    bag = Bag(arguments.bag)
    verdict = replay(bag, find_library(arguments.library))
    print(report(verdict, bag))
    return 0 if verdict.difference is None and verdict.equal else 1


def traces(bag: Bag) -> list[Trace]:
    """Return the ticks of a recording in their order."""
    topic = tick_topic(bag.parameters["policy"])
    return [Trace.from_json(read(message, String).data) for message in bag.messages({topic})]


def replay(bag: Bag, library: Path, load: LoadEngine = load_library) -> Verdict:
    """Compute every tick of a recording again, up to the first that differs.

    Raises:
        BagError: There is no tick in the recording.
        DmpelError: The library cannot be run, or lacks a generation that was used.
    """
    told = traces(bag)
    if not told:
        raise BagError(f"{bag.path} holds no tick of {bag.parameters['policy']}: no policy acted, or the recorder's 'policy' names another")
    player = Player(library, load, Robot(bag.parameters))
    equal = unknown = 0
    for index, (trace, observation) in enumerate(zip(told, _observations(bag, told), strict=True)):
        if not player.follows(trace) or observation is None:
            player.lose_track()
            unknown += 1
            continue
        action = player.tick(trace, observation)
        if not _same(trace, action):
            return Verdict(len(told), equal, unknown, Difference(index, trace, action))
        equal += 1
    return Verdict(len(told), equal, unknown, None)


def _observations(bag: Bag, told: Sequence[Trace]) -> Iterator[Observation | None]:
    return Sight(bag).observations([trace.stamps for trace in told])


def _same(trace: Trace, action: np.ndarray | None) -> bool:
    computed = np.empty(0) if action is None else np.asarray(action, np.float64)
    return np.array_equal(computed, np.asarray(trace.action, np.float64), equal_nan=True)


class Player:
    """Gives an engine what a policy node gave it."""

    def __init__(self, library: Path, load: LoadEngine, robot: Robot) -> None:
        """Load nothing yet: the first tick says which generation."""
        self._library, self._load = library, load
        self._wanted = {row.name: robot.get_parameter(row.name).value for row in ENGINE}
        self._engine: Engine | None = None
        self._instruction: str | None = None
        self._place: int | None = None  # of the tick computed last; None while the engine's window is not the one recorded

    def follows(self, trace: Trace) -> bool:
        """Return whether the engine is where it was before this tick, or can be: at the first tick after a reset it always can."""
        return trace.place == 1 or (self._place is not None and trace.place == self._place + 1)

    def lose_track(self) -> None:
        """Wait for the next reset: a tick is missing."""
        self._place = None

    def tick(self, trace: Trace, observation: Observation) -> np.ndarray | None:
        """Return the action, (7,), or None where the engine cannot compute."""
        engine = self._prepared(trace)
        self._place = trace.place
        try:
            return engine.tick(observation).action
        except DmpelError:
            return None

    def _prepared(self, trace: Trace) -> Engine:
        """Return the engine with the tick's generation, instruction and, at the first one, an empty window."""
        if self._engine is None:
            self._engine = self._load(self._library, trace.generation, self._wanted)
        elif self._engine.generation != trace.generation:
            self._engine.load(self._library, trace.generation)
        if trace.place == 1:
            self._engine.reset()
        if trace.instruction != self._instruction:
            self._engine.set_instruction(trace.instruction)
            self._instruction = trace.instruction
        return self._engine


def report(verdict: Verdict, bag: Bag) -> str:
    """Return the verdict in words."""
    lines = [f"{verdict.equal} of {verdict.ticks} recorded ticks came out bit for bit"]
    if verdict.unknown:
        lines.append(f"{verdict.unknown} could not be computed: they, or a tick before them in their episode, are not in the recording")
    if bag.damage:
        lines.append(f"{bag.path}: {bag.damage}")
    found = verdict.difference
    if found is not None:
        lines.append(
            f"the first that differs is number {found.index}: tick {found.trace.place} of its episode, '{found.trace.instruction}', "
            f"generation {found.trace.generation}, observation of {min(found.trace.stamps.values())} ns"
        )
        lines += [f"  recorded {_shown(found.trace.action)}", f"  computed {_shown(() if found.action is None else found.action.tolist())}"]
    return "\n".join(lines)


def _shown(action: Sequence[float]) -> str:
    return " ".join(f"{number:+.9g}" for number in action) or "nothing: the engine could not compute"
