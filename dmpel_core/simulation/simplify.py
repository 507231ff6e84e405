"""Fewer triangles for the same shape: edges collapse in order of the error they make (quadric error metric).

Knows only arrays. An edge collapses into one of its two ends, so every vertex left is an old one and keeps its normal
and texture coordinates. Many edges collapse per round, chosen so that no vertex takes part in two; a mesh of 40,000
triangles takes about a second.
"""

import numpy as np

VERSION = 1  # raised when the same mesh comes out otherwise; part of the name of cached models
_SHORT_EDGES_FIRST = 1e-4  # weight of the edge length, which decides where the surface is flat and the error zero
_BORDER = 10.0  # weight of borders and texture seams against faces
_SMALLEST_COSINE = 0.2  # a collapse may turn a neighbouring triangle by at most 78 degrees


def simplify(vertices: np.ndarray, triangles: np.ndarray, charts: np.ndarray, faces: int) -> tuple[np.ndarray, np.ndarray]:
    """Collapse edges until few enough triangles are left, or no edge can go without folding the surface.

    Args:
        vertices: Vertex positions, each once, (V, 3) [m].
        triangles: Vertex indices, (F, 3).
        charts: The same corners numbered so that two at one vertex differ where the texture has a seam, (F, 3); seams
            are kept in place as borders are, else a triangle across one would show the texture's gap.
        faces: Most triangles to leave.

    Returns:
        The triangles left, (K, 3), and which of the old ones they were, (K,).
    """
    kept = np.flatnonzero(_whole(triangles))
    triangles = triangles[kept].astype(np.int64)
    quadrics = _quadrics(vertices, triangles, charts[kept])
    folding = np.zeros(0, np.int64)  # keys of directed edges whose collapse would fold the surface
    while len(triangles) > faces:
        sources, targets = _cheapest_collapses(vertices, quadrics, triangles, folding)
        wanted = max(1, (len(triangles) - faces + 1) // 2)  # a collapse takes two triangles away
        sources, targets = sources[:wanted], targets[:wanted]
        folds = _folds(vertices, triangles, sources, targets)
        folding = np.concatenate([folding, sources[folds] * len(vertices) + targets[folds]])
        sources, targets = sources[~folds], targets[~folds]
        if not len(sources) and not folds.any():
            break
        quadrics[targets] += quadrics[sources]
        moved = np.arange(len(vertices))
        moved[sources] = targets
        whole = _whole(moved[triangles])
        triangles, kept = moved[triangles][whole], kept[whole]
    return triangles, kept


def _whole(triangles: np.ndarray) -> np.ndarray:
    """Return which triangles have three different corners, (F,) bool."""
    a, b, c = triangles.T
    return (a != b) & (b != c) & (a != c)


def _edges(triangles: np.ndarray) -> np.ndarray:
    """Return the directed edges of the triangles, three after three, (3F, 2)."""
    return triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)


def _border_edges(charts: np.ndarray) -> np.ndarray:
    """Return which directed edges belong to one triangle of their chart only: open borders and seams, rows into `_edges`."""
    pairs = np.sort(_edges(charts), axis=1)
    _, first, shared = np.unique(pairs[:, 0] * (charts.max() + 1) + pairs[:, 1], return_index=True, return_counts=True)
    return first[shared == 1]


def _quadrics(vertices: np.ndarray, triangles: np.ndarray, charts: np.ndarray) -> np.ndarray:
    """Return for each vertex the sum of squared-distance forms to its triangles' planes and its borders, (V, 4, 4)."""
    normals = _normals(vertices, triangles)
    quadrics = np.zeros((len(vertices), 4, 4))
    for corner in triangles.T:
        np.add.at(quadrics, corner, _planes(normals, vertices[corner]))
    rows = _border_edges(charts)
    begins, ends = _edges(triangles)[rows].T
    along = vertices[ends] - vertices[begins]
    upright = np.cross(along, normals[rows // 3])  # of a plane through the edge, across the triangle
    upright *= _BORDER * ((along**2).sum(axis=1) / np.maximum(np.linalg.norm(upright, axis=1), 1e-30))[:, None]
    for corner in (begins, ends):
        np.add.at(quadrics, corner, _planes(upright, vertices[begins]))
    return quadrics


def _planes(normals: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the forms x -> weight * distance(x, plane)^2 in homogeneous coordinates; a normal's length is its weight."""
    weight = np.linalg.norm(normals, axis=1, keepdims=True)
    unit = normals / np.maximum(weight, 1e-30)
    plane = np.concatenate([unit, -(unit * points).sum(axis=1, keepdims=True)], axis=1)  # (n, 4)
    return weight[:, :, None] * plane[:, :, None] * plane[:, None, :]


def _cheapest_collapses(
    vertices: np.ndarray, quadrics: np.ndarray, triangles: np.ndarray, folding: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return collapses (source vertex, target vertex), cheapest first, each the cheapest at both its ends."""
    edges = _edges(triangles)
    keys = np.unique(np.concatenate([edges, edges[:, ::-1]]) @ [len(vertices), 1])
    keys = keys[~np.isin(keys, folding)]
    sources, targets = keys // len(vertices), keys % len(vertices)
    place = np.concatenate([vertices[targets], np.ones((len(targets), 1))], axis=1)  # (n, 4)
    error = np.einsum("ni,nij,nj->n", place, quadrics[sources] + quadrics[targets], place)
    length = ((vertices[sources] - vertices[targets]) ** 2).sum(axis=1)
    order = np.argsort(error + _SHORT_EDGES_FIRST * length**2, kind="stable")
    sources, targets = sources[order], targets[order]
    rank = np.arange(len(order))
    best = np.full(len(vertices), len(order))
    np.minimum.at(best, sources, rank)
    np.minimum.at(best, targets, rank)
    chosen = (best[sources] == rank) & (best[targets] == rank)
    return sources[chosen], targets[chosen]


def _folds(vertices: np.ndarray, triangles: np.ndarray, sources: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return which collapses would turn a surviving triangle too far, (n,) bool."""
    moved, collapse = np.arange(len(vertices)), np.full(len(vertices), -1)
    moved[sources], collapse[sources] = targets, np.arange(len(sources))
    touched = triangles[(collapse[triangles] >= 0).any(axis=1)]
    touched = touched[_whole(moved[touched])]
    before, after = _normals(vertices, touched), _normals(vertices, moved[touched])
    lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    turned = (before * after).sum(axis=1) <= _SMALLEST_COSINE * lengths
    guilty = collapse[touched[turned]]
    folds = np.zeros(len(sources), bool)
    folds[guilty[guilty >= 0]] = True
    return folds


def _normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Return the triangles' normals, as long as twice their areas, (F, 3)."""
    corners = vertices[triangles]
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
