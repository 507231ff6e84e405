"""Resizing as two matrices: a picture P becomes rows @ P @ columns, the arithmetic of `to_pixels` and of CLIP's `prepare`."""

import numpy as np

from dmpel_core.policy.sizes import CROP, PolicySizes

CUBIC = -0.5  # the cubic filter's slope parameter where a resizing library also smooths (Keys 1981)


def resizing(sizes: PolicySizes, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return `rows` (pixels, height) and `columns` (width, pixels) for pictures of one size.

    Pictures shrink by area averaging to the square that the policy keeps; a vision transformer then resizes that and crops.
    """
    rows, columns = area(height, sizes.pixels), area(width, sizes.pixels)
    if sizes.vision is not None:
        crop = cropped_bicubic(sizes.pixels, sizes.vision.pixels)
        rows, columns = crop @ rows, crop @ columns
    return np.ascontiguousarray(rows, np.float32), np.ascontiguousarray(columns.T, np.float32)


def area(given: int, wanted: int) -> np.ndarray:
    """Return the matrix (wanted, given) whose rows average the pixels that a wanted pixel touches."""
    matrix = np.zeros((wanted, given))
    for pixel in range(wanted):
        first, last = pixel * given // wanted, -(-(pixel + 1) * given // wanted)
        matrix[pixel, first:last] = 1 / (last - first)
    return matrix


def cropped_bicubic(given: int, wanted: int) -> np.ndarray:
    """Return the matrix (wanted, given) of CLIP's preparation: resized so that `wanted` is the middle 90 %, which is kept."""
    resized = int(wanted / CROP)
    top = round((resized - wanted) / 2)
    return bicubic(given, resized)[top : top + wanted]


def bicubic(given: int, wanted: int) -> np.ndarray:
    """Return the matrix (wanted, given) of bicubic resizing that smooths where it shrinks."""
    if given == wanted:
        return np.eye(given)
    scale = given / wanted
    reach = max(scale, 1.0)  # how far the filter is stretched
    centre = (np.arange(wanted) + 0.5) * scale
    weights = _cubic((np.arange(given) + 0.5 - centre[:, None]) / reach)
    return weights / weights.sum(1, keepdims=True)


def _cubic(x: np.ndarray) -> np.ndarray:
    """Return the cubic convolution filter, zero from 2 on."""
    x = np.abs(x)
    near = ((CUBIC + 2) * x - (CUBIC + 3)) * x * x + 1
    far = ((CUBIC * x - 5 * CUBIC) * x + 8 * CUBIC) * x - 4 * CUBIC
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))
