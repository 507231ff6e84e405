"""Pick an object up, carry it over obstacles, put it down."""

from dataclasses import dataclass

import numpy as np

from dmpel_core.simulation.expert.grasps import Carry, Preference, plan_grasps
from dmpel_core.simulation.expert.motion import CLOSE, OPEN, Actions, Arm
from dmpel_core.simulation.expert.scene import Scene
from dmpel_core.simulation.expert.stuck import StuckError

_REACH_CLEARANCE = 0.05
_OVER = 0.015
"""How far beside the grasp the hand may be when it goes straight down [m]."""
_ASTRAY = 0.013
_TRIES, _DESCENTS = 3, 5


@dataclass(frozen=True)
class Spot:
    """Where an object shall end.

    Attributes:
        centre: The object's origin seen from above, (2,) [m].
        surface: Height of what it shall stand on [m].
        drop: Height above that surface at which it is let go [m].
        support: Object that it shall stand on; touching it ends the way down.
        walled: Whether walls stand around it between which the hand may go, so that any grasp will do.
        clear: How far above everything on the way the object is carried there [m].
    """

    centre: np.ndarray
    surface: float
    drop: float = 0.012
    support: str | None = None
    walled: bool = False
    clear: float = 0.035


def pick(
    arm: Arm,
    scene: Scene,
    name: str,
    *,
    choice: int = 0,
    prefer: Preference | None = None,
    spot: Spot | None = None,
    lift: float = 0.10,
) -> Actions:
    """Grasp an object from above and lift it.

    Args:
        arm: The hand.
        scene: The scene.
        name: Which object.
        choice: Which of the planner's grasps, best first; wraps around.
        prefer: Extra cost of a grasp.
        spot: Where the object will go, for a grasp that leaves the hand room there.
        lift: How far up [m].

    Raises:
        StuckError: There is no grasp, or the object slipped.
    """
    for _ in range(_TRIES):
        grasps = plan_grasps(scene, name, choice + 1, prefer, None if spot is None else way_to(spot, scene, name))
        if not grasps:
            raise StuckError(f"no grasp of {name} is free of collisions")
        grasp = grasps[choice % len(grasps)]
        yield from _approach(arm, scene, grasp.position, grasp.rotation)
        start = scene.position(name)[2]
        yield from arm.hold(9, CLOSE)
        if arm.holding:
            break
    arm.phase = "lift"
    yield from arm.move(arm.position + [0, 0, lift], grasp.rotation, within=0.01, ticks=40, speed=0.5)
    rise = scene.position(name)[2] - start
    if rise < lift / 2:
        raise StuckError(f"{name} rose by {rise:.3f} m, not {lift:.3f} m: it slipped out of the fingers")


def way_to(spot: Spot, scene: Scene, name: str) -> Carry:
    """Return how an object comes to a spot from where it is."""
    start = np.append(scene.position(name)[:2], scene.bottom(name))
    return Carry(np.append(spot.centre, spot.surface + spot.drop) - start, spot.support)


def _approach(arm: Arm, scene: Scene, grip: np.ndarray, rotation: np.ndarray) -> Actions:
    arm.phase, arm.gripper = "reach", OPEN
    height = max(scene.height_along(arm.position, grip, 0.09) + _REACH_CLEARANCE, grip[2] + 0.07)
    if not _is_over(arm, grip):  # a hand that came this far already goes on downwards
        if arm.position[2] < height - 0.03:
            yield from arm.raise_to(height, within=0.02)
        yield from arm.move(np.array([grip[0], grip[1], height]), rotation, within=0.02, within_angle=0.15, ticks=70)
    yield from _descend(arm, grip, rotation)


def _descend(arm: Arm, grip: np.ndarray, rotation: np.ndarray) -> Actions:
    """Go straight down to the grip, around what disturbs it.

    A hand that drifted aside goes up again first, for low fingers would push the object. Fingers that closed on nothing open where
    they are; when they closed on something, that is the grasp.
    """

    def astray() -> bool:
        return bool(np.linalg.norm((arm.position - grip)[:2]) > _ASTRAY)

    arm.phase, arm.rotation_goal = "grasp", rotation
    for _ in range(_DESCENTS):
        if arm.closed:
            yield from arm.wait(until=lambda: arm.holding or not arm.closed)
            if arm.holding:
                return
        yield from arm.move(grip + [0, 0, 0.03], rotation, speed=0.7, until=lambda: arm.closed)
        yield from arm.move(grip, rotation, within=0.004, ticks=40, speed=0.4, until=lambda: astray() or arm.closed)
        if not (astray() or arm.closed):
            return
        if astray():
            yield from arm.raise_to(grip[2] + _REACH_CLEARANCE, within=0.01, ticks=20)


def _is_over(arm: Arm, grip: np.ndarray) -> bool:
    offset = arm.position - grip
    return bool(np.linalg.norm(offset[:2]) < _OVER and 0 < offset[2] < _REACH_CLEARANCE)


def place(arm: Arm, scene: Scene, name: str, spot: Spot) -> Actions:
    """Carry the held object over a spot, put it down, let go and draw back."""
    rotation = arm.rotation_goal
    arm.phase = "transport"
    over = scene.height_along(scene.position(name), np.append(spot.centre, 0.0), 0.10, without=(name,))
    height = max(over, spot.surface) + spot.clear + arm.position[2] - scene.bottom(name)
    yield from arm.raise_to(max(height, arm.position[2]), within=0.02, ticks=60)
    yield from arm.move(_hand_over(arm, scene, name, spot, height), rotation, within=0.012, within_angle=0.2, ticks=100, speed=0.8)
    for _ in range(2):  # the object may have turned in the fingers on the way
        yield from arm.move(_hand_over(arm, scene, name, spot, height), rotation, within_angle=0.1, ticks=25, speed=0.5)
    arm.phase = "place"
    yield from lower(arm, scene, name, spot)
    yield from let_go(arm)


def lower(arm: Arm, scene: Scene, name: str, spot: Spot) -> Actions:
    """Lower the held object onto its spot."""
    height = spot.surface + spot.drop + arm.position[2] - scene.bottom(name)
    goal = _hand_over(arm, scene, name, spot, height)

    def touches() -> bool:
        return spot.support is not None and scene.in_contact(name, spot.support)

    yield from arm.move(goal, within_angle=0.3, ticks=70, speed=0.5, until=touches)


def let_go(arm: Arm, rise: float = 0.10) -> Actions:
    """Open the fingers and draw back upwards [m]."""
    arm.phase = "release"
    yield from arm.hold(8, OPEN)
    arm.phase = "retreat"
    yield from arm.move(arm.position + [0, 0, rise], within=0.02, within_angle=9.0, ticks=40)
    yield from arm.hold(10)


def _hand_over(arm: Arm, scene: Scene, name: str, spot: Spot, height: float) -> np.ndarray:
    """Return where the hand must be for the held object's origin to be over the spot, (3,) [m]."""
    offset = (scene.position(name) - arm.position)[:2]
    return np.append(spot.centre - offset, height)
