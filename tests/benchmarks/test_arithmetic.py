"""The counted operations against those that torch counts."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.arithmetic import block, flop, one_row
from benchmarks.naive_layers import NaiveAttention
from dmpel_core.experts.pool import ExpertPool, start_expert
from dmpel_core.policy.adapted import name_adapted
from dmpel_core.policy.presets import CLIP_VIT_B16
from dmpel_core.policy.transformer import Block
from tests.core.conftest import TINY

TOKENS, WIDTH, HIDDEN = 7, 24, 40


def test_a_whole_block() -> None:
    layer = Block(WIDTH, 4, HIDDEN, adapt="none")
    layer.attention = NaiveAttention(layer.attention)  # the counter does not know the fused attention of a processor
    with FlopCounterMode(display=False) as counter:
        layer(torch.randn(1, TOKENS, WIDTH), None, torch.ones(TOKENS, TOKENS, dtype=torch.bool))
    assert counter.get_total_flops() == 2 * block(TOKENS, WIDTH, HIDDEN)


def test_the_updates_of_an_adapted_block() -> None:
    for adapt in ("all", "query_value"):
        holder = torch.nn.ModuleDict({"temporal": Block(WIDTH, 4, HIDDEN, adapt=adapt)})
        places = name_adapted(holder, {"temporal": "temporal"}, TINY)
        pool = ExpertPool(places, [start_expert(places, [], torch.Generator().manual_seed(0))])
        mixture, x = pool.mix(torch.ones(1, 6, 1)), torch.randn(1, TOKENS, WIDTH)
        counted = []
        for given in (mixture, None):
            with FlopCounterMode(display=False) as counter:
                holder["temporal"](x, given)
            counted.append(counter.get_total_flops())
        updates = block(TOKENS, WIDTH, HIDDEN, TINY.rank, adapt) - block(TOKENS, WIDTH, HIDDEN)
        assert counted[0] - counted[1] == 2 * updates, adapt


def test_a_block_that_answers_for_one_token() -> None:
    heads, rank = 4, 2
    size, x, q = WIDTH // heads, torch.randn(TOKENS, WIDTH), torch.randn(1, WIDTH)
    square, down, up = torch.randn(WIDTH, WIDTH), torch.randn(WIDTH, rank), torch.randn(rank, WIDTH)
    by_head = square.view(heads, size, WIDTH)

    def answer(adapted: bool) -> int:
        with FlopCounterMode(display=False) as counter:
            asked = (q @ square + q @ down @ up if adapted else q @ square).view(heads, 1, size)
            seen = ((asked @ by_head)[:, 0] @ x.T) @ x  # (heads, width)
            seen[:, None] @ by_head.mT
            if adapted:
                (seen @ down)[:, None] @ up.view(rank, heads, size).transpose(0, 1)
            q @ square @ torch.zeros(WIDTH, HIDDEN) @ torch.zeros(HIDDEN, WIDTH)
        return counter.get_total_flops()

    assert answer(False) == 2 * one_row(TOKENS, WIDTH, HIDDEN, heads)
    assert answer(True) == 2 * one_row(TOKENS, WIDTH, HIDDEN, heads, rank, "query_value")


def test_the_published_size_with_twelve_words() -> None:
    """Counted by hand when the method was studied: 97.7 GFLOP, with all keys and values and both passes' first projection; 3.3 of it."""
    assert round(flop(CLIP_VIT_B16, 12, 10, 652_608) / 1e9, 1) == 94.3
