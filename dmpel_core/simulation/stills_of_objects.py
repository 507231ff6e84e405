"""Still pictures of a hand that takes an object up and puts it down: on its way or beside it, empty or with the object in it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import mujoco
import numpy as np

from dmpel_core.simulation.environment import Environment
from dmpel_core.simulation.expert.grasps import Grasp, Preference, plan_grasps
from dmpel_core.simulation.expert.rotations import down
from dmpel_core.simulation.expert.scene import Scene
from dmpel_core.simulation.expert.skills.pick_place import Spot, way_to
from dmpel_core.simulation.posing import Posing

FINGERS_APART, HALF_CLOSED = 0.08, 0.1
"""How far the open fingers are apart [m], and how often they are somewhere in between."""
NEARBY = (0.008, 0.02, 0.04)
"""Deviations of the hand beside where it is going [m]."""
YAW, TILT, POSTURE, SLIP = 0.08, 0.04, 0.05, 0.002
"""Deviations of the hand's turn and tilt [rad], of the posture [rad] and of what is in the hand [m]."""
_WAY_ASIDE = 0.10
"""What stands this close to the way of a carried object is in its way [m]."""

Kind = Callable[[np.random.Generator], np.ndarray | None]
"""A kind of picture: puts the hand into the arrangement at hand, and returns where its fingers will next close or open, (3,) [m].

None where the hand cannot be there.
"""


@dataclass(frozen=True)
class Start:
    """The arm where episodes begin.

    Attributes:
        hand: The grip point, (3,) [m].
        joints: The posture, (7,) [rad].
    """

    hand: np.ndarray
    joints: np.ndarray


@dataclass(frozen=True)
class Aim:
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


def find_aim(scene: Scene, name: str, spot: Spot, prefer: Preference | None = None) -> Aim | None:
    """Return how an object is grasped to be put on a spot; None where the planner finds no grasp.

    Args:
        scene: The arrangement.
        name: Of the object.
        spot: Where it goes.
        prefer: Extra cost of a grasp.
    """
    grasps = plan_grasps(scene, name, 1, prefer, None if spot.walled else way_to(spot, scene, name))
    if not grasps:
        return None
    grasp, position = grasps[0], scene.position(name)
    grip = grasp.position
    above = spot.surface + spot.drop + grip[2] - scene.bottom(name)
    highest = scene.height_along(grip, np.append(spot.centre, 0), _WAY_ASIDE, without=(name,))
    width, middle = _between_fingers((scene.cloud(name) - grip) @ grasp.rotation)
    return Aim(
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


def kinds_of_pictures(environment: Environment, posing: Posing, aim: Aim, start: Start) -> list[Kind]:
    """Return the kinds of picture of one object, in the order in which they take turns."""
    approach, carry = (partial(arrange, environment, posing, aim, start) for arrange in (_approach, _carry))
    return [approach, approach, approach, carry, carry]


def _approach(environment: Environment, posing: Posing, aim: Aim, start: Start, rng: np.random.Generator) -> np.ndarray | None:
    """Put the empty hand on its way to the grasp or beside it; return where it closes, (3,) [m], None if it cannot be there."""
    grip, yaw = aim.grasp.position, aim.grasp.yaw + rng.normal(0, YAW)
    if rng.random() < 0.25:
        share = rng.random()
        height = max(grip[2], aim.table) + rng.uniform(0.06, 0.32)
        position = np.append((1 - share) * start.hand[:2] + share * grip[:2] + rng.normal(0, 0.05, 2), height)
        yaw *= share
    else:
        beside = rng.normal(0, 1, 2) * rng.choice(NEARBY)
        position = grip + np.append(beside, rng.uniform(0, 0.14) if rng.random() < 0.6 else rng.uniform(-0.003, 0.05))
    posing.set_fingers(FINGERS_APART if rng.random() >= HALF_CLOSED else FINGERS_APART * rng.random())
    if not posing.reach(position, tilted(down(yaw), rng), start.joints + rng.normal(0, POSTURE, 7)):
        return None
    mujoco.mj_fwdPosition(environment.model, environment.data)
    return None if posing.collides(None) else grip


def _carry(environment: Environment, posing: Posing, aim: Aim, start: Start, rng: np.random.Generator) -> np.ndarray | None:
    """Put the hand with the object in it on its way or beside where it lets go; return where it opens, (3,) [m]."""
    model, data = environment.model, environment.data
    grip, release = aim.grasp.position, aim.release
    yaw, where = aim.grasp.yaw + rng.normal(0, YAW), rng.random()
    if where < 0.4:
        share = rng.random()
        position = np.append((1 - share) * grip[:2] + share * release[:2] + rng.normal(0, 0.03, 2), aim.over + rng.uniform(0, 0.12))
    elif where < 0.85:
        position = release + np.append(rng.normal(0, 1, 2) * rng.choice(NEARBY), rng.uniform(0, 0.12))
    else:
        position = grip + np.append(rng.normal(0, 0.004, 2), rng.uniform(0, 0.1))
    rotation = tilted(down(yaw), rng)
    turn = rotation @ aim.grasp.rotation.T
    offset = turn @ (aim.position - grip) - rotation[:, 0] * aim.middle - rng.normal(0, SLIP, 3)
    posing.set_fingers(aim.width)
    if not posing.reach(position, rotation, start.joints + rng.normal(0, POSTURE, 7)):
        return None
    place = int(model.jnt_qposadr[model.body_jntadr[aim.body]])
    data.qpos[place : place + 3] = position + offset
    mujoco.mju_mat2Quat(data.qpos[place + 3 : place + 7], np.ascontiguousarray(turn @ aim.rotation).ravel())
    mujoco.mj_fwdPosition(model, data)
    return None if posing.collides(int(model.body_rootid[aim.body])) else np.append(aim.spot - offset[:2], release[2])


def tilted(rotation: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a rotation (3, 3), half the time tilted a little about the axis along which the fingers close."""
    if rng.random() < 0.5:
        return rotation
    angle = rng.normal(0, TILT)
    cosine, sine = np.cos(angle), np.sin(angle)
    return rotation @ np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
