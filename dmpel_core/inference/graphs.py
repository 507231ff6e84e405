"""The policy as ONNX graphs: structure only, once per backbone; no expert and no large weight is in them.

Six graphs make a tick, cut where something is kept or used twice:

    trunk            pictures -> tokens                          once per tick
    encode           tokens, image factors -> class tokens       with zero factors for the router query, with mixed ones to act
    sentence_trunk   token ids -> text tokens                    once per instruction
    sentence         text tokens, text factors -> embedding      with zero factors once per instruction, with mixed ones per tick
    fuse             class tokens, state, embedding, factors -> fused tokens of this tick
    decide           window of fused tokens, factors -> Gaussian mixture of the newest tick

A module group's mixed factors come in as one flat vector, laid out as in `dmpel_core.inference.flat_pool.Layout`, so that a
new expert needs no export. Weights are taken from the library's own files by name, see `graph_file`.
"""

import io
import logging
import warnings
from collections.abc import Mapping
from contextlib import contextmanager
from collections.abc import Iterator

import onnx
import torch
from torch import Tensor, nn

from dmpel_core.groups import GROUPS
from dmpel_core.inference.flat_pool import Layout
from dmpel_core.policy.adapted import Mixture
from dmpel_core.policy.image import to_pixels
from dmpel_core.policy.policy import Policy

OPSET = 20
INLINE = 1024  # weights of fewer bytes stay in the graph: they are shapes and constants, not what training made


def mixture_of(layout: Layout, groups: Mapping[str, Tensor]) -> Mixture:
    """Return the mixture that the flat vectors (numbers,) of some module groups hold, for a batch of one."""
    mixed: dict[str, dict[str, Tensor]] = {}
    for group, vector in groups.items():
        for name, (start, (rows, columns)) in layout.places(group).items():
            module, letter = name.rsplit(".", 1)
            mixed.setdefault(module, {})[letter] = vector[start : start + rows * columns].view(1, rows, columns)
    return {module: (pair["A"], pair["B"]) for module, pair in mixed.items()}


class Stage(nn.Module):
    """One graph: a part of the policy with the flat factors of some groups as its last inputs."""

    inputs: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    def __init__(self, policy: Policy, layout: Layout) -> None:
        super().__init__()
        self.policy = policy
        self.layout = layout

    def examples(self) -> tuple[Tensor, ...]:
        """Return inputs of the right shapes, without the factors."""
        raise NotImplementedError

    def compute(self, *inputs: Tensor, mixture: Mixture) -> Tensor | tuple[Tensor, ...]:
        """Compute the outputs."""
        raise NotImplementedError

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Split the factors off and compute."""
        count = len(self.inputs)
        return self.compute(*inputs[:count], mixture=mixture_of(self.layout, dict(zip(self.groups, inputs[count:], strict=True))))


class Trunk(Stage):
    """Pictures (cameras, height, width, 3) uint8 to tokens (cameras, tokens, image_width)."""

    inputs, outputs = ("pictures",), ("tokens",)
    size = 128

    def examples(self) -> tuple[Tensor, ...]:
        """Return black pictures."""
        return (torch.zeros(len(self.policy.sizes.cameras), self.size, self.size, 3, dtype=torch.uint8),)

    def compute(self, *inputs: Tensor, mixture: Mixture) -> Tensor:
        """Shrink and run the frozen half."""
        return self.policy.image.trunk(to_pixels(inputs[0].permute(0, 3, 1, 2)[None], self.policy.sizes.pixels))[0]


class Encode(Stage):
    """Tokens (cameras, tokens, image_width) to class tokens (cameras, image_width)."""

    inputs, groups, outputs = ("tokens",), ("image",), ("classes",)

    def examples(self) -> tuple[Tensor, ...]:
        """Return the tokens of black pictures."""
        trunk = Trunk(self.policy, self.layout)
        return (trunk(*trunk.examples()),)

    def compute(self, *inputs: Tensor, mixture: Mixture) -> Tensor:
        """Run the adapted half."""
        return self.policy.image.encode(inputs[0][None], mixture)[0]


class SentenceTrunk(Stage):
    """Token ids (1, n) to text tokens (1, n, text_width)."""

    inputs, outputs = ("ids",), ("text_tokens",)

    def examples(self) -> tuple[Tensor, ...]:
        """Return some ids."""
        return (torch.tensor([self.policy.text.ids("put the bowl on the plate")]),)

    def compute(self, *inputs: Tensor, mixture: Mixture) -> Tensor:
        """Run the frozen half."""
        return self.policy.text.trunk_of(inputs[0])


class Sentence(Stage):
    """Text tokens (1, n, text_width) to the sentence's embedding (1, embedding)."""

    inputs, groups, outputs = ("text_tokens",), ("text",), ("sentence",)

    def examples(self) -> tuple[Tensor, ...]:
        """Return some sentence's tokens."""
        return (self.policy.text.trunk("put the bowl on the plate"),)

    def compute(self, *inputs: Tensor, mixture: Mixture) -> Tensor:
        """Run the adapted half and pool."""
        return self.policy.text.encode(inputs[0], mixture)


class Fuse(Stage):
    """Class tokens, normalised joints and fingers (9,) and embedding to this tick's fused tokens (2 + cameras, width)."""

    inputs, groups, outputs = ("classes", "state", "sentence"), ("image", "proprioception", "fusion"), ("fused",)

    def examples(self) -> tuple[Tensor, ...]:
        """Return zeros."""
        sizes = self.policy.sizes
        return torch.zeros(len(sizes.cameras), sizes.image_width), torch.zeros(9), torch.zeros(1, self.policy.text.width)

    def compute(self, *inputs: Tensor, mixture: Mixture) -> Tensor:
        """Project, and let the instruction scale and shift."""
        classes, state, sentence = inputs
        pictures = self.policy.image.project(classes, mixture)
        body = self.policy.proprioception(state[None], mixture)[0]
        return self.policy.fusion(torch.cat([body, pictures])[None, None], sentence, mixture)[0, 0]


class Decide(Stage):
    """Window of fused tokens (ticks, 2 + cameras, width), oldest first, to the newest tick's mixture: logits, mean, deviation."""

    inputs, groups, outputs = ("window",), ("temporal", "head"), ("logits", "mean", "std")

    def examples(self) -> tuple[Tensor, ...]:
        """Return a window of three ticks."""
        sizes = self.policy.sizes
        return (torch.zeros(3, 2 + len(sizes.cameras), sizes.width),)

    def compute(self, *inputs: Tensor, mixture: Mixture) -> tuple[Tensor, ...]:
        """Run the temporal transformer and the head."""
        feature = self.policy.temporal(inputs[0][None], mixture)[:, -1]
        mixed = self.policy.head(feature, mixture)
        return mixed.logits[0], mixed.mean[0], mixed.std[0]


STAGES: dict[str, type[Stage]] = {
    "trunk": Trunk, "encode": Encode, "sentence_trunk": SentenceTrunk, "sentence": Sentence, "fuse": Fuse, "decide": Decide,
}  # fmt: skip
DYNAMIC = {"ids": {1: "words"}, "text_tokens": {1: "words"}, "window": {0: "ticks"}}


def export(policy: Policy, layout: Layout) -> dict[str, bytes]:
    """Return each stage's ONNX graph, its weights taken out."""
    return {name: export_stage(stage(policy, layout).eval()) for name, stage in STAGES.items()}


def export_stage(stage: Stage) -> bytes:
    """Return one stage's graph; its weights are to come from the file that `dmpel_core.inference.sessions` finds them in."""
    factors = tuple(torch.zeros(stage.layout.groups[group].stop - stage.layout.groups[group].start) for group in stage.groups)
    names = [*stage.inputs, *stage.groups]
    shapes = tuple(({axis: torch.export.Dim(label, min=1, max=512) for axis, label in DYNAMIC[name].items()} if name in DYNAMIC else None)
                   for name in names)  # fmt: skip
    with quiet(), torch.inference_mode():
        program = torch.onnx.export(
            stage, (*stage.examples(), *factors), dynamo=True, optimize=True, opset_version=OPSET, verbose=False,
            input_names=names, output_names=list(stage.outputs), dynamic_shapes=(shapes,),
        )  # fmt: skip
    model = program.model_proto
    onnx.checker.check_model(model)
    return without_weights(model)


def without_weights(model: onnx.ModelProto) -> bytes:
    """Take the large weights out of a graph and say instead which file of the library holds them."""
    for tensor in model.graph.initializer:
        name = tensor.name.removeprefix("policy.")
        if len(tensor.raw_data) >= INLINE:
            ...
    return model.SerializeToString()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the exporter's notes about packages that it does not need from the user."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logger.setLevel(level)
