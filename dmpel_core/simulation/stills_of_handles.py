"""Still pictures of a hand that grips a handle or a knob, and of one that pulls a drawer by it."""

from functools import partial

import mujoco
import numpy as np

from dmpel_core.simulation.environment import Environment
from dmpel_core.simulation.expert.rotations import about, down, rotation_vector
from dmpel_core.simulation.expert.scene import Scene
from dmpel_core.simulation.expert.skills.drawers import Drawer
from dmpel_core.simulation.posing import Posing
from dmpel_core.simulation.stills_of_objects import FINGERS_APART, HALF_CLOSED, NEARBY, POSTURE, SLIP, TILT, Kind, Start

_BEFORE = 0.10
"""How far from the handle the hand turns towards it [m]."""
_PADS = 0.004
"""Fingers that grip a handle are this much farther apart than it is thick [m]."""


def kinds_of_reaching(environment: Environment, posing: Posing, grip: np.ndarray, rotation: np.ndarray, start: Start) -> list[Kind]:
    """Return the kinds of picture of a hand that is to grip something fixed.

    Args:
        environment: The task.
        posing: Of its arm.
        grip: Where the fingers close, (3,) [m].
        rotation: How the hand is turned then, (3, 3).
        start: The arm where episodes begin.
    """
    return [partial(_reach, environment, posing, grip, rotation, start)]


def kinds_of_pulling(environment: Environment, posing: Posing, drawer: Drawer, distance: float, start: Start) -> list[Kind]:
    """Return the kinds of picture of a drawer that is pulled by `distance` [m]: they take turns, the handle before the pull."""
    grip = drawer.grip(Scene(environment.model, environment.data))
    reach = kinds_of_reaching(environment, posing, grip, drawer.gripping(), start)
    return [*reach, *reach, partial(_pull, environment, posing, drawer, distance, start)]


def slide(environment: Environment, drawer: Drawer, distance: float) -> None:
    """Set how far a drawer is open [m], and with it what is fixed to it."""
    environment.data.qpos[environment.model.jnt_qposadr[drawer.joint]] = drawer.towards * distance
    mujoco.mj_kinematics(environment.model, environment.data)


def _reach(
    environment: Environment, posing: Posing, grip: np.ndarray, rotation: np.ndarray, start: Start, rng: np.random.Generator
) -> np.ndarray | None:
    """Put the empty hand on its way to the grip or beside it; return where it closes, (3,) [m], None if it cannot be there."""
    inwards, share = rotation[:, 2], 1.0
    if rng.random() < 0.25:
        share = rng.random()
        position = (1 - share) * start.hand + share * (grip - _BEFORE * inwards) + rng.normal(0, 0.05, 3)
    else:
        back = rng.uniform(0, 0.14) if rng.random() < 0.6 else rng.uniform(-0.003, 0.05)
        position = grip - back * inwards + rng.normal(0, 1, 3) * rng.choice(NEARBY)
    posing.set_fingers(FINGERS_APART if rng.random() >= HALF_CLOSED else FINGERS_APART * rng.random())
    if not posing.reach(position, _wobbled(_turned(rotation, share), rng), start.joints + rng.normal(0, POSTURE, 7)):
        return None
    mujoco.mj_fwdPosition(environment.model, environment.data)
    return None if posing.collides(None) else grip


def _pull(
    environment: Environment, posing: Posing, drawer: Drawer, distance: float, start: Start, rng: np.random.Generator
) -> np.ndarray | None:
    """Open the drawer a part of the way with the handle in the hand; return where it is let go, (3,) [m], None if that cannot be."""
    pulled = rng.uniform(0, distance)
    slide(environment, drawer, pulled)
    position = drawer.grip(Scene(environment.model, environment.data)) + rng.normal(0, SLIP, 3)
    posing.set_fingers(drawer.thickness + _PADS)
    if not posing.reach(position, _wobbled(drawer.gripping(), rng), start.joints + rng.normal(0, POSTURE, 7)):
        return None
    mujoco.mj_fwdPosition(environment.model, environment.data)
    cabinet = int(environment.model.body_rootid[environment.model.jnt_bodyid[drawer.joint]])
    return None if posing.collides(cabinet) else position + (distance - pulled) * drawer.out


def _turned(rotation: np.ndarray, share: float) -> np.ndarray:
    """Return the hand on its way from looking down to a rotation (3, 3)."""
    turn = rotation_vector(rotation @ down().T)
    angle = float(np.linalg.norm(turn))
    return about(turn / max(angle, 1e-9), share * angle) @ down()


def _wobbled(rotation: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a rotation (3, 3) turned a little about any axis."""
    axis = rng.normal(0, 1, 3)
    return about(axis / np.linalg.norm(axis), rng.normal(0, TILT)) @ rotation
