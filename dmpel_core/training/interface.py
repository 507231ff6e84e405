"""What a library says about the policy it holds."""

from dmpel_core.experts.library import Module
from dmpel_core.policy.policy import Policy

OBSERVATION = {
    "cameras": {"agentview": [128, 128, 3], "eye_in_hand": [128, 128, 3]},
    "image_orientation": "upright",
    "joints": 7,
    "gripper": 2,
    # Steps of the tool's pose in [-1, 1] along the base's axes, a full one meant to be so large; then the gripper, -1 open and +1 closed.
    "action": {"kind": "pose_delta", "frame": "base", "linear_m": 0.05, "angular_rad": 0.5},
    "rate_hz": 20,
}


def library_modules(policy: Policy) -> list[Module]:
    """Return the adapted modules as a library lists them."""
    return [Module(m.name, m.group, m.inputs, m.outputs, m.rank) for m in policy.modules_adapted]
