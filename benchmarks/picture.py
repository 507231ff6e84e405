"""The record as one picture: how long a tick takes, and how it depends on the number of experts."""

from pathlib import Path

from benchmarks.contestants import ANCHOR
from benchmarks.record import Record


def draw(record: Record, path: Path) -> None:
    """Write a PNG with a row of two panels for each size, one thread; nothing if there is nothing to draw."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    rows = [row for row in record["rows"] if row["threads"] == 1]
    sizes = list(dict.fromkeys(row["size"] for row in rows))
    if not sizes:
        return
    figure, panels = plt.subplots(len(sizes), 2, figsize=(10, 3.5 * len(sizes)), squeeze=False)
    for (bars, lines), size in zip(panels, sizes, strict=True):
        own = [row for row in rows if row["size"] == size]
        _bars(bars, [row for row in own if row["experts"] == ANCHOR], size)
        _lines(lines, [row for row in own if row["mode"] == "exact"], size)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _bars(axes, rows: list[dict], size: str) -> None:  # noqa: ANN001 - matplotlib's axes
    """Draw the median tick of each engine and mode, with its ratio to the naive path."""
    names = [f"{row['engine']} {row['mode']}" for row in rows]
    bars = axes.barh(names, [row["median_ms"] for row in rows], color="tab:blue")
    axes.bar_label(bars, [f" {row['ratio_to_naive']:.2f}x" for row in rows])
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set(title=f"{size}, {ANCHOR} experts, one thread", xlabel="median tick [ms]")


def _lines(axes, rows: list[dict], size: str) -> None:  # noqa: ANN001 - as above
    """Draw the median tick over the number of experts."""
    for engine in dict.fromkeys(row["engine"] for row in rows):
        own = sorted((row["experts"], row["median_ms"]) for row in rows if row["engine"] == engine)
        axes.plot(*zip(*own, strict=True), marker="o", label=engine)
    axes.set(title=f"{size}, exact, one thread", xlabel="experts", ylabel="median tick [ms]", xscale="log", ylim=(0, None))
    axes.legend()
