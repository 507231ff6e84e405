"""A small writer of ONNX graphs whose weights stay in the library's own files."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from dmpel_core.experts.manifest import Module
from dmpel_core.groups import WITH_BIAS
from dmpel_core.inference.graph_file import MIXED, WEIGHTS_PLACE
from dmpel_core.policy.sizes import LORA_ALPHA

OPSET, CONTRIB_OPSET, IR_VERSION = 20, 1, 10
CONTRIB = "com.microsoft"  # ONNX Runtime's own operators: fused attention


class Graph:
    """One stage of the policy while it is written.

    Values are named by strings. A weight is declared, not stored: the engine feeds it from the library's checked files.

    Args:
        name: Of the stage.
        weights: Shape of every tensor of the backbone and its text encoder.
        modules: The layers that experts adapt, by name; empty for a stage without experts.
        biases: Whether experts also have biases, in the groups that may.
    """

    def __init__(self, name: str, weights: Mapping[str, tuple[int, ...]], modules: Mapping[str, Module], biases: bool) -> None:
        self.name = name
        self._weights, self._modules, self._biases = weights, modules, biases
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._inputs: dict[str, onnx.ValueInfoProto] = {}
        self._outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, shape: Sequence[int | str], kind: int = TensorProto.FLOAT) -> str:
        """Declare an input; a string in `shape` names a size that is known when the graph runs."""
        self._inputs[name] = helper.make_tensor_value_info(name, kind, list(shape))
        return name

    def output(self, value: str, name: str, shape: Sequence[int | str]) -> None:
        """Return a value under a name of its own."""
        self._nodes.append(helper.make_node("Identity", [value], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))

    def has(self, name: str) -> bool:
        """Return whether the backbone has a tensor of that name."""
        return name in self._weights

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor of the backbone."""
        return self._weights[name]

    def weight(self, name: str) -> str:
        """Declare a tensor of the backbone."""
        return self.fed(name, self._weights[name])

    def fed(self, name: str, shape: Sequence[int], kind: int = TensorProto.FLOAT) -> str:
        """Declare a tensor that the engine feeds."""
        if name not in self._constants:
            tensor = TensorProto(name=name, data_type=kind, dims=shape, data_location=TensorProto.EXTERNAL)
            tensor.external_data.add(key="location", value=WEIGHTS_PLACE)
            self._constants[name] = tensor
        return name

    def constant(self, value: np.ndarray | float | Sequence[int]) -> str:
        """Keep a few numbers in the graph: whole ones are int64, others float32."""
        array = np.asarray(value)
        array = array.astype(np.int64 if array.dtype.kind in "iu" else np.float32)
        name = f"constant_{len(self._constants)}"
        self._constants[name] = numpy_helper.from_array(array, name)
        return name

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add an operator with one result."""
        return self.ops(kind, *inputs, results=(True,), domain=domain, **attributes)[0]

    def ops(self, kind: str, *inputs: str, results: Sequence[bool], domain: str = "", **attributes: Any) -> list[str]:
        """Add an operator with several results; those marked False are left out."""
        names = [f"{kind}_{len(self._nodes)}_{place}" if wanted else "" for place, wanted in enumerate(results)]
        self._nodes.append(helper.make_node(kind, list(inputs), names, domain=domain, **attributes))
        return [name for name in names if name]

    def reshape(self, value: str, *shape: int) -> str:
        """Give a value another shape."""
        return self.op("Reshape", value, self.constant(shape))

    def linear(self, x: str, name: str) -> str:
        """Apply a linear layer with its low-rank update to rows (n, inputs): x W + b + (alpha / rank) ((x A) B + bias)."""
        return self.adapt(x, self.plain(x, name), name)

    def plain(self, x: str, name: str) -> str:
        """Apply a linear layer of the backbone alone to rows (n, inputs)."""
        bias = (self.weight(f"{name}.bias"),) if self.has(f"{name}.bias") else ()
        return self.op("Gemm", x, self.weight(f"{name}.weight"), *bias, transB=1)

    def plain_third(self, x: str, name: str, part: int) -> str:
        """Apply the query (0), key (1) or value (2) of a fused projection of the backbone to rows (n, inputs)."""
        bias = (self.third(f"{name}.bias", part),) if self.has(f"{name}.bias") else ()
        return self.op("Gemm", x, self.third(f"{name}.weight", part), *bias, transB=1)

    def third(self, tensor: str, part: int) -> str:
        """Return a third of a tensor's rows; the cut is made once, when the graph is opened."""
        rows = self._weights[tensor][0] // 3
        return self.op("Slice", self.weight(tensor), *(self.constant([bound * rows]) for bound in (part, part + 1)))

    def adapt(self, x: str, y: str, name: str) -> str:
        """Add the low-rank update of a layer with input x to its answer y."""
        module = self._modules.get(name)
        if module is None:
            return y
        a, b, scale = self.factors(module)
        y = self.op("Gemm", self.op("MatMul", x, a), b, y, alpha=scale)
        if self._biases and module.group in WITH_BIAS:
            bias = self.input(f"{MIXED}{name}.bias", (module.outputs,))
            y = self.op("Add", y, self.op("Mul", bias, self.constant(scale)))
        return y

    def adapt_by_head(self, x: str, y: str, name: str, heads: int) -> str:
        """Add the update of a layer whose outputs are those of all heads: x (heads, n, inputs), y (heads, n, outputs / heads)."""
        module = self._modules.get(name)
        if module is None:
            return y
        a, b, scale = self.factors(module)
        by_head = self.op("Transpose", self.reshape(b, module.rank, heads, -1), perm=[1, 0, 2])  # (heads, rank, outputs / heads)
        update = self.op("MatMul", self.op("MatMul", x, a), by_head)
        return self.op("Add", y, self.op("Mul", update, self.constant(scale)))

    def factors(self, module: Module) -> tuple[str, str, float]:
        """Declare the mixed factors A (inputs, rank) and B (rank, outputs) of an adapted layer; also return their scale."""
        a = self.input(f"{MIXED}{module.name}.A", (module.inputs, module.rank))
        b = self.input(f"{MIXED}{module.name}.B", (module.rank, module.outputs))
        return a, b, LORA_ALPHA / module.rank

    def norm(self, x: str, name: str, epsilon: float = 1e-5) -> str:
        """Apply a layer norm."""
        return self.op("LayerNormalization", x, self.weight(f"{name}.weight"), self.weight(f"{name}.bias"), axis=-1, epsilon=epsilon)

    def attend(self, q: str, k: str, v: str, heads: int, width: int, *, batch: int = 1, bias: str = "", causal: bool = False) -> str:
        """Attend over rows (batch * tokens, width); `bias` is added to the scores, `causal` lets a token look at itself and before."""
        parts = [self.reshape(part, batch, -1, width) for part in (q, k, v)]
        extra = ("", "", bias) if bias else ()
        y = self.op("MultiHeadAttention", *parts, *extra, domain=CONTRIB, num_heads=heads, unidirectional=int(causal))
        return self.reshape(y, -1, width)

    def finish(self) -> bytes:
        """Return the graph as an ONNX file."""
        graph = helper.make_graph(self._nodes, self.name, list(self._inputs.values()), self._outputs, list(self._constants.values()))
        imports = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, CONTRIB_OPSET)]
        model = helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION, producer_name="dmpel")
        return model.SerializeToString(deterministic=True)
