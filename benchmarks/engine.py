"""Measure the control tick: `make bench`, or python -m benchmarks.engine with the options below.

The naive path and all engines do one tick each, in turn, in the same rounds of one process; reported are medians, and ratios within rounds.
With one thread the clock is the processor time of the process, which a busy machine disturbs little; with more it is the wall's.
Libraries of random weights are made in the cache on the first run: with 1,000 experts 4 GB at clip-vit-b16 and 1.7 GB at small.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.arithmetic import flop
from benchmarks.contestants import ANCHOR, Field, gather
from benchmarks.libraries import INSTRUCTION, SIZES, random_library
from benchmarks.record import Record, read_record, write_record
from benchmarks.rounds import Times, compete, quartiles, ratios, row
from benchmarks.stages import STAGES, stage_times

Block = tuple[str, int, int]
"""Size, threads, experts."""

ROUNDS = {"nano": (200, 20.0), "small": (200, 20.0), "clip-vit-b16": (20, 60.0)}
"""Rounds of a block, and after how many seconds it ends though it has had fewer."""
STAGE_ROUNDS = {"nano": 50, "small": 50, "clip-vit-b16": 5}
WORDS = len(INSTRUCTION.split()) + 2


def main() -> None:
    """Measure what the arguments ask for, the most telling blocks first."""
    arguments = parse()
    path = arguments.out / "engine.json"
    record = read_record(path, resume=arguments.resume)
    end = time.monotonic() + 60 * arguments.minutes
    done = {(block["size"], block["threads"], block["experts"]) for block in record["blocks"]}
    left = [block for block in plan(arguments.sizes, arguments.threads, arguments.experts) if block not in done]
    while left and time.monotonic() < end:
        measure(record, left.pop(0), arguments.rounds)
        write_record(path, record)
    print(f"{path}: {len(record['rows'])} rows")
    if left:
        print(f"after {arguments.minutes:g} minutes {len(left)} blocks are left: run again with --resume to measure them")


def parse() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    numbers = {"type": lambda text: [int(number) for number in text.split(",")], "metavar": "N,N"}
    parser.add_argument("--sizes", type=lambda text: text.split(","), default=list(ROUNDS), metavar="SIZE,SIZE", help=", ".join(ROUNDS))
    parser.add_argument("--experts", default=[1, 10, 100, 1000], help="experts in the library", **numbers)
    parser.add_argument("--threads", default=[1, 2], help="threads of an engine", **numbers)
    parser.add_argument("--rounds", type=int, help="rounds of a block; by default as many as fit into its time")
    parser.add_argument("--minutes", type=float, default=20, help="begin no block after this much time")
    parser.add_argument("--resume", action="store_true", help="keep what the record has and measure only what it lacks")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), help="folder of engine.json and engine.png")
    return parser.parse_args()


def plan(sizes: Sequence[str], threads: Sequence[int], experts: Sequence[int]) -> list[Block]:
    """Return all blocks: few threads first, then the anchor's number of experts, then the largest library.

    The nano size stands for the host's overhead alone and is measured once.
    """
    by_interest = sorted(experts, key=lambda number: (number != ANCHOR, -number))
    blocks = [(size, count, number) for count, number, size in product(sorted(threads), by_interest, sizes) if size != "nano"]
    return [("nano", 1, ANCHOR)] * ("nano" in sizes) + blocks


def measure(record: Record, block: Block, rounds: int | None) -> None:
    """Run a block and add what it gave to the record."""
    size, threads, experts = block
    begun = time.perf_counter()
    field = gather(size, experts, threads)
    clock = time.process_time if threads == 1 else time.perf_counter
    usual, seconds = ROUNDS[size]
    times = compete([contestant for contestant, _ in field.contestants], rounds or usual, np.inf if rounds else seconds, clock)
    operations = flop(SIZES[size], WORDS, experts, numbers_of(size))
    place = {"size": size, "threads": threads, "experts": experts}
    found = {
        "blocks": [{**place, "clock": "cpu" if threads == 1 else "wall", "gflop": operations / 1e9,
                    "peak_gflops": float(np.median(times.rate)) / 1e9, "seconds": time.perf_counter() - begun}],
        "host_overhead" if size == "nano" else "rows": rows(field, times, operations),
        "stages": stages(field, clock) if experts == ANCHOR else [],
        "flatness": flatness(field, times),
    }  # fmt: skip
    for part, entries in found.items():
        record[part] += entries
    for entry in found.get("rows", found.get("host_overhead", [])):
        print("{size:12} {threads} thr {experts:4} experts  {engine:9} {mode:8} {median_ms:9.2f} ms  x{ratio_to_naive:.2f}".format(**entry))


def numbers_of(size: str) -> int:
    """Return how many numbers an expert of a size has."""
    modules = random_library(SIZES[size], 1).modules
    return sum(module.rank * (module.inputs + module.outputs) for module in modules)


def rows(field: Field, times: Times, operations: int) -> list[dict]:
    """Return the rows of a block."""
    naive = field.contestants[0][0]
    place = {"size": field.size, "threads": field.threads}
    found = []
    for contestant, _ in field.contestants:
        if contestant != field.anchor:
            cpu = field.threads == 1 and contestant.engine != "onnx-cuda"
            found.append(place | row(contestant, times, times.cpu if cpu else times.wall, naive, operations))
    return found


def flatness(field: Field, times: Times) -> list[dict]:
    """Return how much longer a tick takes than with `ANCHOR` experts, of the engine that took part with both."""
    anchor = field.anchor
    if anchor is None:
        return []
    clock = times.cpu if field.threads == 1 else times.wall
    same = next(c for c, _ in field.contestants if (c.engine, c.mode) == (anchor.engine, anchor.mode) and c != anchor)
    low, ratio, high = ratios(clock[same], clock[anchor], 1)
    return [{"size": field.size, "threads": field.threads, "experts": field.experts, "engine": anchor.engine,
             "ratio_to_10": ratio, "quartiles": [low, high]}]  # fmt: skip


def stages(field: Field, clock: Callable[[], float]) -> list[dict]:
    """Return the time of each stage and its ratio to the naive path's."""
    exact = [(contestant, places) for contestant, places in field.contestants if contestant.mode == "exact"]
    measured = stage_times(exact, STAGE_ROUNDS[field.size], clock)
    naive = exact[0][0]
    found = []
    for (contestant, _), stage in product(exact, (*STAGES, "rest")):
        taken = [one[contestant][stage] for one in measured]
        ratio = quartiles([one[naive][stage] / max(one[contestant][stage], 1e-9) for one in measured])
        found.append({"size": field.size, "threads": field.threads, "experts": field.experts, "engine": contestant.engine,
                      "stage": stage, "median_ms": 1e3 * float(np.median(taken)), "ratio_to_naive": ratio[1],
                      "ratio_quartiles": [ratio[0], ratio[2]]})  # fmt: skip
    return found


if __name__ == "__main__":
    main()
