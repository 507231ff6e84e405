"""Text tower: all-MiniLM-L6-v2, a pretrained sentence encoder that a registry package carries.

Its weights stay as they are, so a sentence that no training saw still lands near its paraphrases. The embedding and
the first three layers are the frozen half; the last three are adapted by experts. Layers are those of BERT: post-norm,
with biases (Devlin et al. 2019; weights of sentence-transformers/all-MiniLM-L6-v2, Apache-2.0).
"""

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from dmpel_core.policy.adapted import AdaptedLinear, Mixture
from dmpel_core.policy.text_files import (
    EPSILON,
    FROZEN_LAYERS,
    HEADS,
    HIDDEN,
    LAYERS,
    MAX_TOKENS,
    POSITIONS,
    VOCABULARY,
    WIDTH,
    identity,
    tower_name,
    weights_folder,
)

__all__ = ["BertLayer", "TextTower", "identity", "pretrained_weights"]


class BertLayer(nn.Module):
    """One post-norm encoder layer; query and value are adapted in the second half of the tower."""

    def __init__(self, adapted: bool) -> None:
        super().__init__()
        projection = AdaptedLinear if adapted else nn.Linear
        self.query = projection(WIDTH, WIDTH)
        self.key = nn.Linear(WIDTH, WIDTH)
        self.value = projection(WIDTH, WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.norm1 = nn.LayerNorm(WIDTH, eps=EPSILON)
        self.up = nn.Linear(WIDTH, HIDDEN)
        self.down = nn.Linear(HIDDEN, WIDTH)
        self.norm2 = nn.LayerNorm(WIDTH, eps=EPSILON)
        self.adapted = adapted

    def forward(self, x: Tensor, mixture: Mixture | None = None) -> Tensor:
        """Transform (n, tokens, 384)."""
        extra = (mixture,) if self.adapted else ()
        q, k, v = self.query(x, *extra), self.key(x), self.value(x, *extra)
        q, k, v = (part.view(*x.shape[:2], HEADS, -1).transpose(1, 2) for part in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape)
        x = self.norm1(x + self.out(y))
        return self.norm2(x + self.down(F.gelu(self.up(x))))


class TextTower(nn.Module):
    """Sentence to one vector of mean square 1."""

    width = WIDTH
    stored = False  # a library names the package that carries the weights

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, WIDTH)
        self.position = nn.Embedding(POSITIONS, WIDTH)
        self.kind = nn.Embedding(2, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=EPSILON)
        self.layers = nn.ModuleList([BertLayer(adapted=index >= FROZEN_LAYERS) for index in range(LAYERS)])
        self.load_state_dict(pretrained_weights())
        self.requires_grad_(False)
        self.tokenizer = Tokenizer.from_file(str(weights_folder() / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(MAX_TOKENS)

    def identity(self) -> dict[str, str]:
        """Return what a library notes of its text encoder."""
        return identity()

    def trunk(self, sentence: str) -> Tensor:
        """Run the frozen half on one sentence; return its tokens (1, tokens, 384)."""
        ids = torch.tensor([self.tokenizer.encode(sentence.lower()).ids])
        x = self.words(ids) + self.position.weight[: ids.shape[1]] + self.kind.weight[0]
        x = self.norm(x)
        for layer in self.layers[:FROZEN_LAYERS]:
            x = layer(x)
        return x

    def encode(self, tokens: Tensor, mixture: Mixture | None = None) -> Tensor:
        """Run the second half on (n, tokens, 384); return the pooled sentence (n, 384)."""
        for layer in self.layers[FROZEN_LAYERS:]:
            tokens = layer(tokens, mixture)
        return F.normalize(tokens.mean(1), dim=-1) * WIDTH**0.5


def pretrained_weights() -> dict[str, Tensor]:
    """Return the encoder's weights under the tower's names."""
    named = ((tower_name(name), value) for name, value in load_file(weights_folder() / "model.safetensors").items())
    return {name: value for name, value in named if name is not None}
