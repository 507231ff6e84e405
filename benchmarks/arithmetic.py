"""How much arithmetic a tick needs at the least, and how fast this machine multiplies matrices: the roofline.

Counted are the multiplications and additions of matrix products and convolutions that no exact saving known to us can leave out:
both passes of the image tower's second half, but for the first projection that they share, with the class token alone in its last
block; the adapted half of the text tower; the routing and the mixing; the window, with the newest tick's read-out alone in the last
block. What is computed once for an instruction is not counted, nor are normalisations, activations and the resizing of pictures.
"""

from collections.abc import Callable
from functools import cache, partial

import numpy as np
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.utils.flop_counter import FlopCounterMode

from dmpel_core.groups import GROUPS
from dmpel_core.inference.sessions import Binding
from dmpel_core.policy import text_files as minilm
from dmpel_core.policy.image import ConvolutionalTrunk
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


def block(tokens: int, width: int, hidden: int, rank: int = 0, adapt: str = "none") -> int:
    """Return the multiplications of one transformer block.

    Args:
        tokens: Tokens that are looked at and computed.
        width: Their width.
        hidden: Hidden width of the MLP.
        rank: Rank of the experts' factors; 0 without experts.
        adapt: What they adapt, see `dmpel_core.policy.transformer.ADAPT`.
    """
    plain = 4 * tokens * width**2 + 2 * tokens**2 * width + 2 * tokens * width * hidden
    updates = {"none": 0, "query_value": 4 * tokens * width}
    updates["all"] = updates["query_value"] + 2 * tokens * width + 2 * tokens * (width + hidden)
    return plain + rank * updates[adapt]


def one_row(tokens: int, width: int, hidden: int, heads: int, rank: int = 0, adapt: str = "none") -> int:
    """Return the multiplications of a block that answers for one token: no key and no value is made, see `Blocks.one_row` of the export.

    Args:
        tokens: Tokens that are looked at.
        width: Their width.
        hidden: Hidden width of the MLP.
        heads: Attention heads.
        rank: Rank of the experts' factors; 0 without experts.
        adapt: What they adapt.
    """
    plain = 4 * width**2 + 2 * heads * tokens * width + 2 * width * hidden
    updates = {"none": 0, "query_value": 2 * width + (heads + 1) * width}
    updates["all"] = updates["query_value"] + 2 * width + 2 * (width + hidden)
    return plain + rank * updates[adapt]


def _image(s: PolicySizes) -> int:
    """Return the multiplications of all cameras."""
    width, rank, adapt = s.image_width, s.tower_rank or s.rank, s.adapt
    if s.vision:
        patches = (s.vision.pixels // s.vision.patch) ** 2
        hidden, heads, tokens, depth = s.vision.hidden, s.vision.heads, patches + 1, s.vision.depth - s.vision.adapted[0]
        first = patches * 3 * s.vision.patch**2 * width + s.vision.adapted[0] * block(tokens, width, hidden)
        project = 0
    else:
        first, tokens = convolutions(s)
        hidden, heads, depth = s.mlp_ratio * width, s.heads, s.image_blocks
        project = width * s.width + rank * (width + s.width)
    passes = [(depth - 1) * block(tokens, width, hidden, r, adapt) + one_row(tokens, width, hidden, heads, r, adapt) for r in (0, rank)]
    shared = 3 * tokens * width**2 if depth > 1 else 0
    return len(s.cameras) * (first + sum(passes) - shared + project)


def convolutions(s: PolicySizes) -> tuple[int, int]:
    """Return the multiplications of one camera's convolutional trunk, as torch counts them, and how many tokens it makes."""
    with FlopCounterMode(display=False) as counter:
        tokens = ConvolutionalTrunk(s)(torch.zeros(1, 3, s.pixels, s.pixels))
    return counter.get_total_flops() // 2, tokens.shape[1]


def _text(s: PolicySizes, words: int) -> int:
    """Return the multiplications of the adapted half; its last block is read out at one token only where it is CLIP's."""
    rank = s.tower_rank or s.rank
    if s.language:
        width, hidden, depth = s.language.width, s.language.hidden, s.language.depth - s.language.adapted[0]
        last = one_row(words, width, hidden, s.language.heads, rank, "query_value")
        return (depth - 1) * block(words, width, hidden, rank, "query_value") + last + width * s.language.outputs
    return (minilm.LAYERS - minilm.FROZEN_LAYERS) * block(words, minilm.WIDTH, minilm.HIDDEN, rank, "query_value")


def _window(s: PolicySizes) -> int:
    """Return the multiplications of the temporal transformer on a full window."""
    tokens = s.window * (2 + len(s.cameras))
    hidden = s.temporal_hidden or s.mlp_ratio * s.width
    whole = block(tokens, s.width, hidden, s.rank, s.adapt)
    return (s.temporal_blocks - 1) * whole + one_row(tokens, s.width, hidden, s.heads, s.rank, s.adapt)


def _small_layers(s: PolicySizes, text_width: int) -> int:
    """Return the multiplications of proprioception, fusion and head."""
    answer = s.modes * s.chunk * s.action
    layers = [(JOINTS, s.width), (FINGERS, s.width), (text_width, s.film_hidden), (s.film_hidden, 2 * s.width), (s.width, s.head_hidden)]
    layers += [(s.head_hidden, s.head_hidden)] * s.head_layers
    layers += [(s.head_hidden, answer), (s.head_hidden, answer), (s.head_hidden, s.modes)]
    return sum(inputs * outputs + s.rank * (inputs + outputs) for inputs, outputs in layers)


def matrix_rate(clock: Callable[[], float]) -> float:
    """Return the rate of the fastest of a few products of square matrices, with the threads that torch has now [FLOP/s].

    Torch and ONNX Runtime have a try each: which of both is faster depends on the processor.
    """
    times = []
    for multiply in (torch_product(), onnx_product(torch.get_num_threads())):
        for _ in range(REPEATS):
            begun = clock()
            multiply()
            times.append(clock() - begun)
    return 2 * SIDE**3 / min(times)


@cache
def torch_product() -> Callable[[], object]:
    """Return what multiplies two matrices of `SIDE` with torch."""
    a, b, out = torch.ones(3, SIDE, SIDE)
    return partial(torch.mm, a, b, out=out)


@cache
def onnx_product(threads: int) -> Callable[[], object]:
    """Return what multiplies a matrix with a constant one of `SIDE` with ONNX Runtime on a processor, as engines do."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [SIDE, SIDE]) for name in "xy")
    weight = numpy_helper.from_array(np.ones((SIDE, SIDE), np.float32), "w")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "product", [x], [y], [weight])
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21)])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    given, made = np.ones((2, SIDE, SIDE), np.float32)
    return Binding(session, {"x": given}, {"y": made}).run
