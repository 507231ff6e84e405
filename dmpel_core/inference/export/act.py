"""The rest of a tick as ONNX: proprioception, fusion, temporal transformer and head, for the newest tick alone.

The window has a place for each of its ticks from the start of an episode; the newest stands at `slot`, and what is behind it
is masked. So one shape serves every tick.
"""

import numpy as np
from onnx import TensorProto

from dmpel_core.inference.export.blocks import Blocks, activate
from dmpel_core.inference.export.graph import Graph
from dmpel_core.inference.export.text import text_width
from dmpel_core.policy.sizes import PolicySizes

JOINTS, FINGERS = 7, 2
HIDDEN_SCORE = -1e30  # finite, so that no row of a softmax can become 0 / 0; exp of it is 0


def act(graph: Graph, sizes: PolicySizes) -> None:
    """Write the graph: this tick's class tokens, state and sentence, and the window before it, to the Gaussian mixture."""
    cameras, width, window = len(sizes.cameras), sizes.width, sizes.window
    fused = _fuse(graph, sizes)
    graph.output(fused, "fused", (2 + cameras, width))
    feature = _newest_feature(graph, fused, sizes)
    graph.output(graph.reshape(feature, -1), "feature", (sizes.width,))
    mean, deviation, logits = _head(graph, feature, sizes)
    shape = (sizes.modes, sizes.chunk, sizes.action)
    graph.output(graph.reshape(logits, -1), "logits", (sizes.modes,))
    graph.output(graph.reshape(mean, *shape), "mean", shape)
    graph.output(graph.reshape(deviation, *shape), "deviation", shape)
    assert window > 0


def _fuse(graph: Graph, sizes: PolicySizes) -> str:
    """Return this tick's fused tokens (2 + cameras, width): joints, fingers, cameras, scaled and shifted by the sentence."""
    views = graph.input("views", (len(sizes.cameras), sizes.width))
    state = graph.input("state", (1, JOINTS + FINGERS))
    sentence = graph.input("sentence", (1, sizes.language.outputs if sizes.language else text_width(sizes)))
    joints, fingers = graph.ops("Split", state, graph.constant([JOINTS, FINGERS]), results=(True, True), axis=1)
    body = [graph.linear(joints, "proprioception.joints"), graph.linear(fingers, "proprioception.gripper")]
    tokens = graph.op("Concat", *body, views, axis=0)
    hidden = activate(graph, graph.linear(sentence, "fusion.hidden"), "gelu_tanh")
    beta, gamma = graph.ops("Split", graph.linear(hidden, "fusion.out"), results=(True, True), axis=1, num_outputs=2)
    gain = graph.op("Add", gamma, graph.constant(1.0))
    return graph.op("Add", graph.op("Mul", tokens, gain), beta)


def _newest_feature(graph: Graph, fused: str, sizes: PolicySizes) -> str:
    """Run the temporal transformer for the first token of the tick at `slot`, (1, width)."""
    count, width, window = 2 + len(sizes.cameras), sizes.width, sizes.window
    earlier, slot = graph.input("window", (window, count, width)), graph.input("slot", (1,), TensorProto.INT64)
    newest = graph.reshape(graph.op("Equal", graph.constant(np.arange(window)), slot), window, 1, 1)
    tokens = graph.op("Where", newest, graph.reshape(fused, 1, count, width), earlier)
    x = graph.op("Add", tokens, graph.constant(positions(window, width)[:, None]))
    row = graph.op("Mul", slot, graph.constant([count]))
    mask = graph.constant(frame_causal(window, count))
    blocks = Blocks(graph, sizes.heads, width, activation=sizes.temporal_activation, bias=mask)
    *names, last = [f"temporal.blocks.{number}" for number in range(sizes.temporal_blocks)]
    own_mask = graph.reshape(graph.op("Gather", mask, row, axis=2), 1, 1, -1)
    return blocks.one_row(blocks.all(graph.reshape(x, window * count, width), names), last, row, own_mask)


def _head(graph: Graph, x: str, sizes: PolicySizes) -> tuple[str, str, str]:
    """Return mean, deviation and logits, each (1, numbers)."""
    for layer in range(sizes.head_layers):
        x = graph.op("Relu", graph.linear(x, f"head.share.{layer}"))
    x = graph.linear(x, f"head.share.{sizes.head_layers}")
    mean = graph.op("Tanh", graph.linear(x, "head.mean"))
    deviation = graph.op("Softplus", graph.linear(x, "head.deviation"))
    return mean, graph.op("Add", deviation, graph.constant(sizes.minimum_std)), graph.linear(x, "head.logits")


def positions(ticks: int, width: int) -> np.ndarray:
    """Return the sinusoidal positions (ticks, width) of `dmpel_core.policy.temporal.positions`."""
    frequency = 10.0 ** (-np.arange(0, width, 2, dtype=np.float32) / np.float32(width))
    angle = np.arange(ticks, dtype=np.float32)[:, None] * frequency
    return np.concatenate([np.sin(angle), np.cos(angle)], 1)


def frame_causal(ticks: int, tokens: int) -> np.ndarray:
    """Return what is added to attention scores, (1, 1, n, n): nothing where a token may look, its own tick and earlier ones."""
    tick = np.repeat(np.arange(ticks), tokens)
    return np.where(tick[:, None] >= tick, 0.0, HIDDEN_SCORE)[None, None]
