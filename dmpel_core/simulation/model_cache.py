"""Compiled models on disk: LIBERO's scenes take MuJoCo ten seconds and more to compile, and one to load.

A file is named by everything that its content depends on, so it never goes stale. It is compressed, to a third of its
200 MB, and carries zlib's checksum: one that was cut short or damaged is noticed and made again.
"""

import contextlib
import hashlib
import os
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import mujoco
import numpy as np

from dmpel_core.paths import cache_directory
from dmpel_core.simulation import simplify
from dmpel_core.simulation.meshes import FACES_PER_MESH, reduce_visual_meshes

_FORMAT = 1  # raised when the meaning of a cached file changes
_COMPRESSION = 1  # zlib's fastest: textures shrink to a third even so


@contextlib.contextmanager
def compiling(reduce_meshes: bool, cache: bool) -> Iterator[None]:
    """Let robosuite compile through `compile_model` while the block runs.

    Args:
        reduce_meshes: Whether to reduce visual meshes.
        cache: Whether to keep compiled models on disk.
    """
    from robosuite.utils.binding_utils import MjSim

    original = MjSim.__dict__["from_xml_string"]
    MjSim.from_xml_string = classmethod(lambda cls, xml: cls(compile_model(xml, reduce_meshes, cache)))
    try:
        yield
    finally:
        MjSim.from_xml_string = original


def compile_model(xml: str, reduce_meshes: bool, cache: bool) -> mujoco.MjModel:
    """Return the model that an MJCF text describes, from the disk where it was compiled before.

    Args:
        xml: MJCF, with absolute paths of its assets.
        reduce_meshes: Whether to reduce visual meshes.
        cache: Whether to read and write the disk.
    """
    if not cache:
        return _compile(xml, reduce_meshes)
    path = cached_path(xml, reduce_meshes)
    with contextlib.suppress(OSError, zlib.error, ValueError):  # missing, damaged or unreadable to this MuJoCo
        return mujoco.MjModel.from_binary_path(path.stem, {path.stem: zlib.decompress(path.read_bytes())})
    model = _compile(xml, reduce_meshes)
    _save(model, path)
    return model


def cached_path(xml: str, reduce_meshes: bool) -> Path:
    """Return where the compiled model of an MJCF text is kept."""
    settings = f"{_FORMAT} {mujoco.__version__} {FACES_PER_MESH if reduce_meshes else 'full'} {simplify.VERSION}"
    name = hashlib.sha256(f"{settings}\n{xml}".encode()).hexdigest()[:32]
    return cache_directory() / "models" / f"{name}.mjb.z"


def _compile(xml: str, reduce_meshes: bool) -> mujoco.MjModel:
    """Compile an MJCF text."""
    model = mujoco.MjModel.from_xml_string(xml)
    if reduce_meshes:
        reduce_visual_meshes(model)
    return model


def _save(model: mujoco.MjModel, path: Path) -> None:
    """Write a model so that readers see the whole file or none; a full disk only costs the next start its time."""
    content = np.empty(mujoco.mj_sizeModel(model), np.uint8)
    mujoco.mj_saveModel(model, None, content)
    unfinished = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            unfinished = Path(file.name)
            file.write(zlib.compress(content.data, _COMPRESSION))
        os.replace(unfinished, path)
    except OSError:
        if unfinished is not None:
            unfinished.unlink(missing_ok=True)
