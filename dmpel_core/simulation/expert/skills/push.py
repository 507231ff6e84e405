"""Slide a flat object over the table: by gripping its rim, or by pressing closed fingers down inside it."""

import numpy as np

from dmpel_core.simulation.expert.grasps import FINGERTIP
from dmpel_core.simulation.expert.motion import CLOSE, Actions, Arm
from dmpel_core.simulation.expert.rotations import down
from dmpel_core.simulation.expert.scene import Scene
from dmpel_core.simulation.expert.skills.pick_place import Spot, let_go, lower, pick

_NEAR = 0.01
_GRIP_ROUNDS, _PRESS_ROUNDS = 4, 3


def push(arm: Arm, scene: Scene, name: str, target: np.ndarray, *, attempt: int = 0) -> Actions:
    """Slide an object until its origin is over `target` (2,) [m]; attempts alternate between gripping and pressing."""
    if attempt % 2 == 0:
        for number in range(_GRIP_ROUNDS):
            yield from _slide_gripped(arm, scene, name, target, attempt // 2 + number)
        return
    height = scene.table_height + FINGERTIP + (0.0065 if attempt % 4 == 1 else 0.004)
    for _ in range(_PRESS_ROUNDS):
        yield from _slide_pressed(arm, scene, name, target, height)


def _slide_gripped(arm: Arm, scene: Scene, name: str, target: np.ndarray, choice: int) -> Actions:
    origin = scene.position(name)[:2].copy()
    way = _unit(target - origin)

    def prefer(centre: np.ndarray, _yaw: float) -> float:
        return -12.0 * abs(float((centre - origin) @ way))  # the rim in front or behind, where pulling does not turn it

    yield from pick(arm, scene, name, choice=choice, prefer=prefer, lift=0.008, must_lift=False)
    arm.phase = "push"
    yield from arm.move(_over(arm, scene, name, target), within=0.012, within_angle=0.2, ticks=100, speed=0.25)
    for _ in range(2):
        yield from arm.move(_over(arm, scene, name, target), within_angle=0.1, ticks=25, speed=0.5)
    arm.phase = "place"
    yield from lower(arm, scene, name, Spot(target, scene.table_height, drop=0.001))
    yield from let_go(arm)


def _slide_pressed(arm: Arm, scene: Scene, name: str, target: np.ndarray, height: float) -> Actions:
    origin = scene.position(name)[:2]
    way = _unit(target - origin)
    start = origin + way * 0.015
    end = start + way * (np.linalg.norm(target - origin) + 0.03)
    arm.phase, arm.gripper = "reach", CLOSE
    yield from arm.raise_to(scene.table_height + 0.16)
    yield from arm.move(np.append(start, scene.table_height + 0.12), down(np.pi / 2), within=0.015, within_angle=0.1, ticks=90)
    yield from arm.move(np.append(start, height), within=0.003, within_angle=0.1, ticks=40, speed=0.4)
    arm.phase = "push"
    arrived = lambda: bool(np.linalg.norm(scene.position(name)[:2] - target) < _NEAR)  # noqa: E731
    yield from arm.move(np.append(end, height), within_angle=9.0, ticks=120, speed=0.25, until=arrived)
    arm.phase = "retreat"
    yield from arm.move(arm.position + [0, 0, 0.1], within=0.02, within_angle=9.0, ticks=40)


def _over(arm: Arm, scene: Scene, name: str, target: np.ndarray) -> np.ndarray:
    return np.append(target - (scene.position(name) - arm.position)[:2], arm.position[2])


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)
