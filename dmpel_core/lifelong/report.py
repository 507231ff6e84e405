"""Draw the records of lifelong runs: one HTML page that needs nothing beside it, and the same figures as PNGs.

Runs of one name, an algorithm with the note of `dmpel lifelong --note`, on one suite are taken for seeds of it.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dmpel_core.errors import DmpelError
from dmpel_core.lifelong.ablation import ablation
from dmpel_core.lifelong.intervals import Counts
from dmpel_core.lifelong.result import FORMAT
from dmpel_core.skills.results import keep

KEYS = (
    "algorithm", "name", "suite", "seed", "tasks", "success_matrix", "learning_curves", "curve_steps", "episodes", "selection_episodes",
    "fwt", "nbt", "auc", "final_success", "intervals", "trainable_parameters", "stored_bytes", "minutes", "routing", "controls",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("runs", type=Path, nargs="+", help="folders of `dmpel lifelong`, or their result.json, or folders of such files")
    parser.add_argument("--output", type=Path, default=Path("runs/report"), help="folder for index.html and the PNGs")
    parser.add_argument("--results", type=Path, help="keep the ablation over `dmpel lifelong --names` in this JSON file")


def run(arguments: argparse.Namespace) -> int:
    """Write the report, and print its comparison and where it is."""
    from dmpel_core.lifelong.page import write_page  # needs matplotlib
    from dmpel_core.lifelong.table import tables

    records = read_records(arguments.runs)
    page = write_page(records, arguments.output)
    print(tables(records))
    print(f"{page}: {page.stat().st_size / 1e6:.1f} MB")
    if arguments.results:
        keep(arguments.results, ablation(records))
        print(f"{arguments.results}: the ablation over names")
    return 0


def read_records(places: Sequence[Path]) -> list[dict[str, Any]]:
    """Read the records of runs, sorted by suite, name and seed.

    Raises:
        DmpelError: A place holds none, or one that is damaged or of another version, or the same run is there twice.
    """
    records = [read_record(path) for place in places for path in record_files(place)]
    named = [(record["suite"], record["name"], record["seed"]) for record in records]
    twice = sorted({name for name in named if named.count(name) > 1})
    if twice:
        raise DmpelError(f"several records of the same run, {twice[0]} (suite, name, seed): give only one of them")
    return [record for _, record in sorted(zip(named, records, strict=True), key=lambda pair: pair[0])]


def record_files(place: Path) -> list[Path]:
    """Return the records that a place means."""
    if (place / "result.json").exists():
        return [place / "result.json"]
    found = sorted({*place.glob("*.json"), *place.glob("*/result.json")}) if place.is_dir() else [place] if place.exists() else []
    if not found:
        raise DmpelError(f"no record of a run at {place}: expected RUN/result.json as `dmpel lifelong` leaves it")
    return found


def read_record(path: Path) -> dict[str, Any]:
    """Read one record."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DmpelError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT or any(key not in record for key in KEYS):
        lacking = [key for key in KEYS if key not in record] if isinstance(record, dict) else list(KEYS)
        raise DmpelError(f"{path} is no record of format {FORMAT}: it lacks {lacking}; run `dmpel lifelong` of this version again")
    Counts.of(record)
    return record
