"""The record's parts as Markdown tables; each says so where nothing was measured."""

from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.contestants import ANCHOR
from benchmarks.record import Record
from benchmarks.stages import STAGES

NOTHING = "Not measured yet."
Entry = dict[str, Any]


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a table, or `NOTHING` for one without lines."""
    body = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join(["| " + " | ".join(head) + " |", "|" + " --- |" * len(head), *body]) if body else NOTHING


def ratio(entry: Entry, name: str = "ratio_to_naive") -> str:
    """Return a ratio with its quartiles, as in `1.40 [1.34-1.53]`."""
    low, high = entry.get("ratio_quartiles") or entry["quartiles"]
    return f"{entry[name]:.2f} [{low:.2f}-{high:.2f}]"


def chosen(entries: Iterable[Entry], **wanted: Any) -> list[Entry]:
    """Return the entries with these values."""
    return [entry for entry in entries if all(entry[name] == value for name, value in wanted.items())]


def tick_table(record: Record) -> str:
    """Return every engine and mode with ten experts and one thread."""
    return _ticks(chosen(record["rows"], threads=1, experts=ANCHOR))


def thread_table(record: Record) -> str:
    """Return the same with more threads."""
    return _ticks([row for row in chosen(record["rows"], experts=ANCHOR) if row["threads"] > 1])


def _ticks(rows: list[Entry]) -> str:
    head = ("size", "threads", "engine", "mode", "median [ms]", "p99 [ms]", "times faster than naive", "of the roofline", "rounds")
    return table(head, ((
        row["size"], str(row["threads"]), row["engine"], row["mode"], f"{row['median_ms']:.1f}", f"{row['p99_ms']:.1f}", ratio(row),
        "" if row["roofline_share"] is None else f"{row['roofline_share']:.0%}", str(row["rounds"]),
    ) for row in rows))  # fmt: skip


def stage_table(record: Record) -> str:
    """Return the stages of each size, one column for each engine."""
    found = [entry for entry in chosen(record["stages"], threads=1) if entry["size"] != "nano"]
    engines = list(dict.fromkeys(entry["engine"] for entry in found))
    lines = []
    for size in dict.fromkeys(entry["size"] for entry in found):
        for stage in (*STAGES, "rest"):
            cells = [chosen(found, size=size, stage=stage, engine=engine) for engine in engines]
            lines.append([size, stage, *(_stage(cell[0]) if cell else "" for cell in cells)])
    return table(("size", "stage", *engines), lines)


def _stage(entry: Entry) -> str:
    """Return a stage's time; only stages of the same meaning are compared."""
    compared = entry["engine"] != "naive" and entry["stage"] not in {"rest", "temporal"}
    return f"{entry['median_ms']:.2f}" + (f" ({entry['ratio_to_naive']:.1f}x)" if compared else "")


def host_table(record: Record) -> str:
    """Return the ticks of the policy without arithmetic."""
    lines = ((row["engine"], f"{row['median_ms']:.1f}", ratio(row)) for row in record["host_overhead"])
    return table(("engine", "median [ms]", "times less than naive"), lines)


def expert_table(record: Record) -> str:
    """Return the exact medians by number of experts."""
    rows = chosen(record["rows"], threads=1, mode="exact")
    counts = sorted({row["experts"] for row in rows})
    pairs = dict.fromkeys((row["size"], row["engine"]) for row in rows)
    lines = []
    for size, engine in pairs:
        medians = {row["experts"]: f"{row['median_ms']:.1f}" for row in chosen(rows, size=size, engine=engine)}
        lines.append([size, engine, *(medians.get(count, "") for count in counts)])
    return table(("size", "engine", *(f"{count} experts" for count in counts)), lines)


def flatness_table(record: Record) -> str:
    """Return the ratios to the tick with ten experts."""
    lines = ((entry["size"], str(entry["threads"]), str(entry["experts"]), ratio(entry, "ratio_to_10")) for entry in record["flatness"])
    return table(("size", "threads", "experts", "tick over that with 10 experts"), lines)


def swap_text(record: Record) -> str:
    """Return how late ticks were while experts were loaded."""
    if not record["swap"]:
        return NOTHING
    late = record["swap"][0]
    return (
        f"The {late['size']} size ticked at 20 Hz while another thread loaded an eleventh expert beside ten, dropped it, and so on, "
        f"{late['loads']} loads in all\nof {late['load_ms']:.0f} ms (median). From the moment that a tick is due to its action:\n\n"
        + table(("ticks", "p99 [ms]", "latest [ms]"), (
            ("no load under way", f"{late['quiet_p99_ms']:.1f}", f"{late['quiet_max_ms']:.1f}"),
            ("overlapped by a load, or the first after it", f"{late['loading_p99_ms']:.1f}", f"{late['loading_max_ms']:.1f}"),
        ))
    )  # fmt: skip


def largest_difference(record: Record) -> str:
    """Return how far any exact action was off the naive path's."""
    differences = [row["action_off"] for row in chosen(record["rows"], mode="exact")]
    return f"{max(differences):.0e}" if differences else "not measured"


def savings_table(record: Record) -> str:
    """Return how far the chosen savings move actions, and how often the arm succeeds with them."""
    head = ("saving", "ticks", "mean difference", "p99", "mean size of a number", "gripper differs", "success in episodes", "95 % interval")
    return table(head, ((
        entry["mode"], str(entry["ticks"]), f"{entry['mean']:.4f}", f"{entry['p99']:.4f}", f"{entry['mean_action']:.3f}",
        f"{entry['gripper_differs']:.1%}", *_success(entry),
    ) for entry in record["savings"]))  # fmt: skip


def _success(entry: Entry) -> tuple[str, str]:
    """Return how often a saving succeeded, and the interval, if it was played."""
    if "played" not in entry:
        return "not played", ""
    low, high = entry["interval"]
    return f"{entry['successes']} / {entry['played']}", f"{100 * low:.0f}-{100 * high:.0f} %"
