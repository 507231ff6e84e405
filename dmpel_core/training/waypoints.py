"""Where the hand is when the gripper next opens or closes: a label that every demonstration carries.

The actions alone teach a small network to repeat the mean motion, for joints and history foretell most of the next action.
Where the hand will be at the next gripper event depends on where the objects are, so predicting it from the first tick on
teaches the image tower to look. The prediction is used in training only.
"""

import numpy as np

SCALE = 10.0  # displacements are predicted in decimetres


def waypoints(hand: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Return the displacement from each tick's hand to the hand at the next gripper event.

    Args:
        hand: Grip point, (length, 3) [m].
        actions: (length, 7), the gripper last.

    Returns:
        (length, 3) [dm]; after the last event, to where the demonstration ends.
    """
    closed = actions[:, -1] > 0
    events = np.append(np.flatnonzero(closed[1:] != closed[:-1]) + 1, len(actions) - 1)
    following = events[np.searchsorted(events, np.arange(len(actions)) + 1).clip(max=len(events) - 1)]
    return SCALE * (hand[following] - hand)
