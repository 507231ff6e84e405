"""A library beyond the default caps: written, grown, rolled back and given graphs by who raises them, refused to everyone else."""

from pathlib import Path

import pytest

from dmpel_core.experts.library import (
    LibraryError,
    Limits,
    NewExpert,
    add_experts,
    generations,
    keep_graphs,
    open_library,
    read_library,
    select_generation,
)
from tests.core.small_library import make_library, parts

COUNT = Limits().experts + 2
RAISED = Limits(experts=COUNT + 1)


def drawn(first: int, count: int) -> list[NewExpert]:
    """Return experts of one number each time."""
    given = parts(1, 1)
    provenance = {"dataset": "ab" * 32, "seed": 0, "metrics": {}}
    return [NewExpert(f"skill {first + n}", ("do",), "put", given["factors"], given["replay"], provenance) for n in range(count)]


def test_a_library_beyond_the_default_caps(tmp_path: Path) -> None:
    make_library(tmp_path)
    library = add_experts(read_library(tmp_path, limits=RAISED), drawn(0, COUNT), parts(1, COUNT)["router"])
    assert len(library.experts) == COUNT
    larger = add_experts(library, drawn(COUNT, 1), parts(1, COUNT + 1)["router"])
    assert generations(tmp_path, RAISED) == (0, COUNT, COUNT + 1) == (0, library.generation, larger.generation)
    assert keep_graphs(tmp_path, {"act": b"graph"}, RAISED).graphs() == {"act": b"graph"}
    assert select_generation(tmp_path, COUNT, RAISED).generation == COUNT
    with pytest.raises(LibraryError, match=f"{COUNT} experts are more than the cap of {COUNT - 2}"):
        open_library(tmp_path)
    with pytest.raises(LibraryError, match=f"{COUNT + 2} experts are more than the cap"):
        add_experts(larger, drawn(COUNT + 1, 1), parts(1, COUNT + 2)["router"])
    assert len(read_library(tmp_path, COUNT + 1, RAISED).experts) == COUNT + 1
