"""Transformer blocks as ONNX: those of `dmpel_core.policy.transformer`, and the post-norm ones of BERT."""

from dmpel_core.inference.export.graph import CONTRIB, Graph


def activate(graph: Graph, x: str, activation: str) -> str:
    """Apply one of `dmpel_core.policy.transformer.ACTIVATIONS`."""
    if activation == "quick_gelu":
        return graph.op("QuickGelu", x, domain=CONTRIB, alpha=1.702)
    return graph.op("Gelu", x, approximate="tanh" if activation == "gelu_tanh" else "none")


class Blocks:
    """A row of pre-norm blocks over rows (batch * tokens, width).

    A layer norm is computed together with the sum before it, so a block hands its successor both. The last block may answer for
    some rows only: their queries attend to the keys and values of all, and nothing else of the other rows is computed.

    Args:
        graph: Where to write.
        heads: Attention heads.
        width: Width of the rows.
        batch: Sequences whose rows follow each other.
        activation: Of the MLPs.
        bias: Added to the attention scores, or "".
        causal: Whether a token looks at itself and before only.
    """

    def __init__(
        self, graph: Graph, heads: int, width: int, *, batch: int = 1, activation: str = "gelu", bias: str = "", causal: bool = False
    ) -> None:
        self.graph, self.heads, self.width, self.batch, self.activation = graph, heads, width, batch, activation
        self.bias, self.causal = bias, causal

    def all(self, x: str, names: list[str]) -> str:
        """Run the blocks of these names on every row; return their sum, before any last norm."""
        if not names:
            return x
        normed, mlp = self.graph.norm(x, f"{names[0]}.norm1"), ""
        for number, name in enumerate(names):
            if number:
                normed, x = self.graph.sum_and_norm(mlp, x, f"{name}.norm1")
            mlp, x = self._block(x, normed, name)
        return self.graph.op("Add", mlp, x)

    def some(self, x: str, names: list[str], rows: str, norm: str = "", bias: str = "") -> str:
        """Run the blocks, the last for `rows` alone.

        Args:
            x: (rows, width).
            names: Blocks, first to last.
            rows: int64, the rows that are wanted, as many for each sequence.
            norm: Layer norm after the last block, or "".
            bias: The wanted rows' attention bias, or "".

        Returns:
            (wanted rows, width).
        """
        graph, last = self.graph, names[-1]
        x = self.all(x, names[:-1])
        normed = graph.norm(x, f"{last}.norm1")
        asking = graph.op("Gather", normed, rows, axis=0)
        y = self._attention(asking, normed, last, bias, causal=False)
        x = graph.op("Gather", x, rows, axis=0)
        mlp, x = self._mlp(x, y, last)
        return graph.sum_and_norm(mlp, x, norm)[0] if norm else graph.op("Add", mlp, x)

    def _block(self, x: str, normed: str, name: str) -> tuple[str, str]:
        """Return what the block's MLP adds, and what it is to be added to."""
        return self._mlp(x, self._attention(normed, normed, name, self.bias, self.causal), name)

    def _mlp(self, x: str, attended: str, name: str) -> tuple[str, str]:
        normed, x = self.graph.sum_and_norm(attended, x, f"{name}.norm2")
        hidden = activate(self.graph, self.graph.linear(normed, f"{name}.up"), self.activation)
        return self.graph.linear(hidden, f"{name}.down"), x

    def _attention(self, asking: str, normed: str, name: str, bias: str, causal: bool) -> str:
        """Attend from the rows `asking` to all rows; the fused projection's weights are cut where not all rows ask."""
        graph, place = self.graph, f"{name}.attention.qkv"
        q, k, v = (self._project(rows, place, part) for part, rows in enumerate((asking, normed, normed)))
        q, v = graph.adapt(asking, q, f"{place}.q"), graph.adapt(normed, v, f"{place}.v")
        y = graph.attend(q, k, v, self.heads, self.width, batch=self.batch, bias=bias, causal=causal)
        return graph.linear(y, f"{name}.attention.out")

    def _project(self, x: str, place: str, part: int) -> str:
        """Apply query (0), key (1) or value (2) of a fused projection; the cut is made once, when the graph is opened."""
        graph, width = self.graph, self.width
        cut = [graph.constant([bound]) for bound in (part * width, (part + 1) * width)]
        weight = graph.op("Slice", graph.weight(f"{place}.weight"), *cut)
        bias = (graph.op("Slice", graph.weight(f"{place}.bias"), *cut),) if graph.has(f"{place}.bias") else ()
        return graph.op("Gemm", x, weight, *bias, transB=1)


def bert_layer(graph: Graph, x: str, name: str, heads: int, width: int, epsilon: float) -> str:
    """Apply one post-norm layer to rows (tokens, width), as `dmpel_core.policy.text.BertLayer` does."""
    q, k, v = (graph.linear(x, f"{name}.{part}") for part in ("query", "key", "value"))
    y = graph.linear(graph.attend(q, k, v, heads, width), f"{name}.out")
    x = graph.sum_and_norm(y, x, f"{name}.norm1", epsilon)[0]
    hidden = activate(graph, graph.linear(x, f"{name}.up"), "gelu")
    return graph.sum_and_norm(graph.linear(hidden, f"{name}.down"), x, f"{name}.norm2", epsilon)[0]
