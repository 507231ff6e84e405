"""Where objects go: what a goal predicate asks for, as a place to put something down."""

import numpy as np

from dmpel_core.simulation.expert.scene import BINS, Scene
from dmpel_core.simulation.expert.skills.pick_place import Spot

_BURNER_HEIGHT = 0.025
"""The burner's plate stands this far above its region [m]."""
_TWO_ON_A_BURNER = (0.042, -0.045)
_BASKET_FLOOR = 0.02
_BIN_FLOOR, _OVER_THE_WALLS = 0.02, 0.06
"""A bin's floor above its origin, and how far above the floor a thing is let go, so that the fingers stay above the walls [m]."""
_NEARER = np.array([-0.03, -0.04])
"""From the middle of a compartment towards the arm, which can hardly reach farther [m]."""

Predicate = tuple[str, ...]


def spot_for(scene: Scene, goal: tuple[Predicate, ...], predicate: Predicate) -> Spot | None:
    """Return where a predicate `(on | in, object, object or region)` has an object put down.

    Args:
        scene: The scene as it is now.
        goal: All predicates of the task.
        predicate: The one in question.

    Returns:
        The spot, or None where more than picking and placing is needed, or nothing is known.
    """
    if len(predicate) != 3 or predicate[0] not in ("on", "in"):
        return None
    _, name, target = predicate
    if target in BINS:
        return _in_compartment(scene, name, target)
    if not scene.has_site(target):
        return _on_object(scene, target)
    owner = scene.site_owner(target)
    if owner is None:
        slides = name.startswith("plate") and "stove_front" in target
        return None if slides else Spot(scene.site_position(target)[:2], scene.table_height, drop=0.006)
    return _in_region(scene, goal, predicate, owner)


def _in_region(scene: Scene, goal: tuple[Predicate, ...], predicate: Predicate, owner: str) -> Spot | None:
    """Return the spot in a region that belongs to an object."""
    target = predicate[2]
    centre = scene.site_position(target)
    if target.endswith("_cook_region"):
        return _on_burner(centre, goal, predicate, owner)
    if "basket" in owner:
        return Spot(centre[:2], scene.bottom(owner) + _BASKET_FLOOR, drop=0.02, walled=True)
    if "wine_rack" in owner:
        return Spot(centre[:2], centre[2], drop=0.003)
    if "desk_caddy" in owner or target.endswith("_heating_region") or ("cabinet" in owner and not target.endswith("_top_side")):
        return None
    return Spot(centre[:2], centre[2], drop=0.008, support=owner)


def _on_object(scene: Scene, support: str) -> Spot:
    centre = scene.position(support)[:2]
    cloud = scene.cloud(support)
    under = cloud[np.linalg.norm(cloud[:, :2] - centre, axis=1) < 0.03]
    return Spot(centre, float(under[:, 2].max()), drop=0.004, support=support)


def _in_compartment(scene: Scene, name: str, target: str) -> Spot:
    """Return the spot in the compartment of a bin where the pale copy of an object stands, which shows where it belongs."""
    centre = scene.position(f"Visual{name}")[:2] + _NEARER
    return Spot(centre, scene.position(target)[2] + _BIN_FLOOR, drop=_OVER_THE_WALLS, walled=True)


def _on_burner(centre: np.ndarray, goal: tuple[Predicate, ...], predicate: Predicate, owner: str) -> Spot:
    sharing = [other[1] for other in goal if other[0] == "on" and other[2] == predicate[2]]
    if len(sharing) > 1:
        centre[0] += _TWO_ON_A_BURNER[min(sharing.index(predicate[1]), 1)]
    return Spot(centre[:2], centre[2] + _BURNER_HEIGHT, drop=0.008, support=owner)
