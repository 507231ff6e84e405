"""The counted operations against those that torch counts."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.arithmetic import block, convolutions, flop
from benchmarks.naive_layers import NaiveAttention
from dmpel_core.experts.pool import ExpertPool, start_expert
from dmpel_core.policy.adapted import name_adapted
from dmpel_core.policy.image import ConvolutionalTrunk
from dmpel_core.policy.presets import CLIP_VIT_B16
from dmpel_core.policy.transformer import Block
from tests.core.conftest import TINY

TOKENS, WIDTH, HIDDEN = 7, 24, 40


def test_a_whole_block() -> None:
    layer = Block(WIDTH, 4, HIDDEN, adapt="none")
    layer.attention = NaiveAttention(layer.attention)  # the counter does not know the fused attention of a processor
    with FlopCounterMode(display=False) as counter:
        layer(torch.randn(1, TOKENS, WIDTH), None, torch.ones(TOKENS, TOKENS, dtype=torch.bool))
    assert counter.get_total_flops() == 2 * block(TOKENS, WIDTH, HIDDEN, TOKENS)


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
        updates = block(TOKENS, WIDTH, HIDDEN, TOKENS, TINY.rank, adapt) - block(TOKENS, WIDTH, HIDDEN, TOKENS)
        assert counted[0] - counted[1] == 2 * updates, adapt


def test_the_convolutional_trunk() -> None:
    with FlopCounterMode(display=False) as counter:
        ConvolutionalTrunk(TINY)(torch.randn(1, 3, TINY.pixels, TINY.pixels))
    assert counter.get_total_flops() == 2 * convolutions(TINY)


def test_the_published_size_with_twelve_words() -> None:
    """A count made by hand when the method was studied: 97.7 GFLOP."""
    assert round(flop(CLIP_VIT_B16, 12, 10, 652_608) / 1e9, 1) == 97.7
