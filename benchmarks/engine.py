"""Measure the control tick: `make bench`, or python -m benchmarks.engine with the options below.

The naive path and all engines do one tick each, in turn, in the same rounds of one process; reported are medians, and ratios within rounds.
With one thread the clock is the processor time of the process, which a busy machine disturbs little; with more it is the wall's.
Libraries of random weights are made in the cache on the first run: with 1,000 experts 3.4 GB at clip-vit-b16 and 1.4 GB at small.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path

from benchmarks.block import ROUNDS, Block, Entry, measure
from benchmarks.contestants import ANCHOR
from benchmarks.libraries import INSTRUCTION, LIMITS, SIZES, random_library
from benchmarks.picture import draw
from benchmarks.record import PARTS, read_record
from benchmarks.swap import load_under_way
from dmpel_core.inference import load_engine
from dmpel_core.json_file import write_json

LINE = "{size:12} {threads} threads {experts:4} experts  {engine:9} {mode:8} {median_ms:9.2f} ms  x{ratio_to_naive:.2f}"


def main() -> None:
    """Measure what the arguments ask for, the most telling blocks first."""
    arguments = parse()
    path = arguments.out / "engine.json"
    record = read_record(path, resume=arguments.resume)
    end = time.monotonic() + 60 * arguments.minutes
    done = {(block["size"], block["threads"], block["experts"]) for block in record["blocks"]}
    left = [block for block in plan(arguments.sizes, arguments.threads, arguments.experts) if block not in done]
    if arguments.loads and not record["swap"]:
        record["swap"] = [swap(arguments.loads)]
    while left and time.monotonic() < end:
        found = measure(left.pop(0), arguments.rounds)
        record |= {part: record[part] + found.get(part, []) for part in PARTS}
        write_json(path, record)
        for entry in [*found.get("rows", []), *found.get("host_overhead", [])]:
            print(LINE.format(**entry), flush=True)
    write_json(path, record)
    draw(record, path.with_suffix(".png"))
    if left:
        print(f"after {arguments.minutes:g} minutes {len(left)} blocks are left: run again with --resume to measure them")


def parse() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=lambda text: text.split(","), default=list(ROUNDS), metavar="SIZE,SIZE", help=", ".join(ROUNDS))
    parser.add_argument("--experts", type=numbers, default=[1, 10, 100, 1000], metavar="N,N", help="experts in the library")
    parser.add_argument("--threads", type=numbers, default=[1, 2], metavar="N,N", help="threads of an engine")
    parser.add_argument("--rounds", type=int, help="rounds of a block; by default as many as fit into its time")
    parser.add_argument("--loads", type=int, default=100, help="loads into an engine that ticks at 20 Hz; 0 for none")
    parser.add_argument("--minutes", type=float, default=20, help="begin no block after this much time")
    parser.add_argument("--resume", action="store_true", help="keep what the record has and measure only what it lacks")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), help="folder of engine.json and engine.png")
    return parser.parse_args()


def numbers(text: str) -> list[int]:
    """Return the numbers of a comma-separated list."""
    return [int(number) for number in text.split(",")]


def plan(sizes: Sequence[str], threads: Sequence[int], experts: Sequence[int]) -> list[Block]:
    """Return all blocks: few threads first, then the anchor's number of experts, then the largest library.

    The nano size stands for the host's overhead alone and is measured once.
    """
    by_interest = sorted(experts, key=lambda number: (number != ANCHOR, -number))
    blocks = [(size, count, number) for count, number, size in product(sorted(threads), by_interest, sizes) if size != "nano"]
    return [("nano", 1, ANCHOR)] * ("nano" in sizes) + blocks


def swap(loads: int) -> Entry:
    """Measure the ticks of the small size at 20 Hz while an eleventh expert is loaded beside ten, dropped again, and so on."""
    library = random_library(SIZES["small"], ANCHOR + 1).path
    engine = load_engine(library, ANCHOR, engine="onnx", provider="cpu", limits=LIMITS)
    engine.set_instruction(INSTRUCTION)
    late = load_under_way(engine, lambda number: engine.load(library, ANCHOR + 1 - number % 2), loads)
    print("swap", {name: round(value, 2) for name, value in asdict(late).items()}, flush=True)
    return {"size": "small", "engine": "onnx-cpu", "threads": 1, "experts": ANCHOR, **asdict(late)}


if __name__ == "__main__":
    main()
