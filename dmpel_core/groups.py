"""The module groups that the router gives coefficients to, in the order of its rows."""

GROUPS = ("image", "text", "proprioception", "fusion", "temporal", "head")
