"""Put a mug into a microwave through its open front, held by the handle from there: from above there is no room for the hand."""

from dataclasses import dataclass

import numpy as np

from dmpel_core.simulation.expert.motion import CLOSE, OPEN, Actions, Arm
from dmpel_core.simulation.expert.rotations import about, down, facing
from dmpel_core.simulation.expert.scene import Scene
from dmpel_core.simulation.expert.skills.swing import find_hinge
from dmpel_core.simulation.expert.stuck import StuckError

_TILTS = (55, 65, 45)
"""How far the hand is tipped from looking down to looking into the chamber [deg]; attempts go through them.

A hand that is tipped further meets what stands behind it on the table; one tipped less, the upper edge of the front.
"""
_HANDLE, _DEPTH = 0.020, 0.008
"""How far the handle reaches from its outermost point at least, and how far from there the grip point is [m].

Deeper, the palm would press on the upper corner of the handle.
"""
_WIDEST = 0.06
"""Handles wider than this do not fit between the fingers [m]."""
_BEFORE, _OVER, _INSIDE = 0.03, 0.015, 0.012
"""How far a thing stops in front of the opening, how high over the floor it goes in, how far behind the door it ends [m]."""
_NEAR = 0.03
"""Walls and floor are looked for this near to the region's middle [m]."""
_PALM = 0.12
"""Half the width of the hand, and some room beside it [m]."""
_TRIES, _LEAST_RISE = 3, 0.01


@dataclass(frozen=True)
class Chamber:
    """The inside of a microwave.

    Attributes:
        out: From the inside through the open front, level, unit (3,).
        sill: Where the floor begins, in the middle between the side walls, (3,) [m].
        detour: How far sideways from there the hand must come to pass the far edge of the open door, (3,) [m]; zero if not at all.
    """

    out: np.ndarray
    sill: np.ndarray
    detour: np.ndarray


def find_chamber(scene: Scene, region: str) -> Chamber:
    """Find the chamber around a region from the solid parts; its front is where the door is when closed."""
    owner, centre = str(scene.site_owner(region)), scene.site_position(region)
    hinge = find_hinge(scene, owner)
    door = scene.geom_cloud(hinge.geoms).mean(axis=0) - hinge.anchor
    closed = hinge.anchor + about(hinge.axis, -scene.joint_position(hinge.joint)) @ door - centre
    sides = scene.rotation(owner)[:, :2].T
    nearest = int(np.abs(sides @ closed).argmax())
    out = sides[nearest] * np.sign(sides[nearest] @ closed)
    across = np.cross([0.0, 0.0, 1.0], out)
    solid = scene.geom_cloud(scene.geoms_of_body(scene.objects[owner])) - centre
    solid = solid[np.abs(solid @ out) < _NEAR]
    level = solid[np.abs(solid[:, 2]) < _NEAR] @ across
    sideways = float(level[level < 0].max() + level[level > 0].min()) / 2
    floor = solid[(np.abs(solid @ across - sideways) < _NEAR) & (solid[:, 2] < 0), 2].max()
    sill = centre + sideways * across + ((hinge.anchor - centre) @ out) * out + [0, 0, floor]
    away = across * np.sign((sill - hinge.anchor) @ across)
    past = float(((scene.geom_cloud(hinge.geoms) - sill) @ away).max()) + _PALM
    return Chamber(out, sill, away * max(0.0, past))


def insert(arm: Arm, scene: Scene, name: str, region: str, *, attempt: int = 0) -> Actions:
    """Grip a thing by the handle that it has towards the front, carry it in, put it down, let go and draw back.

    Args:
        arm: The hand.
        scene: The scene.
        name: Which object.
        region: The inside of something that has a door, which is open.
        attempt: Which of several ways to try: another tilt of the hand.

    Raises:
        StuckError: There is no handle on that side, or it slipped out of the fingers.
    """
    chamber = find_chamber(scene, region)
    rotation = facing(chamber.out, _TILTS[attempt % len(_TILTS)], across=True)
    for _ in range(_TRIES):
        yield from _grip(arm, _handle(scene, name, chamber.out), rotation)
        if arm.holding:
            break
    arm.phase, start = "lift", scene.bottom(name)
    yield from arm.raise_to(arm.position[2] + chamber.sill[2] + _OVER - start, within=0.01, ticks=40)
    if scene.bottom(name) - start < _LEAST_RISE:
        raise StuckError(f"{name} was not lifted by its handle: it slipped out of the fingers")
    arm.phase = "transport"
    outside = _BEFORE + float(np.ptp(scene.cloud(name) @ chamber.out))
    if chamber.detour.any():
        ahead = _hand_with(arm, scene, name, chamber, outside, _OVER) + chamber.detour
        here = ahead + ((arm.position - ahead) @ chamber.out) * chamber.out
        for point in (here, ahead):
            yield from arm.move(point, within=0.015, ticks=60, speed=0.8)
    for ticks in (100, 30):  # the object may have turned in the fingers on the way
        yield from arm.move(_hand_with(arm, scene, name, chamber, outside, _OVER), ticks=ticks, speed=0.6)
    arm.phase = "place"
    yield from arm.move(_hand_with(arm, scene, name, chamber, -_INSIDE, _OVER), ticks=80, speed=0.5)
    yield from arm.move(_hand_with(arm, scene, name, chamber, -_INSIDE, 0.0), ticks=30, speed=0.3)
    arm.phase = "release"
    yield from arm.hold(6, OPEN)
    arm.phase = "retreat"
    yield from arm.move(arm.position + chamber.out * 0.12, within=0.02, within_angle=9.0, ticks=40)
    yield from arm.raise_to(arm.position[2] + 0.2)
    arm.rotation_goal = down()


def _handle(scene: Scene, name: str, out: np.ndarray) -> np.ndarray:
    """Return the point to grip on the side that `out` (3,) points to, (3,) [m]."""
    cloud = scene.cloud(name)
    reach = cloud @ out
    handle = cloud[reach > reach.max() - _HANDLE]
    width = float(np.ptp(handle @ np.cross([0.0, 0.0, 1.0], out)))
    if width > _WIDEST:
        raise StuckError(f"{name} has no handle towards the front: what reaches furthest there is {width:.3f} m wide, over {_WIDEST} m")
    middle: np.ndarray = (handle.min(axis=0) + handle.max(axis=0)) / 2
    return middle + (reach.max() - _DEPTH - middle @ out) * out


def _grip(arm: Arm, grip: np.ndarray, rotation: np.ndarray) -> Actions:
    before = grip - rotation[:, 2] * 0.04
    arm.phase, arm.gripper = "reach", OPEN
    yield from arm.move(before + [0, 0, 0.10], rotation, within=0.02, within_angle=0.12, ticks=100)
    yield from arm.move(before, rotation, within=0.008, within_angle=0.08, ticks=50, speed=0.7)
    arm.phase = "grasp"
    yield from arm.move(grip, rotation, within=0.004, ticks=50, speed=0.25)
    yield from arm.hold(9, CLOSE)


def _hand_with(arm: Arm, scene: Scene, name: str, chamber: Chamber, reach: float, height: float) -> np.ndarray:
    """Return where the hand must be for the held thing to reach out of the front by `reach` and be `height` over the sill, (3,) [m]."""
    cloud, across = scene.cloud(name), np.cross([0.0, 0.0, 1.0], chamber.out)
    low, high = cloud.min(axis=0), cloud.max(axis=0)
    way = ((chamber.sill - (low + high) / 2) @ across) * across
    way += (chamber.sill @ chamber.out + reach - (cloud @ chamber.out).max()) * chamber.out
    way[2] = chamber.sill[2] + height - low[2]
    return arm.position + way
