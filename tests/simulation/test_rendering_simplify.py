"""Edge collapse on shapes whose right answer is known."""

import numpy as np

from dmpel_core.simulation.simplify import simplify


def _grid(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a flat square of side 1 with 2 (side - 1)^2 triangles that face up."""
    x, y = np.meshgrid(np.linspace(0, 1, side), np.linspace(0, 1, side), indexing="ij")
    vertices = np.column_stack([x.ravel(), y.ravel(), np.zeros(side * side)])
    corner = (np.arange(side - 1)[:, None] * side + np.arange(side - 1)).ravel()
    lower = np.column_stack([corner, corner + side, corner + side + 1])
    upper = np.column_stack([corner, corner + side + 1, corner + 1])
    return vertices, np.concatenate([lower, upper])


def _sphere(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a unit sphere as a grid of angles, its poles and its seam welded."""
    polar, round_ = np.meshgrid(np.linspace(0, np.pi, side), np.linspace(0, 2 * np.pi, side), indexing="ij")
    points = np.stack([np.sin(polar) * np.cos(round_), np.sin(polar) * np.sin(round_), np.cos(polar)], axis=-1).reshape(-1, 3)
    vertices, numbers = np.unique(points.round(9), axis=0, return_inverse=True)
    return vertices, numbers.ravel()[_grid(side)[1]]


def _areas(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Return the triangles' vector areas, (F, 3)."""
    corners = vertices[triangles]
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) / 2


def test_a_flat_square_stays_a_flat_square() -> None:
    vertices, triangles = _grid(21)
    reduced, kept = simplify(vertices, triangles, triangles, 40)
    areas = _areas(vertices, reduced)
    assert len(reduced) == len(kept) <= 40
    assert (areas[:, 2] > 0).all()  # none folded over
    np.testing.assert_allclose(areas[:, 2].sum(), 1)  # no border lost


def test_a_sphere_stays_round_and_closed() -> None:
    vertices, triangles = _sphere(33)
    reduced, _ = simplify(vertices, triangles, triangles, 300)
    areas = _areas(vertices, reduced)
    assert len(reduced) <= 300
    np.testing.assert_allclose(areas.sum(axis=0), 0, atol=1e-9)  # closed
    np.testing.assert_allclose(np.linalg.norm(areas, axis=1).sum(), 4 * np.pi, rtol=0.05)
    centres = vertices[reduced].mean(axis=1)
    assert np.linalg.norm(centres, axis=1).min() > 0.93


def test_a_seam_of_the_texture_stays_in_place() -> None:
    vertices, triangles = _grid(21)
    left = vertices[triangles].mean(axis=1)[:, 0] < 0.5
    charts = np.where(left[:, None], triangles, triangles + len(vertices))  # two charts that meet at x = 0.5
    reduced, kept = simplify(vertices, triangles, charts, 40)
    across = vertices[reduced][:, :, 0]
    assert (across[left[kept]] <= 0.5).all()
    assert (across[~left[kept]] >= 0.5).all()


def test_small_meshes_are_left_as_they_are() -> None:
    vertices, triangles = _grid(4)
    reduced, kept = simplify(vertices, triangles, triangles, 100)
    np.testing.assert_array_equal(reduced, triangles)
    np.testing.assert_array_equal(kept, np.arange(len(triangles)))


def test_it_stops_where_only_folding_is_left() -> None:
    vertices, triangles = _sphere(9)
    reduced, _ = simplify(vertices, triangles, triangles, 0)
    assert 0 < len(reduced) < len(triangles) or len(reduced) == 0
