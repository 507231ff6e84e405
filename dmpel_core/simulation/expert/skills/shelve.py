"""Stand a book upright in a compartment of a desk caddy."""

import numpy as np

from dmpel_core.simulation.expert.grasps import Preference
from dmpel_core.simulation.expert.motion import Actions, Arm
from dmpel_core.simulation.expert.rotations import about, half_turn
from dmpel_core.simulation.expert.scene import Scene
from dmpel_core.simulation.expert.skills.pick_place import let_go, pick

_CADDY_HEIGHT = 0.17


def shelve(arm: Arm, scene: Scene, name: str, target: np.ndarray, *, attempt: int = 0) -> Actions:
    """Grasp the book, turn its thin side to the compartment, lower it over `target` (2,) [m] and let go."""
    yield from hold_over(arm, scene, name, target, attempt=attempt)
    arm.phase = "place"
    release = scene.table_height + 0.03 + arm.position[2] - scene.bottom(name)
    yield from arm.move(_centred(arm, scene, name, target, release), within_angle=0.3, ticks=70, speed=0.4)
    yield from let_go(arm, rise=0.12)


def hold_over(arm: Arm, scene: Scene, name: str, target: np.ndarray, *, attempt: int = 0, prefer: Preference | None = None) -> Actions:
    """Grasp the book, turn its thin side to a compartment and carry it over the compartment's middle, `target` (2,) [m]."""
    yield from pick(arm, scene, name, choice=attempt, prefer=prefer, lift=0.22)
    arm.phase = "transport"
    thin = scene.rotation(name)[:, 0]
    rotation = about(np.array([0.0, 0.0, 1.0]), half_turn(-np.arctan2(thin[1], thin[0]))) @ arm.rotation
    yield from arm.move(arm.position, rotation, within=0.02)
    height = scene.table_height + _CADDY_HEIGHT + 0.03 + arm.position[2] - scene.bottom(name)
    yield from arm.raise_to(height, within=0.02, ticks=60)
    yield from arm.move(_centred(arm, scene, name, target, height), within=0.02, within_angle=0.05, ticks=100, speed=0.8)
    for _ in range(2):
        yield from arm.move(_centred(arm, scene, name, target, height), within_angle=0.05, ticks=30, speed=0.8)


def _centred(arm: Arm, scene: Scene, name: str, target: np.ndarray, height: float) -> np.ndarray:
    """Return where the hand must be for the middle of the book, not its origin, to be over the target, (3,) [m]."""
    cloud = scene.cloud(name)[:, :2]
    middle = (cloud.min(axis=0) + cloud.max(axis=0)) / 2
    return np.append(target - (middle - arm.position[:2]), height)
