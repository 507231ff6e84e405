"""Write docs/performance.md from the record: python -m benchmarks.report [runs/bench/engine.json] [--docs docs/performance.md]."""

import argparse
import json
from pathlib import Path
from string import Template

from benchmarks.contestants import ANCHOR
from benchmarks.record import Record
from benchmarks.report_tables import (
    expert_table,
    flatness_table,
    host_table,
    largest_difference,
    savings_table,
    stage_table,
    swap_text,
    thread_table,
    tick_table,
)
from benchmarks.targets import target_table

TEMPLATE = Path(__file__).with_name("performance.template.md")


def main() -> None:
    """Read the record and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("record", type=Path, nargs="?", default=Path("runs/bench/engine.json"))
    parser.add_argument("--docs", type=Path, default=Path("docs/performance.md"))
    arguments = parser.parse_args()
    arguments.docs.write_text(page(json.loads(arguments.record.read_text())))
    print(arguments.docs)


def page(record: Record) -> str:
    """Return the page."""
    machine = record["machine"]
    instructions = ", ".join(machine["instructions"]) or "no vector extension that matters here"
    single = [block for block in record["blocks"] if (block["threads"], block["experts"]) == (1, ANCHOR) and block["size"] != "nano"]
    gflop = [f"{block['gflop']:.3g} GFLOP at {block['size']}" for block in single]
    peaks = [f"{block['peak_gflops']:.0f} GFLOP/s at {block['size']}" for block in single]
    return Template(TEMPLATE.read_text()).substitute(
        machine=f"{machine['cores']} cores of an {machine['processor']} ({instructions})",
        versions=", ".join(f"{name} {version}" for name, version in record["versions"].items()),
        targets=target_table(record),
        ticks=tick_table(record),
        gflop=", ".join(gflop) or "not measured",
        peak=", ".join(peaks) or "not measured",
        stages=stage_table(record),
        host=host_table(record),
        experts=expert_table(record),
        flatness=flatness_table(record),
        swap=swap_text(record),
        threads=thread_table(record),
        off=largest_difference(record),
        savings=savings_table(record),
    )


if __name__ == "__main__":
    main()
