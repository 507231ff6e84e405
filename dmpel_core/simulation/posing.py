"""Put the arm where its hand shall be, without moving it there."""

import mujoco
import numpy as np

from dmpel_core.simulation.environment import FINGERS, JOINTS, Environment
from dmpel_core.simulation.expert.rotations import rotation_vector

_ROUNDS, _NEAR, _NEAR_ANGLE = 25, 5e-4, 2e-3
_DAMPING, _LARGEST_STEP, _REST = 1e-4, 0.4, 0.3
_TOUCH = -0.003
"""Contacts deeper than this count as a collision [m]: at a grasp the fingers touch what they are to hold."""
_ROBOT = ("robot0", "gripper0", "mount0")


class Posing:
    """Poses the arm of one environment by inverse kinematics."""

    def __init__(self, environment: Environment) -> None:
        self._model, self._data = environment.model, environment.data
        self._site = self._model.site("gripper0_grip_site").id
        joints = [self._model.joint(name) for name in JOINTS]
        self._places, self._freedoms = ([int(getattr(joint, name)[0]) for joint in joints] for name in ("qposadr", "dofadr"))
        self._low, self._high = np.array([joint.range for joint in joints]).T
        self._fingers = [int(self._model.joint(name).qposadr[0]) for name in FINGERS]
        self._robot = np.array([self._model.body(int(body)).name.startswith(_ROBOT) for body in self._model.geom_bodyid])

    @property
    def hand(self) -> np.ndarray:
        """The grip point, (3,) [m]."""
        return self._data.site_xpos[self._site].copy()

    @property
    def joints(self) -> np.ndarray:
        """The arm's joints, (7,) [rad]."""
        return self._data.qpos[self._places].copy()

    def set_joints(self, joints: np.ndarray) -> None:
        """Set the arm's joints (7,) [rad], and with them the hand."""
        self._data.qpos[self._places] = joints
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)

    def set_fingers(self, opening: float) -> None:
        """Set the distance between the fingers [m]."""
        self._data.qpos[self._fingers] = opening / 2, -opening / 2

    def reach(self, position: np.ndarray, rotation: np.ndarray, rest: np.ndarray) -> bool:
        """Set the joints so that the hand has a pose; say whether that was possible.

        Damped least squares; what the pose leaves free keeps the arm near a posture.

        Args:
            position: Of the grip point, (3,) [m].
            rotation: Of the hand, (3, 3).
            rest: The posture, (7,) [rad].
        """
        model, data, joints = self._model, self._data, rest.copy()
        translations, rotations = np.zeros((3, model.nv)), np.zeros((3, model.nv))
        for _ in range(_ROUNDS):
            self.set_joints(joints)
            turn = rotation_vector(rotation @ data.site_xmat[self._site].reshape(3, 3).T)
            error = np.concatenate([position - self.hand, turn])
            if np.abs(error[:3]).max() < _NEAR and np.abs(turn).max() < _NEAR_ANGLE:
                return True
            mujoco.mj_jacSite(model, data, translations, rotations, self._site)
            jacobian = np.vstack([translations[:, self._freedoms], rotations[:, self._freedoms]])
            damped = jacobian @ jacobian.T + _DAMPING * np.eye(6)
            step = jacobian.T @ np.linalg.solve(damped, error)
            free = np.eye(7) - jacobian.T @ np.linalg.solve(damped, jacobian)
            joints = joints + np.clip(step, -_LARGEST_STEP, _LARGEST_STEP) + free @ (rest - joints) * _REST
            joints = np.clip(joints, self._low + 0.01, self._high - 0.01)
        return False

    def collides(self, held: int | None) -> bool:
        """Say whether the robot is inside of something other than the held body; positions must be up to date."""
        model, data = self._model, self._data
        for index in range(data.ncon):
            contact = data.contact[index]
            if contact.dist < _TOUCH and self._robot[contact.geom1] != self._robot[contact.geom2]:
                other = contact.geom2 if self._robot[contact.geom1] else contact.geom1
                if held is None or model.body_rootid[model.geom_bodyid[other]] != held:
                    return True
        return False
