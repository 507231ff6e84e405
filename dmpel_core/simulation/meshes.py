"""Coarser visual meshes inside a compiled model.

Software rendering costs by the vertex, and at 128 pixels nobody sees the difference. Meshes that take part in contacts
are left alone, so physics does not change by a bit.
"""

import mujoco
import numpy as np

from dmpel_core.simulation.simplify import simplify

FACES_PER_MESH = 700


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
        if model.mesh_facenum[mesh] > faces:
            _reduce_mesh(model, mesh, faces)
        after += int(model.mesh_facenum[mesh])
    return before, after


def visual_meshes(model: mujoco.MjModel) -> list[int]:
    """Return the ids of the meshes that are drawn but never take part in a contact."""
    is_mesh = model.geom_type == mujoco.mjtGeom.mjGEOM_MESH
    touches = (model.geom_contype != 0) | (model.geom_conaffinity != 0)
    drawn = set(model.geom_dataid[is_mesh & ~touches].tolist())
    return sorted(drawn - set(model.geom_dataid[is_mesh & touches].tolist()))


def _reduce_mesh(model: mujoco.MjModel, mesh: int, faces: int) -> None:
    """Write a mesh's reduced faces over its first ones."""
    old = slice(int(model.mesh_faceadr[mesh]), int(model.mesh_faceadr[mesh] + model.mesh_facenum[mesh]))
    vertices = _part(model.mesh_vert, model.mesh_vertadr[mesh], model.mesh_vertnum[mesh])
    welded, first, inverse = np.unique(vertices, axis=0, return_index=True, return_inverse=True)  # MuJoCo splits them at corners
    owners = inverse.ravel()[model.mesh_face[old]]
    features = _corner_features(model, mesh, old)
    triangles, kept = simplify(welded.astype(np.float64), owners, _charts(owners, features), faces)
    corners = _matching_corners(features, owners.ravel(), triangles, kept)
    new = slice(old.start, old.start + len(kept))
    for array in (model.mesh_facenormal, model.mesh_facetexcoord):
        array[new] = array[old].reshape(-1)[corners]
    model.mesh_face[new] = first[triangles]
    model.mesh_facenum[mesh] = len(kept)


def _corner_features(model: mujoco.MjModel, mesh: int, faces: slice) -> np.ndarray:
    """Return normal and texture coordinates of every face corner, (3F, 3 or 5)."""
    normals = _part(model.mesh_normal, model.mesh_normaladr[mesh], model.mesh_normalnum[mesh])
    features = normals[model.mesh_facenormal[faces].ravel()]
    if model.mesh_texcoordadr[mesh] < 0:
        return features
    coordinates = _part(model.mesh_texcoord, model.mesh_texcoordadr[mesh], model.mesh_texcoordnum[mesh])
    return np.concatenate([0.2 * features, coordinates[model.mesh_facetexcoord[faces].ravel()]], axis=1)


def _charts(owners: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Number face corners so that two at one vertex get one number if their texture coordinates agree, (F, 3)."""
    coordinates = np.round(features[:, 3:], 4)
    _, numbers = np.unique(np.column_stack([owners.ravel(), coordinates]), axis=0, return_inverse=True)
    return numbers.reshape(owners.shape)


def _matching_corners(features: np.ndarray, owners: np.ndarray, triangles: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Choose, for each corner of the reduced mesh, which old corner's normal and texture coordinates it takes.

    A corner that moved to another vertex takes them from that vertex; where the vertex lies on a seam or a crease and
    has several, it takes those closest to its own, which belong to the same side.

    Args:
        features: Normal and texture coordinates of the old corners, (3F, n).
        owners: Vertex of each old corner, (3F,).
        triangles: Vertices of the reduced faces, (K, 3).
        kept: Which old faces the reduced ones were, (K,).

    Returns:
        Old corners, (K, 3).
    """
    order = np.argsort(owners, kind="stable")
    begins, ends = (np.searchsorted(owners[order], triangles.ravel(), side) for side in ("left", "right"))
    own = (3 * kept[:, None] + np.arange(3)).ravel()
    chosen = [
        order[begin + ((features[order[begin:end]] - features[corner]) ** 2).sum(axis=1).argmin()]
        for begin, end, corner in zip(begins, ends, own, strict=True)
    ]
    return np.array(chosen, dtype=np.int64).reshape(-1, 3)


def _part(array: np.ndarray, start: int, count: int) -> np.ndarray:
    """Return a mesh's rows of one of the model's arrays."""
    return array[int(start) : int(start) + int(count)]
