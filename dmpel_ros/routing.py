"""Which experts of a generation acted, as the message on ~/routing: a row per module group, a column per expert, the row's entropy."""

import numpy as np
from std_msgs.msg import Float32MultiArray

from dmpel_core.groups import GROUPS
from dmpel_ros import messages

ENTROPY = "entropy [bits]"
"""Label of the last column."""


def entropy(coefficients: np.ndarray) -> np.ndarray:
    """Return how evenly each row is spread over the experts, (rows,) [bits]: 0 for one expert alone, log2(n) for n alike.

    Args:
        coefficients: (rows, experts), not negative; rows need not sum to 1, and one of zeros has entropy 0.
    """
    total = coefficients.sum(axis=1, keepdims=True)
    shares = coefficients / np.where(total > 0.0, total, 1.0)
    return -(shares * np.log2(np.where(shares > 0.0, shares, 1.0))).sum(axis=1)


def to_routing(coefficients: np.ndarray, experts: tuple[str, ...], generation: int) -> Float32MultiArray:
    """Return the message for coefficients, (6, experts), that a generation gave: a table (1, 6, experts + 1)."""
    rows = np.column_stack([coefficients, entropy(coefficients)])
    return messages.to_table(rows[None], (f"generation {generation}",), GROUPS, (*experts, ENTROPY))


def from_routing(message: Float32MultiArray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the coefficients, (6, experts), and the experts' names."""
    values, (_, _, columns) = messages.from_table(message)
    return values[0, :, :-1], columns[:-1]
