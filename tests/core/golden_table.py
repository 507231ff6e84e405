"""Errors on every golden array; `python -m tests.core.golden_table` prints the largest ones."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dmpel_core.errors import DmpelError
from tests.core.golden import case_paths, load_case
from tests.core.golden_outputs import outputs

TOLERANCE = 1e-4  # of the largest number of an array; the published policy ran in float32 on another machine
TOLERANCE_NLL = 1e-3  # absolute up to a likelihood of 10, beyond that as relative as the rest
INDEX, COEFFICIENT = "_topk_index", "_topk_coefficient"


def array_names(path: Path) -> list[str]:
    """Return the expected arrays of a case."""
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as stored:
        return [name for name in stored.files if not name.startswith("in_")]


def error_of(path: Path, name: str) -> float:
    """Return how far our array is from the published one: relative to its largest number; of the mean likelihood, absolute up to 10.

    Of top-k indices it is the number of experts that stand in one set and not in the other.

    Raises:
        DmpelError: This test does not know the array.
    """
    case, ours = load_case(path), outputs(path)
    expected, key = case.arrays[name], name.removesuffix(INDEX).removesuffix(COEFFICIENT) + "_topk"
    if name in ours:
        return relative(ours[name], expected) * (min(10.0, abs(float(expected))) if name == "out_train_nll" else 1.0)
    if key not in ours:
        raise DmpelError(f"golden case {case.name} has an array {name!r} that this test does not know")
    sparse = ours[key]  # (..., 6, experts), or (..., experts) for a shared router
    index = case.arrays[key.removesuffix("_topk") + INDEX]
    index = index.reshape(*sparse.shape[:-1], min(case.sizes.top_k, case.experts))
    if name.endswith(INDEX):
        chosen = np.zeros(sparse.shape, bool)
        np.put_along_axis(chosen, index, True, -1)
        return float((chosen != (sparse > 0)).sum())
    return relative(np.take_along_axis(sparse, index, -1), expected.reshape(index.shape))


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest error over the largest expected number; exact zeros must be met exactly."""
    if found.shape != expected.shape:
        raise DmpelError(f"shape {found.shape}, expected {expected.shape}")
    error = np.abs(found - expected).max()
    return float(error / np.abs(expected).max()) if error else 0.0


def limit_of(name: str) -> float:
    """Return the error that an array may have."""
    return 0.0 if name.endswith(INDEX) else TOLERANCE_NLL if name == "out_train_nll" else TOLERANCE


def lines() -> Iterator[str]:
    """Yield a table: for each case and kind of array, how many there are and the largest error."""
    yield f"{'case':16} {'arrays':40} {'count':>5} {'largest':>9} {'limit':>9}"
    for path in case_paths():
        kinds: dict[str, list[float]] = {}
        for name in array_names(path):
            kinds.setdefault(name.partition(".")[0], []).append(error_of(path, name))
        for kind, errors in kinds.items():
            yield f"{path.name:16} {kind:40} {len(errors):5} {max(errors):9.1e} {limit_of(kind):9.0e}"


if __name__ == "__main__":
    print("\n".join(lines()))
