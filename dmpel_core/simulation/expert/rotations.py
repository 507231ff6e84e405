"""The few rotations that the expert needs."""

import mujoco
import numpy as np

DOWNWARDS = np.array([0.0, 0.0, -1.0])
DOWN = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
"""Hand looking straight down: the fingers close along its x axis (world y), it approaches along its z axis (world -z)."""


def about(axis: np.ndarray, angle: float) -> np.ndarray:
    """Return the rotation by `angle` [rad] about a unit `axis` (3,), as a (3, 3) matrix."""
    quaternion, matrix = np.zeros(4), np.zeros(9)
    mujoco.mju_axisAngle2Quat(quaternion, np.asarray(axis, dtype=float), angle)
    mujoco.mju_quat2Mat(matrix, quaternion)
    return matrix.reshape(3, 3)


def down(yaw: float = 0.0) -> np.ndarray:
    """Return the hand looking down, turned by `yaw` [rad] about the vertical, as a (3, 3) matrix."""
    return about(np.array([0.0, 0.0, 1.0]), yaw) @ DOWN


def rotation_vector(matrix: np.ndarray) -> np.ndarray:
    """Return axis times angle [rad], (3,), of a (3, 3) rotation matrix; the angle is at most pi."""
    quaternion, vector = np.zeros(4), np.zeros(3)
    mujoco.mju_mat2Quat(quaternion, np.ascontiguousarray(matrix).ravel())
    mujoco.mju_quat2Vel(vector, quaternion, 1.0)
    return vector


def half_turn(angle: float) -> float:
    """Return the angle in [-pi/2, pi/2) that differs from `angle` by half turns: a gripper is the same either way round."""
    return (angle + np.pi / 2) % np.pi - np.pi / 2


def facing(out: np.ndarray, tilt: float, *, across: bool) -> np.ndarray:
    """Return the hand tipped by `tilt` [deg] from looking down to looking against `out`, its fingers closing along or across it."""
    quarter = 0.0 if across else np.pi / 2
    yaw = half_turn(np.arctan2(out[1], out[0]) - quarter)
    axis = np.cross(DOWNWARDS, -out)
    return about(axis / np.linalg.norm(axis), np.deg2rad(tilt)) @ down(yaw)


def across(pointing: np.ndarray, angle: float) -> np.ndarray:
    """Return the unit vector (3,) across a direction (3,) that is at an angle [rad] about it; x at 0 and y at a quarter for downwards."""
    level = np.array([np.cos(angle), np.sin(angle), 0.0])
    axis = np.cross(DOWNWARDS, pointing)
    sine = float(np.linalg.norm(axis))
    return level if sine < 1e-9 else about(axis / sine, float(np.arctan2(sine, DOWNWARDS @ pointing))) @ level
