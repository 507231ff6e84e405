"""Where the tool of a serial arm is, and which joint motion moves it by a small step.

Plain numpy on Denavit-Hartenberg parameters, so that the node needs neither a robot description nor a kinematics
library to know whether the tool stays inside its box. Nothing here knows ROS or a policy.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dmpel_core.errors import DmpelError

DAMPING = 0.05
"""Damping of the inverse [m, rad]: bounds the joints' motion near a singularity at the price of a slower tool."""


@dataclass(frozen=True)
class Chain:
    """A serial arm of revolute joints.

    Attributes:
        rows: (joints, 3): a [m], d [m] and alpha [rad] of each joint in the modified convention (Craig, Introduction to Robotics).
        tool: Tool's centre in the last joint's frame, (3,) [m].
    """

    rows: np.ndarray
    tool: np.ndarray

    @classmethod
    def from_parameters(cls, dh: Sequence[float], tool: Sequence[float], joints: int) -> "Chain":
        """Return the chain that two flat lists describe.

        Raises:
            DmpelError: They do not fit the number of joints.
        """
        if len(dh) != 3 * joints or len(tool) != 3:
            raise DmpelError(
                f"the arm has {joints} joints, so 'dh' needs {3 * joints} numbers and 'tool' 3; they have {len(dh)} and {len(tool)}"
            )
        return cls(np.asarray(dh, np.float64).reshape(joints, 3), np.asarray(tool, np.float64))

    def _frames(self, joints: np.ndarray) -> list[np.ndarray]:
        """Return the pose of every joint's frame in the base, each (4, 4)."""
        pose, frames = np.eye(4), []
        for (a, d, alpha), angle in zip(self.rows, joints, strict=True):
            ca, sa, c, s = np.cos(alpha), np.sin(alpha), np.cos(angle), np.sin(angle)
            pose = pose @ np.array([[c, -s, 0, a], [s * ca, c * ca, -sa, -d * sa], [s * sa, c * sa, ca, d * ca], [0, 0, 0, 1]])
            frames.append(pose)
        return frames

    def position(self, joints: np.ndarray) -> np.ndarray:
        """Return the tool's centre in the base frame, (3,) [m], at joint positions (joints,) [rad]."""
        last = self._frames(joints)[-1]
        return last[:3, :3] @ self.tool + last[:3, 3]

    def orientation(self, joints: np.ndarray) -> np.ndarray:
        """Return the axes of the last joint's frame in the base frame, the columns of (3, 3), at joint positions (joints,) [rad]."""
        return self._frames(joints)[-1][:3, :3]

    def motion(self, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """Return how the tool moves from joint positions `start` to `end`, (joints,) [rad] each, in the base frame.

        Returns:
            (6,): the way of its centre [m], then axis times angle of its turn [rad].
        """
        way = self.position(end) - self.position(start)
        return np.append(way, axis_angle(self.orientation(end) @ self.orientation(start).T))

    def jacobian(self, joints: np.ndarray) -> np.ndarray:
        """Return (6, joints): the tool's linear [m/rad] and angular motion in the base frame by each joint."""
        frames = self._frames(joints)
        tool = frames[-1][:3, :3] @ self.tool + frames[-1][:3, 3]
        axes = np.array([frame[:3, 2] for frame in frames])
        arms = tool - np.array([frame[:3, 3] for frame in frames])
        return np.concatenate([np.cross(axes, arms), axes], axis=1).T

    def joint_step(self, joints: np.ndarray, step: np.ndarray) -> np.ndarray:
        """Return the joint motion, (joints,) [rad], whose tool motion is nearest to `step`.

        Args:
            joints: Where the arm is, (joints,) [rad].
            step: Linear [m] and angular [rad] motion in the base frame, (6,).
        """
        jacobian = self.jacobian(joints)
        return jacobian.T @ np.linalg.solve(jacobian @ jacobian.T + DAMPING**2 * np.eye(6), step)


def axis_angle(rotation: np.ndarray) -> np.ndarray:
    """Return axis times angle, (3,) [rad], of a rotation matrix, (3, 3); by way of a quaternion, which is stable near half a turn too."""
    # The quaternion w x y z is the eigenvector to the largest eigenvalue (Bar-Itzhack, 2000).
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation
    matrix = np.array(
        [
            [xx + yy + zz, zy - yz, xz - zx, yx - xy],
            [zy - yz, xx - yy - zz, xy + yx, xz + zx],
            [xz - zx, xy + yx, yy - xx - zz, yz + zy],
            [yx - xy, xz + zx, yz + zy, zz - xx - yy],
        ]
    )
    quaternion = np.linalg.eigh(matrix)[1][:, -1]
    quaternion = quaternion if quaternion[0] >= 0.0 else -quaternion
    sine = float(np.linalg.norm(quaternion[1:]))
    return quaternion[1:] * (2.0 * np.arctan2(sine, quaternion[0]) / max(sine, 1e-12))
