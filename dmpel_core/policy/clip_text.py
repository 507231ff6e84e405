"""Text tower of the published policy: CLIP's text model (Radford et al. 2021), trained further with the rest of the backbone.

Attention is causal, so that nothing after the end-of-text token matters to it, and no padding mask is needed. The blocks
before the first adapted one run once per instruction.
"""

import hashlib
from collections.abc import Sequence

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from dmpel_core.errors import DmpelError
from dmpel_core.policy.adapted import Mixture
from dmpel_core.policy.sizes import LanguageSizes
from dmpel_core.policy.transformer import Block


class ClipTextTower(nn.Module):
    """Sentence to one vector, read out at the end-of-text token."""

    stored = True  # a library keeps its weights, which pretraining has changed

    def __init__(self, sizes: LanguageSizes, adapt: str) -> None:
        super().__init__()
        self.sizes, self.width = sizes, sizes.outputs
        self.words = nn.Embedding(sizes.vocabulary, sizes.width)
        self.position = nn.Embedding(sizes.positions, sizes.width)
        first = sizes.adapted[0]
        choices = [adapt if index in sizes.adapted else "none" for index in range(sizes.depth)]
        blocks = [Block(sizes.width, sizes.heads, sizes.hidden, activation="quick_gelu", adapt=choice) for choice in choices]
        self.frozen, self.blocks = nn.ModuleList(blocks[:first]), nn.ModuleList(blocks[first:])
        self.norm = nn.LayerNorm(sizes.width)
        self.projection = nn.Linear(sizes.width, sizes.outputs, bias=False)
        self.tokenizer_file = b""

    def set_tokenizer(self, content: bytes) -> None:
        """Use a tokenizer, given as the content of its `tokenizer.json`."""
        self._tokenizer = Tokenizer.from_str(content.decode())
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(self.sizes.tokens)
        self.tokenizer_file = content

    def identity(self) -> dict[str, str]:
        """Return what a library notes of its text encoder, beside the weights and the tokenizer that it keeps."""
        return {"architecture": "clip", "tokenizer": hashlib.sha256(self.tokenizer_file).hexdigest()}

    def tokenise(self, sentences: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return token ids (n, tokens), filled up with the end-of-text token, and where each sentence ends, (n,).

        Raises:
            DmpelError: The policy came without a tokenizer.
        """
        if not self.tokenizer_file:
            raise DmpelError("this policy came without a tokenizer: import or load it with the folder that holds CLIP's tokenizer.json")
        rows = [self._tokenizer.encode(sentence).ids for sentence in sentences]
        ids = torch.full((len(rows), max(len(row) for row in rows)), self.sizes.end)
        for row, found in zip(ids, rows, strict=True):
            row[: len(found)] = torch.tensor(found)
        return ids, self.ends(ids)

    def ends(self, ids: Tensor) -> Tensor:
        """Return the place of the first end-of-text token of each sentence (n, tokens)."""
        return (ids == self.sizes.end).int().argmax(-1)

    def trunk(self, sentence: str) -> Tensor:
        """Run the frozen half on one sentence; return its tokens (1, tokens, width)."""
        return self.embed(self.tokenise([sentence])[0].to(self.words.weight.device))

    def embed(self, ids: Tensor) -> Tensor:
        """Run the frozen half on token ids (n, tokens)."""
        x = self.words(ids) + self.position.weight[: ids.shape[1]]
        mask = causal(x)
        for block in self.frozen:
            x = block(x, mask=mask)
        return x

    def encode(self, tokens: Tensor, mixture: Mixture | None = None, ends: Tensor | None = None) -> Tensor:
        """Run the second half.

        Args:
            tokens: (n, tokens, width), from `embed` or `trunk`.
            mixture: Mixed factors, or None for the frozen layers.
            ends: (n,), place of each sentence's end-of-text token; None for the last one, as `trunk` leaves it.

        Returns:
            (n, outputs).
        """
        mask = causal(tokens)
        for block in self.blocks:
            tokens = block(tokens, mixture, mask)
        last = tokens[:, -1] if ends is None else tokens[torch.arange(len(tokens), device=tokens.device), ends]
        return self.projection(self.norm(last))


def causal(tokens: Tensor) -> Tensor:
    """Return the mask (tokens, tokens): True where a token may look, itself and what stands before it."""
    count = tokens.shape[1]
    return torch.ones(count, count, dtype=torch.bool, device=tokens.device).tril()
