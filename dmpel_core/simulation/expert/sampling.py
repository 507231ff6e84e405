"""Point clouds of collision geometry, the planner's only picture of the world."""

import mujoco
import numpy as np

SPACING = 0.006
"""Distance between neighbouring samples of a surface [m]: finer than half the thickness of a finger."""

_BOX_LIKE = {
    mujoco.mjtGeom.mjGEOM_BOX: lambda size: size.copy(),
    mujoco.mjtGeom.mjGEOM_CYLINDER: lambda size: np.array([size[0], size[0], size[1]]),
    mujoco.mjtGeom.mjGEOM_CAPSULE: lambda size: np.array([size[0], size[0], size[1] + size[0]]),
}

SAMPLED_TYPES = frozenset(int(kind) for kind in (*_BOX_LIKE, mujoco.mjtGeom.mjGEOM_MESH))
"""Geom types that `surface_points` knows."""


def surface_points(model: mujoco.MjModel, geom: int) -> np.ndarray:
    """Return points on the surface of one geom, in the frame of the geom.

    Args:
        model: The compiled scene.
        geom: Index of a geom whose type is one of `SAMPLED_TYPES`.

    Returns:
        Points, (n, 3) [m].
    """
    kind = mujoco.mjtGeom(model.geom_type[geom])
    if kind == mujoco.mjtGeom.mjGEOM_MESH:
        return _mesh_points(model, int(model.geom_dataid[geom]))
    half = _BOX_LIKE[kind](model.geom_size[geom])
    points = _box_points(half)
    if kind == mujoco.mjtGeom.mjGEOM_CYLINDER:
        points = points[np.linalg.norm(points[:, :2], axis=1) <= half[0] * 1.01]
    return points


def thinned(points: np.ndarray, cell: float) -> np.ndarray:
    """Return one point of (n, 3) per cubic cell of that edge [m]."""
    if not len(points):
        return points
    return points[np.unique(np.round(points / cell).astype(np.int64), axis=0, return_index=True)[1]]


def _box_points(half: np.ndarray) -> np.ndarray:
    axes = [np.linspace(-h, h, max(2, int(np.ceil(2 * h / SPACING)) + 1)) for h in half]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return grid[np.any(np.isclose(np.abs(grid), half), axis=1)]


def _mesh_points(model: mujoco.MjModel, mesh: int) -> np.ndarray:
    first_vertex, first_face = model.mesh_vertadr[mesh], model.mesh_faceadr[mesh]
    vertices = model.mesh_vert[first_vertex : first_vertex + model.mesh_vertnum[mesh]].astype(float)
    corners = vertices[model.mesh_face[first_face : first_face + model.mesh_facenum[mesh]]]
    edges = corners[:, 1:] - corners[:, :1]
    area = 0.5 * np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
    count = int(np.clip(area.sum() / SPACING**2, 60, 3000))
    rng = np.random.default_rng(0)  # the same mesh always gives the same cloud
    chosen = rng.choice(len(corners), count, p=area / area.sum())
    mix = rng.random((count, 2))
    mix[mix.sum(axis=1) > 1] = 1 - mix[mix.sum(axis=1) > 1]
    return corners[chosen, 0] + np.einsum("nk,nkd->nd", mix, edges[chosen])
