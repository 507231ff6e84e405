"""Make still pictures: an arrangement of objects, the hand anywhere, and where its fingers would next close or open.

A demonstration takes seconds and shows one arrangement. A still picture takes a hundredth of a second, for nothing has to move: the
arm is put where it shall be, empty or with the object in its hand. So a policy sees thousands of arrangements for the time that
hundreds of demonstrations take, and hands in places where no demonstration ever is.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import mujoco
import numpy as np

from dmpel_core.data.stills import Stills
from dmpel_core.errors import DmpelError
from dmpel_core.simulation.environment import Environment
from dmpel_core.simulation.expert.rotations import down
from dmpel_core.simulation.expert.scene import Scene
from dmpel_core.simulation.expert.skills.drawers import PULLED, WIDE_OPEN, find_drawer
from dmpel_core.simulation.expert.skills.into_drawer import preference, pull_for, spot_in_drawer
from dmpel_core.simulation.expert.skills.stove import find_knob
from dmpel_core.simulation.expert.spots import Predicate, spot_for
from dmpel_core.simulation.placement import widen
from dmpel_core.simulation.posing import Posing
from dmpel_core.simulation.stills_of_handles import kinds_of_pulling, kinds_of_reaching, slide
from dmpel_core.simulation.stills_of_objects import Kind, Start, find_aim, kinds_of_pictures

_TRIES = 8
_PURPOSE = 3  # tells these random numbers from those of demonstrations
_PULLED_ERROR = 0.015
"""How much farther or less far than it should be a drawer may be open when something goes in [m]."""


@dataclass(frozen=True)
class Settings:
    """What, with the task, fixes its still pictures.

    Attributes:
        layouts: Arrangements of objects.
        each: Pictures of each.
        seed: Of all draws; each arrangement has its own, whatever came before it.
        reach: Farthest that an object is moved from the stored states, in x and in y [m].
        states: First and one past the last stored state that may be used.
    """

    layouts: int = 240
    each: int = 8
    seed: int = 0
    reach: float = 0.10
    states: tuple[int, int] = (0, 35)


def make_stills(environment: Environment, settings: Settings, progress: Callable[[], object]) -> Stills:
    """Make still pictures of a task whose first goal is to put an object somewhere, to open a drawer or to turn a knob.

    Args:
        environment: The task, built with rendering.
        settings: How many, and of what.
        progress: Called once for each arrangement.

    Raises:
        DmpelError: The task has no such goal, or its objects cannot be grasped.
    """
    task, posing = environment.task, Posing(environment)
    pictures: list[dict[str, np.ndarray]] = []
    number = found = 0
    while found < settings.layouts:
        rng = np.random.default_rng([settings.seed, zlib.crc32(task.suite.encode()), task.index, _PURPOSE, number])
        spread = float(rng.uniform(0, settings.reach))
        widen(environment, task.initial_states[int(rng.integers(*settings.states))], rng, spread)
        kinds = _kinds(environment, posing, rng)
        if kinds:
            pictures += [{**picture, "layouts": np.array(number)} for picture in _pictures(environment, posing, kinds, settings.each, rng)]
            found += 1
            progress()
        number += 1
        if number > 2 * settings.layouts + 10:
            raise DmpelError(f"{task.instruction!r}: in {number - found} of {number} arrangements there was no grasp; lower --reach")
    arrays = {name: np.stack([picture[name] for picture in pictures]) for name in pictures[0]}
    return Stills(**arrays, attributes={"seed": settings.seed, "reach": settings.reach})


def _kinds(environment: Environment, posing: Posing, rng: np.random.Generator) -> list[Kind]:
    """Return the kinds of picture of an arrangement; none where the planner finds no grasp."""
    task, scene = environment.task, Scene(environment.model, environment.data)
    kind, *names = predicate = task.goal[0]
    start = Start(posing.hand, posing.joints)
    spot = spot_for(scene, task.goal, predicate)
    if spot is not None:
        aim = find_aim(scene, names[0], spot)
        return [] if aim is None else kinds_of_pictures(environment, posing, aim, start)
    if kind == "turnon":
        knob = find_knob(scene, names[0])
        return kinds_of_reaching(environment, posing, knob.grip(), down(knob.yaw), start)
    if kind == "open" and _is_drawer(scene, names[0]):
        return kinds_of_pulling(environment, posing, find_drawer(scene, names[0]), PULLED, start)
    if kind == "in" and _is_drawer(scene, names[1]):
        return _kinds_into_drawer(environment, posing, predicate, start, rng)
    raise DmpelError(
        f"{task.instruction!r} does not begin with picking an object up and putting it down, with a drawer or with a knob; "
        "still pictures show that only: leave the task out of --tasks"
    )


def _is_drawer(scene: Scene, region: str) -> bool:
    return scene.has_site(region) and "cabinet" in (scene.site_owner(region) or "")


def _kinds_into_drawer(
    environment: Environment, posing: Posing, predicate: Predicate, start: Start, rng: np.random.Generator
) -> list[Kind]:
    """Return the kinds of picture of a drawer that is opened, unless it is open, and of the object that goes in."""
    _, name, region = predicate
    scene = Scene(environment.model, environment.data)
    drawer = find_drawer(scene, region)
    opening, pulled = [], drawer.pulled(scene)
    if pulled < WIDE_OPEN:
        opening = kinds_of_pulling(environment, posing, drawer, pull_for(region), start)
        pulled = pull_for(region) + float(rng.uniform(-_PULLED_ERROR, _PULLED_ERROR))
    before = environment.data.qpos.copy()
    slide(environment, drawer, pulled)
    aim = find_aim(scene, name, spot_in_drawer(scene, drawer, region), preference(drawer, region))
    environment.data.qpos[:] = before
    mujoco.mj_forward(environment.model, environment.data)
    if aim is None:
        return []

    def opened(kind: Kind, rng: np.random.Generator) -> np.ndarray | None:
        slide(environment, drawer, pulled)
        return kind(rng)

    return opening + [partial(opened, kind) for kind in kinds_of_pictures(environment, posing, aim, start)]


def _pictures(
    environment: Environment, posing: Posing, kinds: Sequence[Kind], each: int, rng: np.random.Generator
) -> list[dict[str, np.ndarray]]:
    """Return pictures of one arrangement, which is left as it was; the kinds take turns."""
    before = environment.data.qpos.copy()
    pictures = []
    for number in range(each):
        for _ in range(_TRIES):
            environment.data.qpos[:] = before
            goal = kinds[number % len(kinds)](rng)
            if goal is not None:
                seen = environment.observe()
                pictures.append(
                    {
                        "agentview": seen.agentview,
                        "eye_in_hand": seen.eye_in_hand,
                        "joints": seen.joints,
                        "gripper": seen.gripper,
                        "waypoints": goal - posing.hand,
                    }
                )
                break
    environment.data.qpos[:] = before
    mujoco.mj_forward(environment.model, environment.data)
    return pictures
