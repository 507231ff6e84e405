"""Make demonstrations of a recording, in the layout that `dmpel learn` reads.

Episodes are those that were marked at the recorder (~/begin, ~/keep, ~/discard); in a recording without marks, those of the
policy itself, split where it was reset or told something else. An action stands with the observation at which it was
commanded; pictures are upright.
"""

import argparse
import re
from pathlib import Path

import h5py
import numpy as np

from dmpel_core.data.hdf5 import Demonstration, TaskRecord, write_demonstration, write_task_attributes
from dmpel_core.errors import DmpelError
from dmpel_ros import robot
from dmpel_ros.kinematics import Chain, axis_angle
from dmpel_ros.recording.bag import Bag
from dmpel_ros.recording.commands import EpisodeError
from dmpel_ros.recording.episodes import Episode, episodes
from dmpel_ros.recording.observations import Sight
from dmpel_ros.recording.topics import Robot

SHORTEST = 2
"""Ticks that an episode must have to be a demonstration of anything."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("bag", type=Path, nargs="+", help="recordings, MCAP files")
    parser.add_argument("--to", type=Path, required=True, help="the file of demonstrations to write; it must not exist")
    parser.add_argument("--instruction", required=True, help="what the demonstrations show how to do")
    parser.add_argument(
        "--episodes", default="", help="which episodes to take, such as 0,2 or 0:4, counted over all recordings; all by default"
    )


def run(arguments: argparse.Namespace) -> int:
    """Convert and say what was written."""
    lengths = convert(arguments.bag, arguments.to, arguments.instruction, parse_numbers(arguments.episodes))
    print(f"{arguments.to}: {len(lengths)} demonstrations of '{arguments.instruction}', {' '.join(map(str, lengths))} ticks")
    return 0


def parse_numbers(text: str) -> set[int] | None:
    """Return the numbers that `0,2` or `0:4` name; None for an empty text.

    Raises:
        DmpelError: The text is neither.
    """
    if not text:
        return None
    if re.fullmatch(r"\d+:\d+", text):
        first, end = text.split(":")
        return set(range(int(first), int(end)))
    if re.fullmatch(r"\d+(,\d+)*", text):
        return {int(part) for part in text.split(",")}
    raise DmpelError(f"'{text}' names no episodes: write 0,2 or 0:4")


def convert(recordings: list[Path], to: Path, instruction: str, numbers: set[int] | None = None) -> list[int]:
    """Write the demonstrations of recordings into a new file and return their lengths in ticks.

    Args:
        recordings: The MCAP files.
        to: The file to write; it appears when it is whole.
        instruction: What the demonstrations show; of a policy's own episodes only those under this instruction are taken.
        numbers: Which of those episodes to take; None for all.

    Raises:
        DmpelError: The file exists, or the recordings hold no such episode.
    """
    if to.exists():
        raise DmpelError(f"{to} exists: name another file with --to, nothing is written over")
    chosen = _chosen(recordings, instruction, numbers)
    to.parent.mkdir(parents=True, exist_ok=True)
    partial = to.with_name(f"{to.name}.partial")
    with h5py.File(partial, "w") as file:
        data = file.create_group("data")
        for number, (bag, episode) in enumerate(chosen):
            write_demonstration(data.create_group(f"demo_{number}"), demonstration(bag, episode))
        write_task_attributes(data, TaskRecord(instruction))
    partial.replace(to)
    return [len(episode.ticks) for _, episode in chosen]


def _chosen(recordings: list[Path], instruction: str, numbers: set[int] | None) -> list[tuple[Bag, Episode]]:
    found = [(bag, episode) for bag in map(Bag, recordings) for episode in episodes(bag)]
    fitting = [(bag, episode) for bag, episode in found if episode.instruction in {"", instruction} and len(episode.ticks) >= SHORTEST]
    if not fitting:
        there = sorted({episode.instruction for _, episode in found})
        raise EpisodeError(
            f"no episode under '{instruction}' in {', '.join(map(str, recordings))}; there are those under: {', '.join(there)}"
        )
    if numbers is None:
        return fitting
    unknown = numbers - set(range(len(fitting)))
    if unknown:
        raise EpisodeError(f"there is no episode {', '.join(map(str, sorted(unknown)))}; there are 0 to {len(fitting) - 1}")
    return [fitting[number] for number in sorted(numbers)]


def demonstration(bag: Bag, episode: Episode) -> Demonstration:
    """Return one episode with its pictures.

    Raises:
        EpisodeError: An observation is missing or broken.
    """
    seen = list(Sight(bag).observations(episode.ticks))
    whole = [observation for observation in seen if observation is not None]
    if len(whole) < len(seen):
        raise EpisodeError(
            f"{len(seen) - len(whole)} of {len(seen)} observations of an episode in {bag.path} are missing or broken: "
            "leave the episode out with --episodes"
        )
    joints = np.stack([observation.joints for observation in whole])
    chain = robot.chain(Robot(bag.parameters))
    poses = [pose(chain, position) for position in joints]
    return Demonstration(
        actions=episode.actions,
        agentview=np.stack([observation.agentview for observation in whole]),
        eye_in_hand=np.stack([observation.eye_in_hand for observation in whole]),
        joints=joints,
        gripper=np.stack([observation.gripper for observation in whole]),
        ee_pos=np.stack([position for position, _ in poses]),
        ee_ori=np.stack([orientation for _, orientation in poses]),
        executed_actions=episode.actions,
        attributes={"recording": bag.path.name},
    )


def pose(chain: Chain, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the tool's position (3,) [m] and its orientation as axis times angle (3,) [rad], both in the base frame."""
    return chain.position(joints), axis_angle(chain.orientation(joints))
