"""Instructions as embedded words, and the text encoder's weights, without torch."""

import hashlib
from collections.abc import Mapping
from typing import Protocol

import numpy as np
from safetensors import safe_open
from tokenizers import Tokenizer

from dmpel_core.experts.library import Library, LibraryError
from dmpel_core.policy import text_files as bert
from dmpel_core.policy.sizes import LanguageSizes, PolicySizes

TOKENIZER = "text.tokenizer"  # a tokenizer's file among the backbone's tensors, where the text encoder is the backbone's own


class Sentences(Protocol):
    """Embeds instructions."""

    @property
    def weights(self) -> Mapping[str, np.ndarray]:
        """The text encoder's tensors that are not in the backbone."""

    def embed(self, instruction: str) -> np.ndarray:
        """Return the instruction's words with their positions, (words, width) float32."""


def open_sentences(library: Library, sizes: PolicySizes, backbone: Mapping[str, np.ndarray]) -> Sentences:
    """Open the text encoder that a library was trained with.

    Raises:
        LibraryError: It is not there, or another one is.
    """
    return ClipSentences(library, sizes.language, backbone) if sizes.language else BertSentences(library)


class BertSentences:
    """all-MiniLM-L6-v2 from its package (`dmpel_core.policy.text.TextTower`)."""

    def __init__(self, library: Library) -> None:
        _check_identity(library, bert.identity())
        folder = bert.weights_folder()
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(bert.MAX_TOKENS)
        self._file = safe_open(folder / "model.safetensors", "np")
        names = {bert.tower_name(name): name for name in self._file.keys()}  # noqa: SIM118 - an open file, not a dictionary
        self._names = {name: stored for name, stored in names.items() if name is not None}
        self._words = self._file.get_slice(self._names["words.weight"])  # the largest tensor: rows are read when they are needed
        self._position = self._file.get_tensor(self._names["position.weight"]) + self._file.get_tensor(self._names["kind.weight"])[0]
        self.weights = {f"text.{name}": self._file.get_tensor(stored) for name, stored in self._names.items()
                        if name.startswith(("layers.", "norm."))}  # fmt: skip

    def embed(self, instruction: str) -> np.ndarray:
        """Return the instruction's words with their positions, (words, width) float32."""
        ids = self._tokenizer.encode(instruction.lower()).ids
        return np.concatenate([self._words[number : number + 1] for number in ids]) + self._position[: len(ids)]


class ClipSentences:
    """CLIP's text model, which the backbone holds (`dmpel_core.policy.clip_text.ClipTextTower`)."""

    weights: Mapping[str, np.ndarray] = {}

    def __init__(self, library: Library, language: LanguageSizes, backbone: Mapping[str, np.ndarray]) -> None:
        content = backbone.get(TOKENIZER, np.zeros(0, np.uint8)).tobytes()
        if not content:
            raise LibraryError(
                f"library {library.path} came without a tokenizer: import it with the folder that holds CLIP's tokenizer.json"
            )
        _check_identity(library, {"architecture": "clip", "tokenizer": hashlib.sha256(content).hexdigest()})
        self._tokenizer = Tokenizer.from_str(content.decode())
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(language.tokens)
        self._words, self._position = backbone["text.words.weight"], backbone["text.position.weight"]

    def embed(self, instruction: str) -> np.ndarray:
        """Return the instruction's words with their positions, (words, width) float32."""
        ids = self._tokenizer.encode(instruction).ids
        return self._words[ids] + self._position[: len(ids)]


def _check_identity(library: Library, installed: dict[str, str]) -> None:
    if dict(library.text_encoder) != installed:
        trained = dict(library.text_encoder)
        raise LibraryError(f"{library.path} was trained with text encoder {trained}, installed is {installed}; install that version")
