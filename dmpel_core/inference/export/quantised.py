"""A writer of graphs whose image tower multiplies in eight bits (`dmpel_core.inference.quantise` makes the weights)."""

from onnx import TensorProto

from dmpel_core.inference.export.graph import CONTRIB, Graph
from dmpel_core.inference.quantise import is_quantised, norm_before


class QuantisedGraph(Graph):
    """As `Graph`, but for the layers that `is_quantised` names."""

    def plain(self, x: str, name: str) -> str:
        """Apply a linear layer of the backbone alone to rows (n, inputs)."""
        if not is_quantised(name):
            return super().plain(x, name)
        y = self._multiply(x, name, *self._quantised(name))
        return self.op("Add", y, self.weight(f"{name}.bias")) if self.has(f"{name}.bias") else y

    def plain_third(self, x: str, name: str, part: int) -> str:
        """Apply the query (0), key (1) or value (2) of a fused projection to rows (n, inputs)."""
        if not is_quantised(name):
            return super().plain_third(x, name, part)
        weight, scale = self._quantised(name)
        width = self.shape(f"{name}.weight")[0] // 3
        first, last = (self.constant([bound * width]) for bound in (part, part + 1))
        cut = self.op("Slice", weight, first, last, self.constant([1])), self.op("Slice", scale, first, last)
        y = self._multiply(x, name, *cut)
        return self.op("Add", y, self.third(f"{name}.bias", part)) if self.has(f"{name}.bias") else y

    def _quantised(self, name: str) -> tuple[str, str]:
        """Declare a layer's weight (inputs, outputs) in eight bits, and the scale of each output."""
        outputs, inputs = self.shape(f"{name}.weight")
        return self.fed(f"{name}.int8", (inputs, outputs), TensorProto.INT8), self.fed(f"{name}.scale", (outputs,))

    def _multiply(self, x: str, name: str, weight: str, scale: str) -> str:
        """Multiply rows (n, inputs), each divided by its largest number, and the product by that number again."""
        if norm_before(name):
            x = self.op("Mul", x, self.fed(f"{name}.fold", self.shape(f"{name}.weight")[1:]))
        largest = self.op("ReduceMax", self.op("Abs", x), self.constant([1]), keepdims=1)
        largest = self.op("Max", largest, self.constant(1e-30))
        product = self.op("DynamicQuantizeMatMul", self.op("Div", x, largest), weight, scale, domain=CONTRIB)
        return self.op("Mul", product, largest)
