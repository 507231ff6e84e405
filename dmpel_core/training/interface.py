"""What a library says about the policy it holds."""

from dmpel_core.experts.library import Module
from dmpel_core.policy.policy import Policy

OBSERVATION = {
    "cameras": {"agentview": [128, 128, 3], "eye_in_hand": [128, 128, 3]},
    "image_orientation": "upright",
    "joints": 7,
    "gripper": 2,
    "action": "OSC_POSE delta in [-1, 1] (0.05 m, 0.5 rad), then gripper (-1 open, +1 close)",
    "rate_hz": 20,
}


def library_modules(policy: Policy) -> list[Module]:
    """Return the adapted modules as a library lists them."""
    return [Module(m.name, m.group, m.inputs, m.outputs, m.rank) for m in policy.modules_adapted]
