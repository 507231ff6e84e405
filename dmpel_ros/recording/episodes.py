"""The episodes of a recording: where each begins and ends, at which ticks it was observed, and what was commanded there.

Where a person has marked demonstrations (begin, then keep or discard), those count, and the ticks are taken at the policy's
rate from the first camera's pictures. Where nobody has, the policy's own ticks count, one episode per reset or instruction.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from std_msgs.msg import String

from dmpel_ros.recording.bag import Bag, BagError
from dmpel_ros.recording.commands import Commands, EpisodeError, commands
from dmpel_ros.recording.observations import Sight, Stamps, read
from dmpel_ros.recording.topics import MARK, tick_topic
from dmpel_ros.trace import Trace


@dataclass(frozen=True)
class Episode:
    """One run of a task.

    Attributes:
        instruction: What the policy was told; empty for a marked episode.
        ticks: Stamps of the messages that each tick observed.
        actions: What was commanded at each, (L, 7) in [-1, 1].
    """

    instruction: str
    ticks: tuple[Stamps, ...]
    actions: np.ndarray


def episodes(bag: Bag) -> list[Episode]:
    """Return the episodes of a recording in their order.

    Raises:
        BagError: There is none.
        EpisodeError: There is one that cannot be used.
    """
    commanded = commands(bag)
    marked = _marked(bag)
    found = list(_by_marks(bag, marked, commanded) if marked else _by_ticks(bag, commanded))
    if not found:
        raise BagError(f"{bag.path} holds no episode: neither marks (~/begin and ~/keep of the recorder) nor ticks of a policy")
    return found


def _by_ticks(bag: Bag, commanded: Commands) -> Iterator[Episode]:
    told = [Trace.from_json(read(message, String).data) for message in bag.messages({tick_topic(bag.parameters["policy"])})]
    starts = [
        index
        for index, trace in enumerate(told)
        if index == 0 or trace.place != told[index - 1].place + 1 or trace.instruction != told[index - 1].instruction
    ]
    for start, end in pairwise([*starts, len(told)]):
        part = told[start:end]
        ticks = tuple(trace.stamps for trace in part)
        yield Episode(part[0].instruction, ticks, np.stack(commanded.answers(ticks)))


def _marked(bag: Bag) -> list[tuple[int, int]]:
    """Return when each kept episode began and ended [ns of wall time]."""
    kept: list[tuple[int, int]] = []
    began: int | None = None
    for recorded in bag.messages({MARK}):
        mark = read(recorded, String).data
        if mark == "keep" and began is not None:
            kept.append((began, recorded.time))
        began = recorded.time if mark == "begin" else None
    return kept


def _by_marks(bag: Bag, marked: Sequence[tuple[int, int]], commanded: Commands) -> Iterator[Episode]:
    topics = Sight(bag).topics
    for begin, end in marked:
        stamps: dict[str, list[int]] = {topic: [] for topic in topics.values()}
        for recorded, _, stamp in Sight(bag).stamped():
            if begin <= recorded.time < end:
                stamps[recorded.topic].append(stamp)
        ticks = _at_rate({topic: sorted(set(found)) for topic, found in stamps.items()}, topics["agentview"], bag)
        yield Episode("", tuple(ticks), np.stack(commanded.during(ticks)))


def _at_rate(stamps: Mapping[str, Sequence[int]], first: str, bag: Bag) -> list[Stamps]:
    """Return one set of stamps per period: the picture nearest to the time, and of the other inputs what is nearest to the picture.

    Raises:
        EpisodeError: An input was not there for longer than the policy would have put up with.
    """
    silent = [topic for topic, found in stamps.items() if not found]
    if silent:
        raise EpisodeError(f"nothing came on {', '.join(silent)} during a marked episode: see that the driver runs, and record it again")
    period, skew = _period(bag), round(1e9 * bag.parameters["max_input_skew"])

    def set_of(picture: int) -> tuple[Stamps, list[str]]:
        tick = {topic: _nearest(found, picture) for topic, found in stamps.items()}
        return tick, [topic for topic, stamp in tick.items() if abs(stamp - picture) > skew]

    pictures = _whole(stamps[first], lambda picture: not set_of(picture)[1])
    ticks: list[Stamps] = []
    for time in range(pictures[0], pictures[-1] + 1, period):
        picture = _nearest(pictures, time)
        tick, far = set_of(picture)
        if far or abs(picture - time) > period / 2:
            raise EpisodeError(
                f"{', '.join(far or [first])} had nothing near {(time - pictures[0]) / 1e9:.2f} s of a marked episode: "
                "the input paused or is slower than the policy; mark such an episode with ~/discard"
            )
        if not ticks or picture != ticks[-1][first]:  # one that lies halfway between two times is near to both
            ticks.append(tick)
    return ticks


def _whole(pictures: Sequence[int], complete: Callable[[int], bool]) -> Sequence[int]:
    """Return the pictures without the first and the last where the mark came between the messages of one set."""
    if len(pictures) < 3:  # too short to be of use: say what is missing
        return pictures
    return pictures[not complete(pictures[0]) : len(pictures) - (not complete(pictures[-1]))]


def _nearest(stamps: Sequence[int], time: int) -> int:
    after = bisect_right(stamps, time)
    return min(stamps[max(after - 1, 0) : after + 1], key=lambda stamp: abs(stamp - time))


def _period(bag: Bag) -> int:
    return round(1e9 / bag.parameters["rate"])
