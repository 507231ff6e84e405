"""The choices of `dmpel learn` and `dmpel pretrain`, from the command line to the library."""

import argparse
import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from dmpel_core.experts.library import Library, read_library, select_generation
from dmpel_core.experts.pool import ExpertPool
from dmpel_core.experts.restore import restore_factors, restore_policy, restore_router
from dmpel_core.inference.torch_engine import TorchEngine
from dmpel_core.observation import Observation
from dmpel_core.policy.policy import Policy
from dmpel_core.training import learn as command
from dmpel_core.training import pretrain as pretrain_command
from dmpel_core.training.options import settings_of
from dmpel_core.training.settings import LearnSettings, PretrainSettings
from tests.core.conftest import TINY, write_library, write_noise


def parse(module: ModuleType, *words: str) -> argparse.Namespace:
    """Return a command's arguments."""
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    return parser.parse_args(words)


def learn(library: Library, data: Path, *options: str) -> Library:
    """Run `dmpel learn` on a file of demonstrations, as long as a test can."""
    run = library.path.with_suffix(f".run-{data.stem}")
    always = ["--steps", "6", "--batch", "2", "--views", "1", "--threads", "1", "--replay-epochs", "2", "--run", str(run)]
    assert command.run(parse(command, str(library.path), "--data", str(data), *always, *options)) == 0
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


def test_an_expert_is_the_mean_of_its_last_steps_unless_that_is_turned_off(library: Library, tmp_path: Path) -> None:
    data, other = write_noise(tmp_path / "a.hdf5", "open the drawer", 0), twin(library, "other")
    mean, last = learn(library, data), learn(other, data, "--average", "0")
    assert (mean.experts[0].provenance["settings"]["average"], last.experts[0].provenance["settings"]["average"]) == (0.99, 0.0)
    assert not equal(mean.factors(0), last.factors(0))


def test_the_sparse_replay_loss_makes_another_router_for_the_same_expert(tmp_path: Path) -> None:
    library = write_library(tmp_path / "library", Policy(replace(TINY, top_k=1)))  # with all experts in the top-k both are the same
    learn(library, write_noise(tmp_path / "a.hdf5", "open the drawer", 0))
    data, other = write_noise(tmp_path / "b.hdf5", "turn on the stove", 10), twin(library, "other")
    dense, sparse = learn(library, data), learn(other, data, "--replay-loss", "sparse")
    assert equal(sparse.factors(1), dense.factors(1))
    assert not equal(sparse.router(), dense.router())
    assert "replay_loss" not in sparse.experts[1].provenance["settings"]
    assert dense.experts[1].provenance["settings"]["replay_loss"] == "dense"


def pretrain(folder: Path, data: Path, *options: str) -> Library:
    """Run `dmpel pretrain` for two steps with the sizes of `TINY`."""
    (folder / "tiny.json").write_text(json.dumps(TINY.to_json()))
    always = ["--steps", "2", "--batch", "1", "--threads", "1", "--sizes", str(folder / "tiny.json"), "--run", str(folder / "pretrain")]
    words = ["--data", str(data), "--output", str(folder / "pretrained"), *always, *options]
    assert pretrain_command.run(parse(pretrain_command, *words)) == 0
    return read_library(folder / "pretrained")


def test_experts_of_a_library_pretrained_for_biases_learn_keep_and_mix_them(tmp_path: Path) -> None:
    data = write_noise(tmp_path / "a.hdf5", "open the drawer", 0)
    library = pretrain(tmp_path, data, "--expert-bias")
    assert library.policy == {**TINY.to_json(), "expert_bias": True}
    learn(library, data)
    grown = learn(library, write_noise(tmp_path / "b.hdf5", "turn on the stove", 10))
    first, second = (grown.factors(number)["head.mean.bias"] for number in (0, 1))
    assert min(np.abs(first).max(), np.abs(second).max()) > 0, "they learned"
    policy = restore_policy(grown)
    router = restore_router(grown, policy.sizes, policy.query_width)
    pool = ExpertPool(policy.modules_adapted, restore_factors(grown))
    coefficients = router(torch.randn(1, policy.query_width))
    mixed = pool.mix(coefficients)["head.mean"][2]
    torch.testing.assert_close(mixed[0], coefficients[0, 5] @ torch.from_numpy(np.stack([first, second])))
    with_biases, without = TorchEngine(grown.path), TorchEngine(grown.path)
    bare = [{name: value * (not name.endswith(".bias")) for name, value in expert.items()} for expert in restore_factors(grown)]
    without._next = replace(without._next, pool=ExpertPool(policy.modules_adapted, bare))
    seen = Observation(*np.zeros((2, 32, 32, 3), np.uint8), np.zeros(7), np.zeros(2))
    actions = [engine.tick(seen).action for engine in (with_biases, without)]
    assert np.abs(actions[0] - actions[1]).max() > 1e-6


def test_without_the_option_experts_have_no_biases(tmp_path: Path) -> None:
    data = write_noise(tmp_path / "a.hdf5", "open the drawer", 0)
    grown = learn(pretrain(tmp_path, data), data)
    assert grown.policy == TINY.to_json()
    assert not [name for name in grown.factors(0) if name.endswith(".bias")]


def test_a_task_learned_twice_from_one_generation_gives_two_to_choose_from(library: Library, tmp_path: Path) -> None:
    data, other = write_noise(tmp_path / "a.hdf5", "open the drawer", 0), str(tmp_path / "longer")
    short = learn(library, data)
    select_generation(library.path, 0)
    long = learn(library, data, "--steps", "8", "--run", other)
    assert [(grown.generation, grown.parent) for grown in (short, long)] == [(1, 0), (2, 0)]
    assert not equal(short.factors(0), long.factors(0))
    assert equal(select_generation(library.path, 1).factors(0), short.factors(0))


def test_epochs_are_the_least_passes_over_the_demonstrations(library: Library, tmp_path: Path) -> None:
    data = write_noise(tmp_path / "a.hdf5", "open the drawer", 0, (14, 6, 17))
    grown = learn(library, data, "--epochs", "4")
    assert grown.experts[0].provenance["settings"]["steps"] == 8, "4 x 37 ticks, of which a step shows 2 x 10"
    assert learn(library, data, "--epochs", "4").generation == grown.generation, "the same settings of the same data: nothing to do"
    assert LearnSettings(0, 6, 2, epochs=3.0).sized(37, 10).steps == 6, "which are more than 3 passes take"


def test_both_commands_keep_their_own_defaults() -> None:
    assert settings_of(parse(command, "library", "--data", "a"), LearnSettings) == LearnSettings(0, 1200, 16)
    assert settings_of(parse(pretrain_command, "--data", "a", "--output", "b"), PretrainSettings) == PretrainSettings(0, 6000, 16)
