"""How labels agree: the matrix of true against found phases, and what is read from it."""

from collections.abc import Iterator

import numpy as np

from dmpel_core.skills.vocabulary import PHASES


def confusion(true: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Count ticks by true phase (rows) and found phase (columns), (phases, phases)."""
    counts = np.zeros((len(PHASES), len(PHASES)), int)
    np.add.at(counts, (true, found), 1)
    return counts


def accuracy(counts: np.ndarray) -> float:
    """Return the share of ticks whose phase was found."""
    return float(np.trace(counts) / max(counts.sum(), 1))


def table(counts: np.ndarray) -> Iterator[str]:
    """Yield the lines of a matrix, without the phases that neither side knows."""
    used = [index for index in range(len(PHASES)) if counts[index].any() or counts[:, index].any()]
    yield f"{'true':>10} " + " ".join(f"{PHASES[index]:>9}" for index in used) + "    found"
    for row in used:
        ticks = counts[row].sum()
        share = f"{100 * counts[row, row] / ticks:.0f} %" if ticks else ""
        yield f"{PHASES[row]:>10} " + " ".join(f"{counts[row, column]:9}" for column in used) + f"{share:>9}"
