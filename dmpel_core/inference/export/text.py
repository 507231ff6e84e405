"""The text towers as ONNX: word embeddings to tokens once per instruction, and tokens to the sentence's embedding with experts.

The second graph also gives the sentence's frozen embedding, with factors of zero, once per instruction.
"""

from dmpel_core.inference.export.blocks import Blocks, bert_layer
from dmpel_core.inference.export.graph import Graph
from dmpel_core.policy import text_files as bert
from dmpel_core.policy.sizes import LanguageSizes, PolicySizes


def text_width(sizes: PolicySizes) -> int:
    """Return the width of the text tokens."""
    return sizes.language.width if sizes.language else bert.WIDTH


def text_trunk(graph: Graph, sizes: PolicySizes) -> None:
    """Write the frozen half: embedded words (words, width) to tokens (words, width)."""
    width = text_width(sizes)
    x = graph.input("embedded", ("words", width))
    if sizes.language:
        names = [f"text.frozen.{number}" for number in range(sizes.language.adapted[0])]
        x = _clip_blocks(graph, sizes.language).all(x, names)
    else:
        x = graph.norm(x, "text.norm", bert.EPSILON)
        for number in range(bert.FROZEN_LAYERS):
            x = bert_layer(graph, x, f"text.layers.{number}", bert.HEADS, width, bert.EPSILON)
    graph.output(x, "words", ("words", width))


def text_encode(graph: Graph, sizes: PolicySizes) -> None:
    """Write the second half with experts: tokens (words, width) to the sentence's embedding (1, outputs)."""
    words = graph.input("words", ("words", text_width(sizes)))
    sentence = _clip_sentence(graph, words, sizes.language) if sizes.language else _bert_sentence(graph, words)
    graph.output(sentence, "sentence", (1, sizes.language.outputs if sizes.language else bert.WIDTH))


def _clip_blocks(graph: Graph, language: LanguageSizes) -> Blocks:
    return Blocks(graph, language.heads, language.width, activation="quick_gelu", causal=True)


def _clip_sentence(graph: Graph, words: str, language: LanguageSizes) -> str:
    """Read the sentence out at its last token, which is the end-of-text token."""
    *names, last = [f"text.blocks.{number}" for number in range(language.depth - language.adapted[0])]
    blocks = _clip_blocks(graph, language)
    end = blocks.one_row(blocks.all(words, names), last, graph.constant([-1]))
    return graph.plain(graph.norm(end, "text.norm"), "text.projection")


def _bert_sentence(graph: Graph, words: str) -> str:
    """Pool the tokens by their mean, and scale the sentence to a mean square of 1."""
    for number in range(bert.FROZEN_LAYERS, bert.LAYERS):
        words = bert_layer(graph, words, f"text.layers.{number}", bert.HEADS, bert.WIDTH, bert.EPSILON)
    mean = graph.op("ReduceMean", words, graph.constant([0]), keepdims=1)
    length = graph.op("ReduceL2", mean, graph.constant([1]), keepdims=1)
    unit = graph.op("Div", mean, graph.op("Max", length, graph.constant(1e-12)))
    return graph.op("Mul", unit, graph.constant(bert.WIDTH**0.5))
