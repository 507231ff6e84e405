"""The choices of `dmpel learn` that are off by default, from the command line to the library."""

import argparse
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dmpel_core.experts.library import Library, read_library
from dmpel_core.policy.policy import Policy
from dmpel_core.training import learn as command
from tests.core.conftest import TINY, write_library, write_noise


def learn(library: Library, data: Path, *options: str) -> Library:
    """Run `dmpel learn` on a file of demonstrations, as long as a test can."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    run = library.path.with_suffix(f".run-{data.stem}")
    always = ["--steps", "6", "--batch", "2", "--views", "1", "--threads", "1", "--replay-epochs", "2", "--run", str(run)]
    assert command.run(parser.parse_args([str(library.path), "--data", str(data), *always, *options])) == 0
    return read_library(library.path)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DMPEL_CACHE", str(tmp_path / "cache"))


def twin(library: Library, name: str) -> Library:
    return read_library(shutil.copytree(library.path, library.path.with_name(name)))


def equal(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> bool:
    return first.keys() == second.keys() and all(np.array_equal(value, second[name]) for name, value in first.items())


def test_the_causal_query_trains_another_expert(library: Library, tmp_path: Path) -> None:
    data, other = write_noise(tmp_path / "a.hdf5", "open the drawer", 0), twin(library, "other")
    chunk, causal = learn(library, data), learn(other, data, "--query", "causal")
    assert "query" not in chunk.experts[0].provenance["settings"]
    assert causal.experts[0].provenance["settings"]["query"] == "causal"
    assert not equal(chunk.factors(0), causal.factors(0))
    assert max(np.abs(value).max() for name, value in causal.factors(0).items() if name.endswith(".B")) > 0


def test_the_dense_replay_loss_makes_another_router_for_the_same_expert(tmp_path: Path) -> None:
    library = write_library(tmp_path / "library", Policy(replace(TINY, top_k=1)))  # with all experts in the top-k both are the same
    learn(library, write_noise(tmp_path / "a.hdf5", "open the drawer", 0))
    data, other = write_noise(tmp_path / "b.hdf5", "turn on the stove", 10), twin(library, "other")
    sparse, dense = learn(library, data), learn(other, data, "--replay-loss", "dense")
    assert equal(sparse.factors(1), dense.factors(1))
    assert not equal(sparse.router(), dense.router())
    assert "replay_loss" not in sparse.experts[1].provenance["settings"]
    assert dense.experts[1].provenance["settings"]["replay_loss"] == "dense"
