"""How much arithmetic a tick needs at the least, and how fast this machine multiplies matrices: the roofline.

Counted are the multiplications and additions of matrix products and convolutions that no exact saving can leave out: both
passes of the image tower's second half, with the class token alone in its last block; the adapted half of the text tower;
the routing and the mixing; the window, with the newest tick's read-out alone in the last block. What is computed once for an
instruction is not counted, nor are normalisations, activations and the resizing of pictures.
"""

from collections.abc import Callable

import torch

from dmpel_core.groups import GROUPS
from dmpel_core.policy import text_files as minilm
from dmpel_core.policy.image import STEM, STRIDE, levels
from dmpel_core.policy.policy import FINGERS, JOINTS
from dmpel_core.policy.query import query_width
from dmpel_core.policy.sizes import PolicySizes

SIDE = 1024  # of the square matrices that the peak is measured with
REPEATS = 3


def flop(sizes: PolicySizes, words: int, experts: int, numbers: int) -> int:
    """Return the floating-point operations of one exact tick.

    Args:
        sizes: Sizes of the policy.
        words: Tokens of the instruction.
        experts: Experts in the library.
        numbers: Numbers in one expert's factors.
    """
    text_width = sizes.language.outputs if sizes.language else minilm.WIDTH
    query = query_width(sizes, text_width, JOINTS + FINGERS)
    outputs = (1 if sizes.router_shared else len(GROUPS)) * experts
    router = query * sizes.router_hidden + sizes.router_hidden**2 + sizes.router_hidden * outputs
    mixing = min(sizes.top_k, experts) * numbers
    return 2 * (_image(sizes) + _text(sizes, words) + router + mixing + _window(sizes) + _small_layers(sizes, text_width))


def block(tokens: int, width: int, hidden: int, asking: int, rank: int = 0, adapt: str = "none") -> int:
    """Return the multiplications of one transformer block.

    Args:
        tokens: Tokens that are looked at.
        width: Their width.
        hidden: Hidden width of the MLP.
        asking: Tokens that are computed.
        rank: Rank of the experts' factors; 0 without experts.
        adapt: What they adapt, see `dmpel_core.policy.transformer.ADAPT`.
    """
    plain = (asking + 2 * tokens) * width**2 + 2 * asking * tokens * width + asking * width**2 + 2 * asking * width * hidden
    updates = {"none": 0, "query_value": 2 * (asking + tokens) * width}
    updates["all"] = updates["query_value"] + 2 * asking * width + 2 * asking * (width + hidden)
    return plain + rank * updates[adapt]


def _image(s: PolicySizes) -> int:
    """Return the multiplications of all cameras."""
    width, rank, adapt = s.image_width, s.tower_rank or s.rank, s.adapt
    if s.vision:
        patches = (s.vision.pixels // s.vision.patch) ** 2
        hidden, tokens, depth = s.vision.hidden, patches + 1, s.vision.depth - s.vision.adapted[0]
        first = patches * 3 * s.vision.patch**2 * width + s.vision.adapted[0] * block(tokens, width, hidden, tokens)
        project = 0
    else:
        first = convolutions(s)
        hidden, tokens, depth = s.mlp_ratio * width, (s.pixels // STRIDE) ** 2 + 1, s.image_blocks
        project = width * s.width + rank * (width + s.width)
    passes = [(depth - 1) * block(tokens, width, hidden, tokens, r, adapt) + block(tokens, width, hidden, 1, r, adapt) for r in (0, rank)]
    return len(s.cameras) * (first + sum(passes) + project)


def convolutions(s: PolicySizes) -> int:
    """Return the multiplications of one camera's convolutional trunk; those of the spatial softmax are its two coordinates."""
    places, given, total = (s.pixels // 4) ** 2, STEM, (s.pixels // 4) ** 2 * 3 * 36 * STEM
    for channels, stride in levels(s.image_width):
        places //= stride**2
        total += places * channels * (9 * given + 2)
        given = channels
    looks = 2 * sum(channels for channels, _ in levels(s.image_width))
    return total + (looks + 2 * s.image_width) * s.image_width


def _text(s: PolicySizes, words: int) -> int:
    """Return the multiplications of the adapted half; its last block is read out at one token only where it is CLIP's."""
    rank = s.tower_rank or s.rank
    if s.language:
        width, hidden, depth = s.language.width, s.language.hidden, s.language.depth - s.language.adapted[0]
        causal = [block(words, width, hidden, asking, rank, "query_value") for asking in (words, 1)]
        return (depth - 1) * causal[0] + causal[1] + width * s.language.outputs
    return (minilm.LAYERS - minilm.FROZEN_LAYERS) * block(words, minilm.WIDTH, minilm.HIDDEN, words, rank, "query_value")


def _window(s: PolicySizes) -> int:
    """Return the multiplications of the temporal transformer on a full window."""
    tokens = s.window * (2 + len(s.cameras))
    hidden = s.temporal_hidden or s.mlp_ratio * s.width
    whole, last = (block(tokens, s.width, hidden, asking, s.rank, s.adapt) for asking in (tokens, 1))
    return (s.temporal_blocks - 1) * whole + last


def _small_layers(s: PolicySizes, text_width: int) -> int:
    """Return the multiplications of proprioception, fusion and head."""
    answer = s.modes * s.chunk * s.action
    layers = [(JOINTS, s.width), (FINGERS, s.width), (text_width, s.film_hidden), (s.film_hidden, 2 * s.width), (s.width, s.head_hidden)]
    layers += [(s.head_hidden, s.head_hidden)] * s.head_layers
    layers += [(s.head_hidden, answer), (s.head_hidden, answer), (s.head_hidden, s.modes)]
    return sum(inputs * outputs + s.rank * (inputs + outputs) for inputs, outputs in layers)


def matrix_rate(clock: Callable[[], float]) -> float:
    """Return the fastest of a few products of two square matrices, with the threads that torch has now [FLOP/s]."""
    a, b, out = torch.ones(3, SIDE, SIDE)
    times = []
    for _ in range(REPEATS):
        begun = clock()
        torch.mm(a, b, out=out)
        times.append(clock() - begun)
    return 2 * SIDE**3 / min(times)
