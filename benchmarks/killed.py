"""Whether a lifelong run that is killed ends as one that is not: `python -m benchmarks.killed OPTIONS OF dmpel lifelong --runs FOLDER`.

The run is made twice, below FOLDER/whole and FOLDER/killed. The second is killed (SIGKILL, its workers go with it) at random moments
of the time that the first took, and started again after each; then the records are compared, times and memory aside.
"""

import argparse
import json
import random
import subprocess
import sys
import time
from pathlib import Path

from dmpel_core.lifelong.result import TIMES


def command(options: list[str], runs: Path) -> list[str]:
    """Return the command of a run whose folders are below `runs`."""
    return [sys.executable, "-m", "dmpel_core.cli", "lifelong", *options, "--runs", str(runs)]


def records(runs: Path) -> dict[str, dict]:
    """Return what is the same in two runs that learn and score the same, by the run's name."""
    read = {path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(runs.glob("*/result.json"))}
    return {name: {key: value for key, value in record.items() if key not in TIMES} for name, record in read.items()}


def killed(line: list[str], after: float) -> bool:
    """Run a command, kill it after so long [s], and return whether that was needed."""
    process = subprocess.Popen(line)
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.kill()
    return process.wait() < 0


def main() -> int:
    """Make both runs and compare them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--times", type=int, default=5, help="how often the second run is killed (default: %(default)s)")
    parser.add_argument("--chance", type=int, default=0, help="seed of the moments (default: %(default)s)")
    arguments, options = parser.parse_known_args()
    chance, began = random.Random(arguments.chance), time.monotonic()
    subprocess.run(command(options, arguments.runs / "whole"), check=True)
    took = time.monotonic() - began
    deaths = 0
    while deaths < arguments.times:
        after = chance.uniform(0.1, 0.4) * took
        if not killed(command(options, arguments.runs / "killed"), after):
            print(f"it ended after {deaths} deaths; raise --times or lengthen the run")
            return 1
        deaths += 1
        print(f"killed after {after:.0f} of {took:.0f} s")
    subprocess.run(command(options, arguments.runs / "killed"), check=True)
    whole, again = records(arguments.runs / "whole"), records(arguments.runs / "killed")
    different = [f"{name}: {key}" for name in whole for key in whole[name] if again.get(name, {}).get(key) != whole[name][key]]
    print(f"{len(whole)} records, killed {deaths} times: " + ("the same" if not different else f"different in {', '.join(different)}"))
    return 1 if different else 0


if __name__ == "__main__":
    raise SystemExit(main())
