"""Demonstrations in memory, and the sequences that training draws from them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from dmpel_core.errors import DmpelError


@dataclass(frozen=True)
class Sequences:
    """A batch of `window` consecutive ticks with the chunk of actions that follows each.

    Attributes:
        index: (batch, window), rows of the frames among all frames.
        actions: (batch, window, chunk, 7).
        valid: (batch, window, chunk), 1 where tick and action count: where they exist, and past the end where padding counts.
    """

    index: Tensor
    actions: Tensor
    valid: Tensor

    def to(self, device: torch.device) -> "Sequences":
        """Return the actions and what is valid on another device; the rows of the frames stay on the processor."""
        return Sequences(self.index, self.actions.to(device), self.valid.to(device))


def stack_floats(arrays: Sequence[np.ndarray]) -> Tensor:
    """Concatenate arrays along time as float32."""
    return torch.from_numpy(np.concatenate(arrays).astype(np.float32))


class Timeline:
    """Where each demonstration starts and ends among the frames of all, laid end to end."""

    def __init__(self, actions: Sequence[np.ndarray]) -> None:
        """Lay the actions of each demonstration, (length, 7), end to end."""
        self.lengths = np.array([len(part) for part in actions])
        if len(self.lengths) == 0 or self.lengths.min() < 1:
            raise DmpelError(f"training needs at least one demonstration of at least one frame, found lengths {self.lengths.tolist()}")
        ends = self.lengths.cumsum()
        self.last = np.repeat(ends - 1, self.lengths)  # last frame of each frame's own demonstration
        self.first = np.repeat(ends - self.lengths, self.lengths)
        self.actions = stack_floats(actions)

    def __len__(self) -> int:
        return len(self.last)

    def draw(self, rng: np.random.Generator, among: np.ndarray, count: int, window: int) -> np.ndarray:
        """Draw first frames of windows around some of the frames `among`, that fill the demonstration where it is long enough.

        A window may begin up to `window - 1` ticks early and is then moved in, so that a demonstration's first and last
        frames are drawn as often as those in its middle.
        """
        frame = among[rng.integers(len(among), size=count)]
        first, last = self.first[frame], self.last[frame]
        early = frame - rng.integers(window, size=count)
        return np.maximum(first, np.minimum(early, last - window + 1))

    def batch(self, rng: np.random.Generator, among: np.ndarray, shape: tuple[int, int], chunk: int, padding: str = "masked") -> Sequences:
        """Draw sequences for training.

        Args:
            rng: Source of chance.
            among: Frames to draw from, those of whole demonstrations.
            shape: How many sequences, and of how many ticks.
            chunk: Actions that follow each tick.
            padding: See `dmpel_core.training.settings.PretrainSettings`.
        """
        rows, window = shape
        if padding == "masked":
            return self.sequences(self.draw(rng, among, rows, window), window, chunk)
        drawn = self.sequences(among[rng.integers(len(among), size=rows)], window, chunk)
        return replace(drawn, valid=torch.ones_like(drawn.valid))

    def sequences(self, starts: np.ndarray, window: int, chunk: int) -> Sequences:
        """Return the sequences that begin at these frames; past the end the last frame is repeated and not valid."""
        last = self.last[starts][:, None]
        wanted = starts[:, None] + np.arange(window + chunk - 1)  # (batch, window + chunk - 1)
        index = torch.from_numpy(np.minimum(wanted, last))
        exists = torch.from_numpy((wanted <= last).astype(np.float32))
        actions = self.actions[index].unfold(1, chunk, 1).transpose(2, 3)  # (batch, window, chunk, 7)
        valid = exists.unfold(1, chunk, 1) * exists[:, :window, None]
        return Sequences(index[:, :window], actions, valid)
