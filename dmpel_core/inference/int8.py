"""The image tower in eight bits, for whoever chooses it, and only where it sees nearly the same on pictures of this robot."""

from pathlib import Path

import numpy as np

from dmpel_core.errors import DmpelError
from dmpel_core.experts.library import Library, Limits
from dmpel_core.experts.tensors import unpack
from dmpel_core.inference.sessions import PROVIDERS
from dmpel_core.inference.workspace import Workspace
from dmpel_core.observation import Observation

BOUND = 0.05
"""How far a class token may be off, relative to its length. One routing in ten moves it by 0.13 to 0.15 between two routings."""
FEWEST = 8  # frames that say something


def open_int8(library: Library, threads: int, provider: str, frames: Path) -> Workspace:
    """Open a library's backbone with the image tower in eight bits.

    Args:
        library: The library.
        threads: Processor threads of one stage.
        provider: As `dmpel_core.inference.sessions.open_sessions`.
        frames: safetensors file with pictures that this robot's cameras took, (frames, height, width, 3) uint8 under each camera's name.

    Raises:
        DmpelError: A class token is further off than `BOUND` on one of the frames, they cannot be read, or this is no processor.
    """
    exact, coarse = (Workspace(library, threads, provider, int8=int8) for int8 in (False, True))
    if coarse.provider != PROVIDERS["cpu"]:
        raise DmpelError(f"int8 is for processors, the graphs ended on {coarse.provider}: choose the provider 'cpu', or no int8")
    pictures = read_frames(frames, exact.sizes.cameras)
    off = np.array([_off(exact, coarse, dict(zip(pictures, shown, strict=True))) for shown in zip(*pictures.values(), strict=True)])
    frame, camera = np.unravel_index(off.argmax(), off.shape)
    if not off.max() <= BOUND:
        raise DmpelError(
            f"int8 moves the class token of {list(pictures)[camera]} by {off.max():.1%} on frame {frame} of {frames}, "
            f"more than the {BOUND:.0%} allowed: run this library without int8"
        )
    return coarse


def _off(exact: Workspace, coarse: Workspace, pictures: dict[str, np.ndarray]) -> np.ndarray:
    """Return how far each camera's class token is off on one frame, (cameras), relative to its length."""
    seen = Observation(**pictures, joints=np.zeros(7), gripper=np.zeros(2))
    for work in (exact, coarse):
        work.observe(seen)
        work.look()
    return np.linalg.norm(coarse.classes - exact.classes, axis=1) / np.linalg.norm(exact.classes, axis=1)


def read_frames(path: Path, cameras: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Return each camera's pictures, in the cameras' order.

    Raises:
        DmpelError: The file cannot be read, or does not hold the same number of pictures for each camera, `FEWEST` or more.
    """
    try:
        found = unpack(path.read_bytes(), Limits(), str(path))
    except OSError as error:
        raise DmpelError(f"frames {path} cannot be read: {error}") from error
    shapes = {name: f"{array.dtype} {array.shape}" for name, array in found.items()}
    alike = len({shapes.get(camera) for camera in cameras}) == 1
    if not alike or not all(_are_pictures(found.get(camera)) for camera in cameras):
        wanted = f"uint8 ({FEWEST} or more, height, width, 3)"
        raise DmpelError(f"frames {path} hold {shapes}, expected {wanted} alike for {' and '.join(cameras)}")
    return {camera: found[camera] for camera in cameras}


def _are_pictures(array: np.ndarray | None) -> bool:
    return array is not None and array.dtype == np.uint8 and array.ndim == 4 and array.shape[3] == 3 and len(array) >= FEWEST
