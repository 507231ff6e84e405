"""The module groups that the router gives coefficients to, in the order of its rows."""

GROUPS = ("image", "text", "proprioception", "fusion", "temporal", "head")

WITH_BIAS = ("proprioception", "fusion", "head")
"""Groups whose layers get an expert's bias, where experts have biases."""
