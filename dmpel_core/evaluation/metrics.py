"""What lifelong learning is measured by: forward transfer, forgetting, and the area under the success curve.

The definitions are LIBERO's (Liu et al. 2023) with two choices that change the figures and are therefore named: success on a task
when it was learned is the diagonal of the success matrix, measured after coefficient replay, and not the best epoch of its
learning curve; and the last task, which nothing came after, has no term in the forgetting.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dmpel_core.errors import DmpelError


@dataclass(frozen=True)
class Metrics:
    """The figures of one run over a sequence of tasks, all success rates or differences of such.

    Attributes:
        fwt: Forward transfer: mean of the learning curves, each held at its best from its best epoch on.
        nbt: Negative backward transfer: mean loss of success on earlier tasks, 0 for a run of one task; below 0 where they improved.
        auc: Area under the success curve: each task while and after it is learned.
        final_success: Mean success on all tasks at the end.
    """

    fwt: float
    nbt: float
    auc: float
    final_success: float


def lifelong_metrics(success: Sequence[Sequence[float]], curves: Sequence[Sequence[float]]) -> Metrics:
    """Return the figures of a run.

    Args:
        success: Row i has the success rates in [0, 1] on tasks 0 to i after task i was learned; later columns are ignored where
            every row is as long as there are tasks.
        curves: Row k has the success rates on task k at the epochs of its own training, epoch 0 first, all of one length.

    Raises:
        DmpelError: The tables are empty, ragged, of different numbers of tasks, or hold something that is no success rate.
    """
    tasks = len(success)
    if tasks == 0 or len(curves) != tasks:
        raise DmpelError(f"{tasks} rows of success and {len(curves)} learning curves: expected one of each for every task learned")
    square = all(len(row) == tasks for row in success)
    matrix = [
        _rates(row[: index + 1] if square else row, f"row {index} of the success matrix", index + 1) for index, row in enumerate(success)
    ]
    forward = [_held_mean(_rates(curve, f"learning curve {index}", len(curves[0]))) for index, curve in enumerate(curves)]
    later = [[row[task] for row in matrix[task + 1 :]] for task in range(tasks)]  # success on a task after each later one
    lost = [matrix[task][task] - math.fsum(after) / len(after) for task, after in enumerate(later) if after]
    area = [(forward[task] + math.fsum(after)) / (1 + len(after)) for task, after in enumerate(later)]
    return Metrics(_mean(forward), _mean(lost) if lost else 0.0, _mean(area), _mean(matrix[-1]))


def _held_mean(curve: np.ndarray) -> float:
    """Return the mean of a learning curve that keeps its best value from the epoch that reached it first."""
    best = int(curve.argmax())
    return float(np.append(curve[:best], np.full(len(curve) - best, curve[best])).mean())


def _rates(row: Sequence[float], what: str, length: int) -> np.ndarray:
    """Return a row as an array of `length` success rates."""
    if len(row) != length or length == 0:
        raise DmpelError(f"{what} has {len(row)} numbers, expected {max(length, 1)}")
    try:
        rates = np.asarray(row, float)
    except (TypeError, ValueError) as error:
        raise DmpelError(f"{what} holds something that is no number: {error}") from error
    if rates.ndim != 1 or not ((rates >= 0) & (rates <= 1)).all():  # false for NaN too
        raise DmpelError(f"{what} holds {rates.tolist()}: success rates must lie between 0 and 1")
    return rates


def _mean(values: Sequence[float] | np.ndarray) -> float:
    return math.fsum(values) / len(values)
