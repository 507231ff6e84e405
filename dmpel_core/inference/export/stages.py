"""The stages of a tick, cut where something is kept or used twice, and the graphs of a whole library.

    trunk         pictures -> tokens, and their first projection       once per tick
    look          tokens -> class tokens, without experts              for the router's query
    encode        tokens, image factors -> class tokens                to act
    text_trunk    embedded words -> tokens                             once per instruction
    text_encode   tokens, text factors -> sentence                     when the text coefficients change
    act           class tokens, state, sentence, window, factors -> Gaussian mixture

The stages of the image tower are there in eight bits too, under names of their own, for whoever chooses that.

A stage needs no more than sizes, the list of adapted layers and the names and shapes of the weights.
"""

from collections.abc import Callable, Mapping

from dmpel_core.experts.manifest import Module
from dmpel_core.groups import GROUPS
from dmpel_core.inference import quantise
from dmpel_core.inference.export.act import act
from dmpel_core.inference.export.graph import Graph
from dmpel_core.inference.export.image import encode, look, trunk
from dmpel_core.inference.export.quantised import QuantisedGraph
from dmpel_core.inference.export.text import text_encode, text_trunk
from dmpel_core.policy.sizes import PolicySizes

STAGES: dict[str, tuple[Callable[[Graph, PolicySizes], None], tuple[str, ...]]] = {
    "trunk": (trunk, ()),
    "look": (look, ()),
    "encode": (encode, ("image",)),
    "text_trunk": (text_trunk, ()),
    "text_encode": (text_encode, ("text",)),
    "act": (act, tuple(group for group in GROUPS if group not in {"image", "text"})),
}
"""For each stage, what writes it and the module groups whose experts it takes."""


def write_graphs(sizes: PolicySizes, modules: tuple[Module, ...], weights: Mapping[str, tuple[int, ...]]) -> dict[str, bytes]:
    """Return each stage's ONNX file: a function of sizes alone, without a number that training made.

    Args:
        sizes: Of the policy.
        modules: The layers that experts adapt.
        weights: Shape of every tensor of the backbone, and of its text encoder under `text.`.
    """
    kinds: list[tuple[str, str, type[Graph]]] = [(name, name, Graph) for name in STAGES]
    kinds += [(f"{name}{quantise.SUFFIX}", name, QuantisedGraph) for name in quantise.STAGES]
    graphs = {}
    for name, stage, kind in kinds:
        write, groups = STAGES[stage]
        adapted = {module.name: module for module in modules if module.group in groups}
        graph = kind(name, weights, adapted, sizes.expert_bias)
        write(graph, sizes)
        graphs[name] = graph.finish()
    return graphs
