"""Episodes as MP4: the camera's picture beside the coefficients of the six module groups, with what is asked and how it ends."""

from collections.abc import Sequence
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dmpel_core.groups import GROUPS
from dmpel_ros.evaluator import Frame, Outcome

PICTURE = 384
"""Width and height of the picture in the film [pixels], three times the camera's."""

PANEL = 336
HEADER = 32
WIDTH, HEIGHT = PICTURE + PANEL, PICTURE + HEADER

FRAMES_PER_SECOND = 20
"""One frame per tick: the film runs at the arm's own speed."""

LINGER = 15
"""Frames for which the end of an episode stays on the screen."""

BACKGROUND, TEXT, RAIL = (24, 26, 30), (230, 230, 230), (58, 62, 70)
GOOD, BAD = (96, 190, 110), (214, 92, 84)
COLOURS = (
    (86, 156, 214),
    (220, 163, 80),
    (150, 120, 200),
    (90, 180, 150),
    (205, 110, 150),
    (160, 160, 90),
    (120, 170, 220),
    (200, 140, 110),
)
"""One per expert, in turn."""

FULL = 2.0
"""Coefficient that fills a bar: the router's coefficients lie between 0 and 2."""

SMALL, LARGE = ImageFont.load_default(12), ImageFont.load_default(16)


def draw(frame: Frame, headline: str, verdict: str, good: bool) -> np.ndarray:
    """Return one frame of the film, (HEIGHT, WIDTH, 3), uint8."""
    canvas = Image.new("RGB", (WIDTH, HEIGHT), BACKGROUND)
    canvas.paste(Image.fromarray(frame.picture).resize((PICTURE, PICTURE), Image.Resampling.BICUBIC), (0, HEADER))
    pen = ImageDraw.Draw(canvas)
    pen.text((10, 7), headline, TEXT, LARGE)
    pen.text((WIDTH - 10, 7), verdict, GOOD if good else BAD, LARGE, anchor="ra")
    _draw_legend(pen, frame.experts)
    _draw_bars(pen, frame.coefficients)
    return np.asarray(canvas)


def _draw_legend(pen: ImageDraw.ImageDraw, experts: Sequence[str]) -> None:
    for index, name in enumerate(experts):
        y = HEADER + 10 + 16 * index
        pen.rectangle((PICTURE + 14, y + 3, PICTURE + 22, y + 11), COLOURS[index % len(COLOURS)])
        pen.text((PICTURE + 30, y), name[:44], TEXT, SMALL)


def _draw_bars(pen: ImageDraw.ImageDraw, coefficients: np.ndarray) -> None:
    """Draw one block of bars per module group; coefficients: (6, experts)."""
    experts = coefficients.shape[1]
    top = HEADER + 20 + 16 * experts
    block = (HEIGHT - top - 8) // len(GROUPS)
    thickness = max(2, (block - 8) // max(1, experts))
    for row, group in enumerate(GROUPS):
        y = top + row * block
        pen.text((PICTURE + 14, y + block // 2 - 10), group, TEXT, SMALL)
        for column in range(experts):
            _draw_bar(pen, y + column * thickness, thickness, float(coefficients[row, column]), COLOURS[column % len(COLOURS)])


def _draw_bar(pen: ImageDraw.ImageDraw, y: int, thickness: int, value: float, colour: tuple[int, int, int]) -> None:
    left, right = PICTURE + 108, WIDTH - 14
    pen.rectangle((left, y, right, y + thickness - 2), RAIL)
    if value > 0.0:
        pen.rectangle((left, y, left + (right - left) * min(value, FULL) / FULL, y + thickness - 2), colour)


class Film:
    """An H.264 file that episodes are appended to."""

    def __init__(self, path: Path) -> None:
        """Open the file; its folder is made if missing."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = imageio_ffmpeg.write_frames(
            str(path), (WIDTH, HEIGHT), fps=FRAMES_PER_SECOND, codec="libx264", macro_block_size=2, ffmpeg_log_level="error"
        )
        self._writer.send(None)  # the writer is a generator that starts at its first None

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()

    def add(self, outcome: Outcome, note: str = "") -> None:
        """Append an episode's frames; `note` stands behind the instruction."""
        headline = f"{outcome.trial.instruction} {note}".strip()
        verdict = "success" if outcome.success else "failure"
        for index, frame in enumerate(outcome.frames):
            last = index == len(outcome.frames) - 1
            pixels = draw(frame, headline, verdict if last else f"{index / FRAMES_PER_SECOND:.1f} s", not last or outcome.success)
            for _ in range(LINGER if last else 1):
                self._writer.send(np.ascontiguousarray(pixels))
