"""Put an object into a drawer, which is opened first where it is shut."""

import numpy as np

from dmpel_core.simulation.expert.grasps import Preference
from dmpel_core.simulation.expert.motion import Actions, Arm
from dmpel_core.simulation.expert.scene import Scene
from dmpel_core.simulation.expert.skills.drawers import WIDE_OPEN, Drawer, find_drawer, open_drawer
from dmpel_core.simulation.expert.skills.pick_place import Spot, pick, place

_SHIFTS = (0.020, 0.025, 0.016, 0.030)
"""Lower drawers come out from under the ones above: aim this far outwards of the middle [m]; attempts go through them."""
_PULLED_TOP, _PULLED_LOWER = 0.13, 0.15
"""How far a drawer is pulled for something to go in [m]: no further than needed at the top, where it is in the hand's way."""
_CLEAR = 0.06
"""How far above the front of a top drawer an object is carried in [m]: one that touches it pushes the drawer shut."""
_BESIDE = 0.18
"""An object that is nearer than this to the middle of an open drawer, sideways, may hit it [m]."""
_TURNED = 3.0
"""Cost of a hand across the cabinet's front, which does not fit between a lower drawer and the one above."""


def put_into_drawer(arm: Arm, scene: Scene, name: str, region: str, *, attempt: int = 0) -> Actions:
    """Open the drawer around a region if it is not open, and put an object in.

    Raises:
        StuckError: The handle or the object slipped out of the fingers.
    """
    drawer = find_drawer(scene, region)
    if drawer.pulled(scene) < WIDE_OPEN:
        yield from open_drawer(arm, scene, region, attempt=attempt, distance=pull_for(region))
    yield from pick(arm, scene, name, choice=attempt, prefer=preference(drawer, region))
    yield from _come_from_under(arm, scene, name, scene.site_position(region), drawer.out[:2])
    yield from place(arm, scene, name, spot_in_drawer(scene, drawer, region, attempt))


def pull_for(region: str) -> float:
    """Return how far a drawer is pulled for something to go in [m]."""
    return _PULLED_LOWER if _is_lower(region) else _PULLED_TOP


def spot_in_drawer(scene: Scene, drawer: Drawer, region: str, attempt: int = 0) -> Spot:
    """Return where an object is let go over an open drawer."""
    centre = scene.site_position(region)
    shift, clear = (drawer.out[:2] * _SHIFTS[attempt % len(_SHIFTS)], Spot.clear) if _is_lower(region) else (np.zeros(2), _CLEAR)
    return Spot(centre[:2] + shift, centre[2] - 0.03, drop=0.03, walled=True, clear=clear)


def preference(drawer: Drawer, region: str) -> Preference | None:
    """Return what grasps cost for a drawer: over a lower one the hand's long side must be parallel to the cabinet's front."""

    def across_the_front(_centre: np.ndarray, yaw: float) -> float:
        side = np.array([-np.sin(yaw), np.cos(yaw)])
        return _TURNED * abs(float(side @ drawer.out[:2]))

    return across_the_front if _is_lower(region) else None


def _is_lower(region: str) -> bool:
    return "_top_" not in region


def _come_from_under(arm: Arm, scene: Scene, name: str, centre: np.ndarray, out: np.ndarray) -> Actions:
    """Move a lifted object sideways from an open drawer above it, which it would hit on its way up; `centre` (3,), `out` (2,)."""
    across = np.array([-out[1], out[0]])
    aside = float((scene.position(name) - centre)[:2] @ across)
    if scene.position(name)[2] < centre[2] and abs(aside) < _BESIDE:
        step = (np.copysign(_BESIDE, aside) - aside) * across
        yield from arm.move(arm.position + np.append(step, 0.0), within=0.015, within_angle=0.3, ticks=40, speed=0.6)
