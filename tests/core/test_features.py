"""Frozen features stay on disk: read row by row, with the numbers that they would have in memory."""

import errno
import fcntl
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dmpel_core.data.hdf5 import Demonstration
from dmpel_core.errors import DmpelError
from dmpel_core.experts.router import Router
from dmpel_core.policy.policy import Policy
from dmpel_core.training import expert, features
from dmpel_core.training.expert import learn_expert, remember
from dmpel_core.training.feature_files import FeatureFiles
from dmpel_core.training.features import FeatureSet, feature_set
from dmpel_core.training.run import Run
from dmpel_core.training.settings import LearnSettings
from dmpel_core.training.start import start_for
from tests.core.conftest import TINY, noise

DEMONSTRATIONS = [noise(number, length) for number, length in enumerate((14, 6, 17))]
SETTINGS = LearnSettings(seed=1, steps=4, batch=2, views=2)


def featured(policy: Policy, folder: Path, demonstrations: list[Demonstration] = DEMONSTRATIONS) -> FeatureSet:
    return feature_set(policy, "open the drawer", demonstrations, 2, 0, folder, "key")


def in_memory(data: FeatureSet) -> FeatureSet:
    return replace(data, tokens=np.array(data.tokens), queries=np.array(data.queries))


def test_features_are_on_disk_and_a_batch_is_not(policy: Policy, tmp_path: Path) -> None:
    data = featured(policy, tmp_path)
    assert (data.tokens.shape, data.tokens.dtype) == ((2, 37, 2, 5, 32), np.float16)
    assert (data.queries.shape, data.queries.dtype) == ((2, 37, 384 + 2 * 32 + 9), np.float32)
    for array in (data.tokens, data.queries):
        assert isinstance(array, np.memmap)
        assert not array.flags.writeable
        assert Path(str(array.filename)).is_relative_to(tmp_path)
    index = torch.tensor([[0, 1], [20, 21], [35, 36]])
    frames, query = data.frames(np.array([0, 1, 0]), index), data.query(np.array([0, 1, 0]), index)
    assert torch.equal(frames.tokens[1, 0], torch.from_numpy(data.tokens[1, 20].astype(np.float32)))
    assert torch.equal(query[2, 1], torch.from_numpy(np.array(data.queries[0, 36])))
    alone = features.compute(policy, DEMONSTRATIONS[2], policy.text.encode(policy.text.trunk("open the drawer")), 1, 0 + 2)
    np.testing.assert_array_equal(data.tokens[1, 20:], alone["tokens"])
    np.testing.assert_array_equal(data.queries[1, 20:], alone["queries"])


def test_learning_from_disk_gives_the_bits_of_learning_from_memory(policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, results = featured(policy.requires_grad_(False), tmp_path / "features"), []
    for number, used in enumerate((data, in_memory(data))):
        start = start_for(policy, [], None, used, "nothing", 0)
        factors, router = learn_expert(policy, [], start, used, SETTINGS, Run(tmp_path / str(number), "learn"), {})
        monkeypatch.setattr(expert, "REMEMBER", 512 if number else 7)
        results.append([*factors.values(), *router.parameters(), *remember(policy, router, used, 0.9, 0)])
    assert all(torch.equal(first, second) for first, second in zip(*results, strict=True))


def test_what_was_computed_before_a_kill_is_not_computed_again(policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, compute, seen = featured(policy, tmp_path / "whole"), features.compute, list[int]()

    def killed(*given: object) -> dict[str, np.ndarray]:
        seen.append(len(given[1].actions))  # type: ignore[attr-defined]
        if len(seen) == 5:
            raise KeyboardInterrupt
        return compute(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(features, "compute", killed)
    with pytest.raises(KeyboardInterrupt):
        featured(policy, tmp_path / "broken")
    again = featured(policy, tmp_path / "broken")
    assert seen == [14, 6, 17, 14, 6, 6, 17]
    np.testing.assert_array_equal(again.tokens, whole.tokens)
    np.testing.assert_array_equal(again.queries, whole.queries)
    featured(policy, tmp_path / "broken")
    assert len(seen) == 7, "nothing was left to do"


def test_features_of_an_earlier_version_or_lost_ones_are_computed_again(
    policy: Policy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = in_memory(featured(policy, tmp_path))
    (place,) = tmp_path.iterdir()
    (place / "tokens.npy").unlink()
    np.testing.assert_array_equal(featured(policy, tmp_path).tokens, first.tokens)
    assert "earlier version" not in capsys.readouterr().out
    np.savez(place / "0-0.npz", tokens=np.zeros(1))
    np.testing.assert_array_equal(featured(policy, tmp_path).tokens, first.tokens)
    assert "features as an earlier version kept them" in capsys.readouterr().out
    assert not list(place.glob("*.npz"))


def test_a_second_run_on_the_same_data_waits_and_makes_nothing_anew(tmp_path: Path) -> None:
    files, shapes = FeatureFiles(tmp_path), {"tokens": (1, 2), "queries": (1, 2)}
    tmp_path.joinpath("lock").touch()
    with (tmp_path / "lock").open() as lock, ThreadPoolExecutor(1) as other:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = other.submit(files.prepare, shapes)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.2)
        assert not (tmp_path / "tokens.npy").exists()
        fcntl.flock(lock, fcntl.LOCK_UN)
        waiting.result()
    files.write("0-0", 0, slice(0, 2), {"tokens": np.ones(2), "queries": np.ones(2)})
    FeatureFiles(tmp_path).prepare(shapes)
    assert files.done("0-0")
    np.testing.assert_array_equal(files.read()[0], np.ones((1, 2)))


def test_a_cut_file_and_a_full_disk_are_errors_that_say_what_to_do(policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    featured(policy, tmp_path)
    (place,) = tmp_path.iterdir()
    os.truncate(place / "queries.npy", 1000)
    with pytest.raises(DmpelError, match=r"queries.npy cannot be read .*: remove .*, it will be computed again"):
        featured(policy, tmp_path)

    def full(file: int, start: int, length: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DmpelError, match=r"no room for 0\.0 GB of tokens .*DMPEL_CACHE"):
        featured(policy, tmp_path / "other")
    monkeypatch.undo()
    assert featured(policy, tmp_path / "other").tokens.any()


def test_the_router_remembers_a_share_of_the_plain_sequences(policy: Policy, tmp_path: Path) -> None:
    data = featured(policy, tmp_path)
    queries, answers = remember(policy, Router(policy.query_width, 8, 2, TINY.top_k), data, 0.5, 0)
    assert queries.shape == (round(0.5 * 37), policy.query_width)
    assert answers.shape == (len(queries), 6, 2)
