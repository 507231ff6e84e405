"""Make still pictures: an arrangement of objects, the hand anywhere, and where its fingers would next close or open.

A demonstration takes seconds and shows one arrangement. A still picture takes a hundredth of a second, for nothing has to move: the
arm is put where it shall be, empty or with the object in its hand. So a policy sees thousands of arrangements for the time that
hundreds of demonstrations take, and hands in places where no demonstration ever is.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import mujoco
import numpy as np

from dmpel_core.data.stills import Stills
from dmpel_core.errors import DmpelError
from dmpel_core.simulation.environment import Environment
from dmpel_core.simulation.expert.grasps import Grasp, plan_grasps
from dmpel_core.simulation.expert.rotations import down
from dmpel_core.simulation.expert.scene import Scene
from dmpel_core.simulation.expert.skills.pick_place import way_to
from dmpel_core.simulation.expert.spots import spot_for
from dmpel_core.simulation.placement import widen
from dmpel_core.simulation.posing import Posing

_CARRYING = (False, False, False, True, True)
"""What the hand does in one picture after the other."""
_TRIES = 8
_OPEN, _HALF_CLOSED = 0.08, 0.1
"""How far the open fingers are apart [m], and how often they are somewhere in between."""
_NEARBY = (0.008, 0.02, 0.04)
"""Deviations of the hand beside where it is going [m]."""
_YAW, _TILT, _POSTURE, _SLIP = 0.08, 0.04, 0.05, 0.002
"""Deviations of the hand's turn and tilt [rad], of the posture [rad] and of the object in the hand [m]."""
_WAY_ASIDE = 0.10
"""What stands this close to the way of a carried object is in its way [m]."""
_PURPOSE = 3  # tells these random numbers from those of demonstrations


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


@dataclass(frozen=True)
class _Aim:
    """What is to be grasped in one arrangement, how, and where it goes.

    Attributes:
        body: Root body of the object.
        position: Of the object, (3,) [m].
        rotation: Of the object, (3, 3).
        grasp: How the expert would take it.
        spot: Where it goes, seen from above, (2,) [m].
        release: Where the hand lets go, if the object stays in it as it was grasped, (3,) [m].
        table: Height of the table [m].
        over: Height of the hand above all that is on the way [m].
        width: How far the fingers are apart when they hold it [m].
        middle: How far the middle of what they hold is beside the grip point [m].
    """

    body: int
    position: np.ndarray
    rotation: np.ndarray
    grasp: Grasp
    spot: np.ndarray
    release: np.ndarray
    table: float
    over: float
    width: float
    middle: float


def make_stills(environment: Environment, settings: Settings, progress: Callable[[], object]) -> Stills:
    """Make still pictures of a task whose first goal is to put an object somewhere.

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
        aim = _aim(environment)
        if aim is not None:
            pictures += [{**picture, "layouts": np.array(number)} for picture in _pictures(environment, posing, aim, settings.each, rng)]
            found += 1
            progress()
        number += 1
        if number > 2 * settings.layouts + 10:
            raise DmpelError(f"{task.instruction!r}: in {number - found} of {number} arrangements there was no grasp; lower --reach")
    arrays = {name: np.stack([picture[name] for picture in pictures]) for name in pictures[0]}
    return Stills(**arrays, attributes={"seed": settings.seed, "reach": settings.reach})


def _aim(environment: Environment) -> _Aim | None:
    """Return what is to be grasped; None where the planner finds no grasp."""
    task = environment.task
    scene = Scene(environment.model, environment.data)
    name, spot = task.goal[0][1], spot_for(scene, task.goal, task.goal[0])
    if spot is None:
        found = f"{task.instruction!r} does not begin with picking an object up and putting it down"
        raise DmpelError(f"{found}; still pictures show that only: leave the task out of --tasks")
    grasps = plan_grasps(scene, name, 1, None, None if spot.walled else way_to(spot, scene, name))
    if not grasps:
        return None
    grasp, position = grasps[0], scene.position(name)
    grip = grasp.position
    above = spot.surface + spot.drop + grip[2] - scene.bottom(name)
    highest = scene.height_along(grip, np.append(spot.centre, 0), _WAY_ASIDE, without=(name,))
    width, middle = _between_fingers((scene.cloud(name) - grip) @ grasp.rotation)
    return _Aim(
        body=scene.objects[name],
        position=position,
        rotation=scene.rotation(name),
        grasp=grasp,
        spot=spot.centre,
        release=np.append(spot.centre - (position - grip)[:2], above),
        table=scene.table_height,
        over=max(grip[2], highest + 0.03, above),
        width=width,
        middle=middle,
    )


def _between_fingers(cloud: np.ndarray) -> tuple[float, float]:
    """Return extent and middle, along the fingers' way, of a cloud's part between them; the cloud is (n, 3) as the hand sees it [m]."""
    between = (abs(cloud[:, 0]) < 0.036) & (abs(cloud[:, 1]) < 0.010) & (cloud[:, 2] > -0.011) & (cloud[:, 2] < 0.006)
    along = cloud[between, 0] if between.any() else np.zeros(1)
    return float(np.ptp(along)), float(along.max() + along.min()) / 2


def _pictures(environment: Environment, posing: Posing, aim: _Aim, each: int, rng: np.random.Generator) -> list[dict[str, np.ndarray]]:
    """Return pictures of one arrangement, which is left as it was."""
    before, rest, start = environment.data.qpos.copy(), posing.joints, posing.hand
    pictures = []
    for number in range(each):
        for _ in range(_TRIES):
            environment.data.qpos[:] = before
            arrange = _carry if _CARRYING[number % len(_CARRYING)] else _approach
            goal = arrange(environment, posing, aim, start, rest, rng)
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


def _approach(
    environment: Environment, posing: Posing, aim: _Aim, start: np.ndarray, rest: np.ndarray, rng: np.random.Generator
) -> np.ndarray | None:
    """Put the empty hand on its way to the grasp or beside it; return where it closes, (3,) [m], None if it cannot be there."""
    grip, yaw = aim.grasp.position, aim.grasp.yaw + rng.normal(0, _YAW)
    if rng.random() < 0.25:
        share = rng.random()
        height = max(grip[2], aim.table) + rng.uniform(0.06, 0.32)
        position = np.append((1 - share) * start[:2] + share * grip[:2] + rng.normal(0, 0.05, 2), height)
        yaw *= share
    else:
        beside = rng.normal(0, 1, 2) * rng.choice(_NEARBY)
        position = grip + np.append(beside, rng.uniform(0, 0.14) if rng.random() < 0.6 else rng.uniform(-0.003, 0.05))
    posing.set_fingers(_OPEN if rng.random() >= _HALF_CLOSED else _OPEN * rng.random())
    if not posing.reach(position, _tilted(down(yaw), rng), rest + rng.normal(0, _POSTURE, 7)):
        return None
    mujoco.mj_fwdPosition(environment.model, environment.data)
    return None if posing.collides(None) else grip


def _carry(
    environment: Environment, posing: Posing, aim: _Aim, _start: np.ndarray, rest: np.ndarray, rng: np.random.Generator
) -> np.ndarray | None:
    """Put the hand with the object in it on its way or beside where it lets go; return where it opens, (3,) [m]."""
    model, data = environment.model, environment.data
    grip, release = aim.grasp.position, aim.release
    yaw, where = aim.grasp.yaw + rng.normal(0, _YAW), rng.random()
    if where < 0.4:
        share = rng.random()
        position = np.append((1 - share) * grip[:2] + share * release[:2] + rng.normal(0, 0.03, 2), aim.over + rng.uniform(0, 0.12))
    elif where < 0.85:
        position = release + np.append(rng.normal(0, 1, 2) * rng.choice(_NEARBY), rng.uniform(0, 0.12))
    else:
        position = grip + np.append(rng.normal(0, 0.004, 2), rng.uniform(0, 0.1))
    rotation = _tilted(down(yaw), rng)
    turn = rotation @ aim.grasp.rotation.T
    offset = turn @ (aim.position - grip) - rotation[:, 0] * aim.middle - rng.normal(0, _SLIP, 3)
    posing.set_fingers(aim.width)
    if not posing.reach(position, rotation, rest + rng.normal(0, _POSTURE, 7)):
        return None
    place = int(model.jnt_qposadr[model.body_jntadr[aim.body]])
    data.qpos[place : place + 3] = position + offset
    mujoco.mju_mat2Quat(data.qpos[place + 3 : place + 7], np.ascontiguousarray(turn @ aim.rotation).ravel())
    mujoco.mj_fwdPosition(model, data)
    return None if posing.collides(int(model.body_rootid[aim.body])) else np.append(aim.spot - offset[:2], release[2])


def _tilted(rotation: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a rotation (3, 3), half the time tilted a little about the axis along which the fingers close."""
    if rng.random() < 0.5:
        return rotation
    angle = rng.normal(0, _TILT)
    cosine, sine = np.cos(angle), np.sin(angle)
    return rotation @ np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
