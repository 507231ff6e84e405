"""What the arm sees and feels at one tick."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Observation:
    """One tick's input to the policy.

    Attributes:
        agentview: Picture of the fixed camera, uint8, (height, width, 3), RGB, row 0 at the top.
        eye_in_hand: Picture of the wrist camera, same layout.
        joints: Arm joint positions, (7,) [rad].
        gripper: Finger joint positions, (2,) [m].
    """

    agentview: np.ndarray
    eye_in_hand: np.ndarray
    joints: np.ndarray
    gripper: np.ndarray
