"""The image towers as ONNX: pictures to tokens once per tick, and tokens to class tokens without and with experts.

Cameras are rows of one batch. A picture is resized by two matrices, rows and columns, that the engine makes for the size of
the pictures it gets (`dmpel_core.inference.pictures`), so a graph fits every camera.
"""

import numpy as np
from onnx import TensorProto

from dmpel_core.inference.export.blocks import Blocks
from dmpel_core.inference.export.graph import Graph
from dmpel_core.policy.image import STRIDE, levels
from dmpel_core.policy.sizes import MEAN, STD, PolicySizes, VisionSizes

BEGUN = ("normed", "queries", "keys", "values")
"""Of the tokens, before the first block with experts, where that is not the last one too."""


def trunk(graph: Graph, sizes: PolicySizes) -> None:
    """Write the frozen half: pictures (cameras, height, width, 3) uint8 to tokens (cameras * tokens, image_width).

    What the next block computes before any expert is in it, both passes of the second half take from here.
    """
    pixels = sizes.vision.pixels if sizes.vision else sizes.pixels
    pictures = _resized(graph, len(sizes.cameras), pixels)  # (cameras, 3, pixels, pixels), from 0 to 255
    tokens = _patches(graph, pictures, sizes, sizes.vision) if sizes.vision else _convolutions(graph, pictures, sizes)
    first, *others = block_names(sizes)[1]
    begun = zip(BEGUN, _blocks(graph, sizes).begin(tokens, first), strict=True) if others else ()
    for name, value in [("tokens", tokens), *begun]:
        graph.output(value, name, (len(sizes.cameras) * token_count(sizes), sizes.image_width))


def look(graph: Graph, sizes: PolicySizes) -> None:
    """Write the second half without experts: tokens to class tokens (cameras, image_width)."""
    graph.output(_classes(graph, sizes), "classes", (len(sizes.cameras), sizes.image_width))


def encode(graph: Graph, sizes: PolicySizes) -> None:
    """Write the second half with experts: tokens to class tokens, at the width of the fused tokens."""
    classes = _classes(graph, sizes)
    views = classes if sizes.vision else graph.linear(classes, "image.projection")
    graph.output(views, "views", (len(sizes.cameras), sizes.width))


def token_count(sizes: PolicySizes) -> int:
    """Return the tokens of one picture, the class token included."""
    if sizes.vision:
        return 1 + (sizes.vision.pixels // sizes.vision.patch) ** 2
    return 1 + (sizes.pixels // STRIDE) ** 2


def block_names(sizes: PolicySizes) -> tuple[list[str], list[str]]:
    """Return the names of the tower's blocks before and from the first adapted one on."""
    if sizes.vision is None:
        return [], [f"image.blocks.{number}" for number in range(sizes.image_blocks)]
    first = sizes.vision.adapted[0]
    return [f"image.frozen.{number}" for number in range(first)], [f"image.blocks.{number}" for number in range(sizes.vision.depth - first)]


def _blocks(graph: Graph, sizes: PolicySizes) -> Blocks:
    vision = sizes.vision
    heads, activation = (vision.heads, vision.activation) if vision else (sizes.heads, "gelu")
    return Blocks(graph, heads, sizes.image_width, batch=len(sizes.cameras), activation=activation)


def _classes(graph: Graph, sizes: PolicySizes) -> str:
    """Run the second half for the class tokens alone."""
    count, cameras = token_count(sizes), len(sizes.cameras)
    shape = (cameras * count, sizes.image_width)
    blocks, (first, *middle) = _blocks(graph, sizes), block_names(sizes)[1]
    x, last = graph.input("tokens", shape), first
    if middle:
        *middle, last = middle
        x = blocks.block(x, first, [graph.input(name, shape) for name in BEGUN])
        x = blocks.all(x, middle)
    rows = graph.constant([camera * count for camera in range(cameras)])
    return graph.norm(blocks.one_row(x, last, rows), "image.norm")


def _resized(graph: Graph, cameras: int, pixels: int) -> str:
    pictures = graph.input("pictures", (cameras, "height", "width", 3), TensorProto.UINT8)
    rows, columns = graph.input("rows", (pixels, "height")), graph.input("columns", ("width", pixels))
    flat = graph.op("Reshape", graph.op("Cast", pictures, to=TensorProto.FLOAT), graph.constant([cameras, 0, -1]), allowzero=0)
    low = graph.reshape(graph.op("MatMul", rows, flat), cameras, pixels, -1, 3)  # (cameras, pixels, width, 3)
    return graph.op("MatMul", graph.op("Transpose", low, perm=[0, 3, 1, 2]), columns)


def _scaled(graph: Graph, pictures: str, mean: np.ndarray, std: np.ndarray) -> str:
    """Return (x / 255 - mean) / std for each colour."""
    factor, shift = (graph.constant(values.reshape(1, -1, 1, 1)) for values in (1 / (255 * std), -mean / std))
    return graph.op("Add", graph.op("Mul", pictures, factor), shift)


def _patches(graph: Graph, pictures: str, sizes: PolicySizes, vision: VisionSizes) -> str:
    """Write the vision transformer's frozen half (`dmpel_core.policy.vision`)."""
    cameras, width, grid = len(sizes.cameras), sizes.image_width, token_count(sizes) - 1
    scaled = _scaled(graph, pictures, np.array(MEAN), np.array(STD))
    step = [vision.patch, vision.patch]
    patches = graph.op("Conv", scaled, graph.weight("image.patches.weight"), kernel_shape=step, strides=step)
    x = graph.op("Transpose", graph.reshape(patches, cameras, width, grid), perm=[0, 2, 1])
    token = graph.op("Expand", graph.weight("image.class_token"), graph.constant([cameras, 1, width]))
    x = graph.op("Add", graph.op("Concat", token, x, axis=1), graph.weight("image.position"))
    x = graph.norm(graph.reshape(x, -1, width), "image.norm_pre")
    return _blocks(graph, sizes).all(x, block_names(sizes)[0])


def _convolutions(graph: Graph, pictures: str, sizes: PolicySizes) -> str:
    """Write one convolutional trunk per camera (`dmpel_core.policy.image.ConvolutionalTrunk`)."""
    scaled = _scaled(graph, pictures, np.array([0.45]), np.array([0.25]))
    count = len(sizes.cameras)
    cut = graph.ops("Split", scaled, results=(True,) * count, axis=0, num_outputs=count) if count > 1 else [scaled]
    tokens = [_convolutional_trunk(graph, picture, f"image.trunks.{camera}", sizes) for camera, picture in enumerate(cut)]
    return graph.op("Concat", *tokens, axis=0)


def _convolutional_trunk(graph: Graph, picture: str, name: str, sizes: PolicySizes) -> str:
    def convolve(x: str, layer: str, size: int, stride: int) -> str:
        weights = graph.weight(f"{name}.{layer}.weight"), graph.weight(f"{name}.{layer}.bias")
        return graph.op("Conv", x, *weights, kernel_shape=[size, size], strides=[stride, stride], pads=[1, 1, 1, 1])

    width, side = sizes.image_width, sizes.pixels // 4
    maps = graph.op("Relu", convolve(picture, "stem", 6, 4))
    sharpness = graph.op("Exp", graph.weight(f"{name}.sharpness"))
    points = []
    for number, (_, stride) in enumerate(levels(width)):
        side //= stride
        maps = _group_norm(graph, convolve(maps, f"levels.{number}.conv", 3, stride), f"{name}.levels.{number}.norm", side)
        points.append(_points(graph, maps, sharpness, side))
    pooled = [graph.reshape(graph.op(kind, maps), 1, width) for kind in ("GlobalAveragePool", "GlobalMaxPool")]
    token = graph.plain(graph.op("Concat", *points, *pooled, axis=1), f"{name}.readout")
    grid = graph.op("Transpose", graph.reshape(maps, width, -1), perm=[1, 0])
    normed = graph.norm(graph.op("Concat", token, grid, axis=0), f"{name}.norm")
    return graph.op("Add", normed, graph.reshape(graph.weight(f"{name}.position"), -1, width))


def _group_norm(graph: Graph, maps: str, name: str, side: int) -> str:
    """Normalise (1, channels, side, side) in 8 groups of channels, then ReLU."""
    ones, zeros = graph.constant(np.ones(8)), graph.constant(np.zeros(8))
    normed = graph.op("InstanceNormalization", graph.reshape(maps, 1, 8, -1), ones, zeros, epsilon=1e-5)
    scale, shift = (graph.reshape(graph.weight(f"{name}.{part}"), -1, 1, 1) for part in ("weight", "bias"))
    scaled = graph.op("Mul", graph.reshape(normed, 1, -1, side, side), scale)
    return graph.op("Relu", graph.op("Add", scaled, shift))


def _points(graph: Graph, maps: str, sharpness: str, side: int) -> str:
    """Return where each channel of (1, channels, side, side) looks, (1, 2 * channels), as `spatial_softmax` does."""
    line = np.linspace(-1, 1, side)
    places = graph.constant(np.stack([np.tile(line, side), np.repeat(line, side)], 1))  # (side * side, 2): x, y
    flat = graph.op("Mul", graph.reshape(maps, -1, side * side), sharpness)
    return graph.reshape(graph.op("MatMul", graph.op("Softmax", flat, axis=-1), places), 1, -1)
