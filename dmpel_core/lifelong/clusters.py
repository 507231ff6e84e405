"""Clusters of features: k-means, and segments of a demonstration."""

from itertools import pairwise

import numpy as np

PASSES = 50


def k_means(points: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return the centres (at most count, width) of points (n, width).

    Lloyd's algorithm from points that are far apart (Arthur and Vassilvitskii 2007).
    """
    rng = np.random.default_rng(seed)
    centres = points[rng.integers(len(points))][None]
    while len(centres) < min(count, len(points)):
        distance = squared_distances(points, centres).min(1)
        if distance.sum() == 0:  # fewer different points than centres
            break
        centres = np.vstack([centres, points[rng.choice(len(points), p=distance / distance.sum())]])
    for _ in range(PASSES):
        nearest = squared_distances(points, centres).argmin(1)
        moved = np.stack([points[nearest == k].mean(0) if (nearest == k).any() else centre for k, centre in enumerate(centres)])
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres


def squared_distances(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return (points, centres)."""
    return np.maximum((points**2).sum(1)[:, None] - 2 * points @ centres.T + (centres**2).sum(1), 0)


def segments(features: np.ndarray, shortest: int) -> list[tuple[int, int]]:
    """Cut one demonstration into segments by merging neighbours, the most alike first, until none is too short.

    Args:
        features: (ticks, width).
        shortest: Ticks that a segment has at least, where the demonstration is that long.

    Returns:
        First and one past the last tick of each.
    """
    bounds = list(range(0, len(features), max(1, shortest // 3))) + [len(features)]
    while len(bounds) > 2:
        lengths = np.diff(bounds)
        means = np.stack([features[first:end].mean(0) for first, end in pairwise(bounds)])
        gaps = np.linalg.norm(means[1:] - means[:-1], axis=1)  # gap i is between segments i and i + 1
        short = (lengths[:-1] < shortest) | (lengths[1:] < shortest)
        if not short.any():
            break
        del bounds[1 + int(np.where(short, gaps, np.inf).argmin())]
    return list(pairwise(bounds))
