"""Honest figures from few episodes."""

import math

Z95 = 1.959964  # two-sided 95 % quantile of the normal distribution


def wilson_interval(successes: int, episodes: int) -> tuple[float, float]:
    """Return the 95 % score interval of a success rate (Wilson 1927), which stays honest at 0 and at all successes."""
    if episodes == 0:
        return 0.0, 1.0
    rate = successes / episodes
    centre = rate + Z95**2 / (2 * episodes)
    spread = Z95 * math.sqrt(rate * (1 - rate) / episodes + Z95**2 / (4 * episodes**2))
    scale = 1 + Z95**2 / episodes
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)
