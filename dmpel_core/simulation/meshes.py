"""Coarser visual meshes: software rendering costs by the vertex, and at 128 pixels nobody sees the difference.

Meshes are changed inside a compiled model: vertices that share a cell of a grid become one of them, and faces that
collapse are dropped. Meshes that take part in contacts are left alone, so physics does not change by a bit.
"""

import mujoco
import numpy as np

FACES_PER_MESH = 700  # keeps the mean difference of a 128 px picture below one grey level
_FIRST_CELL = 0.002  # [m]; finer than a pixel of either camera
_CELL_GROWTH = 1.2


def reduce_visual_meshes(model: mujoco.MjModel, faces: int = FACES_PER_MESH) -> tuple[int, int]:
    """Reduce every purely visual mesh of a model in place.

    Args:
        model: Compiled model.
        faces: Most faces to leave in a mesh.

    Returns:
        Number of faces of the visual meshes before and after.
    """
    before = after = 0
    for mesh in visual_meshes(model):
        before += int(model.mesh_facenum[mesh])
        _reduce_mesh(model, mesh, faces)
        after += int(model.mesh_facenum[mesh])
    return before, after


def visual_meshes(model: mujoco.MjModel) -> list[int]:
    """Return the ids of the meshes that are drawn but never take part in a contact."""
    is_mesh = model.geom_type == mujoco.mjtGeom.mjGEOM_MESH
    touches = (model.geom_contype != 0) | (model.geom_conaffinity != 0)
    drawn = set(model.geom_dataid[is_mesh & ~touches].tolist())
    return sorted(drawn - set(model.geom_dataid[is_mesh & touches].tolist()))


def cluster(vertices: np.ndarray, triangles: np.ndarray, faces: int) -> tuple[np.ndarray, np.ndarray]:
    """Merge vertices on ever coarser grids until few enough triangles are left.

    Args:
        vertices: Vertex positions, (V, 3) [m].
        triangles: Vertex indices, (F, 3).
        faces: Most triangles to leave.

    Returns:
        Kept triangles with merged vertices, (K, 3), and which of the old triangles they were, (K,).
    """
    cell = _FIRST_CELL
    while True:
        merged = _merge_vertices(vertices, cell)[triangles]  # (F, 3)
        kept = _distinct_triangles(merged)
        if len(kept) <= faces:
            return merged[kept], kept
        cell *= _CELL_GROWTH


def _merge_vertices(vertices: np.ndarray, cell: float) -> np.ndarray:
    """Return for each vertex the index of the vertex that stands for its grid cell, (V,)."""
    keys = np.floor(vertices / cell).astype(np.int64)
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return first[inverse.ravel()]


def _distinct_triangles(triangles: np.ndarray) -> np.ndarray:
    """Return the indices of triangles that kept three corners, one of each set of equals, in their old order."""
    a, b, c = triangles.T
    kept = np.flatnonzero((a != b) & (b != c) & (a != c))
    _, first = np.unique(np.sort(triangles[kept], axis=1), axis=0, return_index=True)
    return kept[np.sort(first)]


def _reduce_mesh(model: mujoco.MjModel, mesh: int, faces: int) -> None:
    """Write a mesh's reduced faces over its first ones; normals and texture coordinates stay those of the old corners."""
    count, start = int(model.mesh_facenum[mesh]), int(model.mesh_faceadr[mesh])
    if count <= faces:
        return
    corner = int(model.mesh_vertadr[mesh])
    vertices = model.mesh_vert[corner : corner + int(model.mesh_vertnum[mesh])]
    reduced, kept = cluster(vertices, model.mesh_face[start : start + count].copy(), faces)
    end = start + len(kept)
    model.mesh_face[start:end] = reduced
    for corners in (model.mesh_facenormal, model.mesh_facetexcoord):
        corners[start:end] = corners[start + kept]
    model.mesh_facenum[mesh] = len(kept)
