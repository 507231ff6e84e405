"""Say which skills a library covers: experts, demonstrations and measured success for every skill of the vocabulary."""

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from dmpel_core.admission.places import library_at
from dmpel_core.errors import DmpelError
from dmpel_core.experts.library import Expert, Library
from dmpel_core.skills.vocabulary import SKILLS, skill_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("library", help="LIBRARY, or LIBRARY@GENERATION")
    parser.add_argument("--evaluation", type=Path, nargs="*", default=[], help="what `dmpel evaluate --output` wrote")


def run(arguments: argparse.Namespace) -> int:
    """Print the table and return 0."""
    print("\n".join(coverage(library_at(arguments.library), successes(arguments.evaluation))))
    return 0


def coverage(library: Library, success: Mapping[str, tuple[int, int]]) -> Iterator[str]:
    """Yield the table's lines.

    Args:
        library: A generation.
        success: Successes and episodes by instruction.
    """
    yield f"{'skill':12} {'expert':50} {'demonstrations':>14} {'success':>12}"
    for skill in SKILLS:
        experts = [expert for expert in library.experts if skill_of(expert.instructions[0]) == skill]
        yield from (_row(skill, expert, success) for expert in experts)
        if not experts and skill != "other":
            yield f"{skill:12} no expert"


def _row(skill: str, expert: Expert, success: Mapping[str, tuple[int, int]]) -> str:
    done = [success[text] for text in expert.instructions if text in success]
    good, episodes = (sum(numbers) for numbers in zip(*done, strict=True)) if done else (0, 0)
    measured = f"{good} / {episodes}" if episodes else "not measured"
    return f"{skill:12} {expert.name[:50]:50} {expert.provenance.get('demonstrations', '?'):>14} {measured:>12}"


def successes(files: list[Path]) -> dict[str, tuple[int, int]]:
    """Return successes and episodes by instruction, normal conditions alone.

    Raises:
        DmpelError: A file is not what `dmpel evaluate --output` writes.
    """
    found: dict[str, tuple[int, int]] = {}
    for path in files:
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))["tasks"]
            normal = [(row["instruction"], row["successes"], row["episodes"]) for row in rows if row["condition"] == "normal"]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DmpelError(f"{path} is not what `dmpel evaluate --output` writes ({error!r})") from error
        for instruction, good, episodes in normal:
            before = found.get(instruction, (0, 0))
            found[instruction] = (before[0] + good, before[1] + episodes)
    return found
