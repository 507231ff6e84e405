"""Transformer blocks as ONNX: those of `dmpel_core.policy.transformer`, and the post-norm ones of BERT."""

from collections.abc import Sequence

from dmpel_core.inference.export.graph import CONTRIB, Graph


def activate(graph: Graph, x: str, activation: str) -> str:
    """Apply one of `dmpel_core.policy.transformer.ACTIVATIONS`."""
    if activation == "quick_gelu":
        return graph.op("QuickGelu", x, domain=CONTRIB, alpha=1.702)
    return graph.op("Gelu", x, approximate="tanh" if activation == "gelu_tanh" else "none")


class Blocks:
    """A row of pre-norm blocks over rows (batch * tokens, width).

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

    def all(self, x: str, names: Sequence[str]) -> str:
        """Run the blocks of these names on every row; return their sum, before any last norm."""
        for name in names:
            x = self.block(x, name, self.begin(x, name))
        return x

    def begin(self, x: str, name: str) -> list[str]:
        """Return what a block computes first, with experts or without: its normed rows, and their query, key and value."""
        normed = self.graph.norm(x, f"{name}.norm1")
        return [normed, *(self.graph.plain_third(normed, f"{name}.attention.qkv", part) for part in range(3))]

    def block(self, x: str, name: str, begun: Sequence[str]) -> str:
        """Run the rest of a block on every row."""
        graph, place = self.graph, f"{name}.attention.qkv"
        normed, q, k, v = begun
        q, v = graph.adapt(normed, q, f"{place}.q"), graph.adapt(normed, v, f"{place}.v")
        y = graph.attend(q, k, v, self.heads, self.width, batch=self.batch, bias=self.bias, causal=self.causal)
        return self._mlp(x, graph.linear(y, f"{name}.attention.out"), name)

    def one_row(self, x: str, name: str, rows: str, bias: str = "") -> str:
        """Run a block for one row of each sequence.

        Args:
            x: (batch * tokens, width).
            name: Of the block.
            rows: int64, (batch), the rows that are wanted.
            bias: Added to their attention scores, (batch, heads, tokens) or what spreads to it, or "".

        Returns:
            (batch, width).
        """
        graph = self.graph
        normed = graph.norm(x, f"{name}.norm1")
        attended = self._ask(graph.op("Gather", normed, rows, axis=0), normed, name, bias)
        return self._mlp(graph.op("Gather", x, rows, axis=0), graph.linear(attended, f"{name}.attention.out"), name)

    def _ask(self, asking: str, normed: str, name: str, bias: str) -> str:
        """Attend from one row of each sequence, without a key or a value of any other row.

        A head's score of a row x is q (K x + b): q K is one vector for all rows, and b adds the same to all, which no softmax
        sees. Its answer is the sum of a (V x + c), where the shares a of all rows are 1 together: V (sum of a x) + c.
        """
        graph, place, heads = self.graph, f"{name}.attention.qkv", self.heads
        q = graph.adapt(asking, graph.plain_third(asking, place, 0), f"{place}.q")
        q = graph.op("Mul", q, graph.constant((self.width // heads) ** -0.5))
        rows = graph.reshape(normed, self.batch, -1, self.width)
        through_key = self._swap(graph.op("MatMul", self._swap(graph.reshape(q, self.batch, heads, -1)), self._by_head(place, 1)))
        scores = graph.op("MatMul", through_key, graph.op("Transpose", rows, perm=[0, 2, 1]))  # (batch, heads, tokens)
        share = graph.op("Softmax", graph.op("Add", scores, bias) if bias else scores, axis=-1)
        seen = self._swap(graph.op("MatMul", share, rows))  # (heads, batch, width)
        value = graph.op("MatMul", seen, graph.op("Transpose", self._by_head(place, 2), perm=[0, 2, 1]))  # (heads, batch, width / heads)
        y = graph.reshape(self._swap(graph.adapt_by_head(seen, value, f"{place}.v", heads)), self.batch, self.width)
        return graph.op("Add", y, graph.third(f"{place}.bias", 2)) if graph.has(f"{place}.bias") else y

    def _mlp(self, x: str, attended: str, name: str) -> str:
        """Add what was attended to, and what the MLP makes of the sum."""
        graph = self.graph
        x = graph.op("Add", attended, x)
        hidden = activate(graph, graph.linear(graph.norm(x, f"{name}.norm2"), f"{name}.up"), self.activation)
        return graph.op("Add", graph.linear(hidden, f"{name}.down"), x)

    def _by_head(self, place: str, part: int) -> str:
        """Return a third of a fused projection's weight as (heads, width / heads, width)."""
        return self.graph.reshape(self.graph.third(f"{place}.weight", part), self.heads, -1, self.width)

    def _swap(self, x: str) -> str:
        """Exchange the first two of three axes."""
        return self.graph.op("Transpose", x, perm=[1, 0, 2])


def bert_layer(graph: Graph, x: str, name: str, heads: int, width: int, epsilon: float) -> str:
    """Apply one post-norm layer to rows (tokens, width), as `dmpel_core.policy.text.BertLayer` does."""
    q, k, v = (graph.linear(x, f"{name}.{part}") for part in ("query", "key", "value"))
    y = graph.linear(graph.attend(q, k, v, heads, width), f"{name}.out")
    x = graph.norm(graph.op("Add", y, x), f"{name}.norm1", epsilon)
    hidden = activate(graph, graph.linear(x, f"{name}.up"), "gelu")
    return graph.norm(graph.op("Add", graph.linear(hidden, f"{name}.down"), x), f"{name}.norm2", epsilon)
