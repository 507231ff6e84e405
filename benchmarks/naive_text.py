"""Both text towers run from the token ids to the embedding, filled up to the longest instruction, as the published code runs CLIP's."""

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.naive_layers import attend
from dmpel_core.policy.clip_text import ClipTextTower
from dmpel_core.policy.policy import Policy
from dmpel_core.policy.text import BertLayer, TextTower
from dmpel_core.policy.text_files import HEADS, MAX_TOKENS, WIDTH


class NaiveSentences:
    """Keeps an instruction's token ids and nothing computed from them."""

    def __init__(self, policy: Policy) -> None:
        self._tower = policy.text

    def set(self, instruction: str) -> None:
        """Tokenise an instruction and fill it up."""
        tower = self._tower
        if isinstance(tower, ClipTextTower):
            ids, filling, longest = tower.tokenise([instruction])[0], tower.sizes.end, tower.sizes.tokens
        else:
            ids, filling, longest = torch.tensor([tower.tokenizer.encode(instruction.lower()).ids]), 0, MAX_TOKENS
        self._count = ids.shape[1]
        self._ids = F.pad(ids, (0, longest - self._count), value=filling)

    def embed(self) -> Tensor:
        """Run the whole tower; return the embedding (1, width)."""
        is_word = torch.arange(self._ids.shape[1]) < self._count
        return self._clip(self._tower, is_word) if isinstance(self._tower, ClipTextTower) else self._bert(self._tower, is_word)

    def _clip(self, tower: ClipTextTower, is_word: Tensor) -> Tensor:
        count = self._ids.shape[1]
        x = tower.words(self._ids) + tower.position(torch.arange(count))
        mask = torch.ones(count, count, dtype=torch.bool).tril() & is_word
        for block in [*tower.frozen, *tower.blocks]:
            x = block(x, None, mask)
        return tower.projection(tower.norm(x)[torch.arange(1), tower.ends(self._ids)])

    def _bert(self, tower: TextTower, is_word: Tensor) -> Tensor:
        x = tower.words(self._ids) + tower.position(torch.arange(len(is_word))) + tower.kind.weight[0]
        x = tower.norm(x)
        for layer in tower.layers:
            x = bert_layer(layer, x, is_word)
        mean = (x * is_word[:, None]).sum(1) / is_word.sum()
        return F.normalize(mean, dim=-1) * WIDTH**0.5


def bert_layer(layer: BertLayer, x: Tensor, is_word: Tensor) -> Tensor:
    """Run one layer of BERT on (1, tokens, width), where only words are looked at."""
    parts = [projection(x).view(*x.shape[:2], HEADS, -1).transpose(1, 2) for projection in (layer.query, layer.key, layer.value)]
    y, _ = attend(*parts, is_word)
    x = layer.norm1(x + layer.out(y.transpose(1, 2).reshape(x.shape)))
    return layer.norm2(x + layer.down(F.gelu(layer.up(x))))
