"""The choices in which the paper's own code differs: schedule, padding, decay of old experts, several processes, precision."""

import argparse
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dmpel_core.errors import DmpelError
from dmpel_core.experts.library import Library
from dmpel_core.experts.pool import start_expert
from dmpel_core.policy.policy import Policy
from dmpel_core.training import optimise as optimise_module
from dmpel_core.training.datasets import load_task_file
from dmpel_core.training.episodes import Timeline
from dmpel_core.training.expert import ExpertLosses, learn_expert
from dmpel_core.training.features import FeatureSet, feature_set
from dmpel_core.training.options import add_setting_arguments, settings_of
from dmpel_core.training.run import Run
from dmpel_core.training.schedule import set_learning_rate
from dmpel_core.training.settings import LearnSettings, PretrainSettings
from dmpel_core.training.start import start_for
from dmpel_core.training.workers import on_device, on_processor
from tests.core.conftest import write_noise
from tests.core.several import run_in_processes

SETTINGS = LearnSettings(seed=1, steps=4, batch=2, views=1)


def test_options_are_recorded_only_where_they_differ_from_what_runs_did_before_they_were_there() -> None:
    newer = {
        "schedule": "one-cycle",
        "padding": "masked",
        "windows": "mixed",
        "precision": "fp32",
        "compiled": False,
        "query": "chunk",
        "skills": "none",
        "stills": 0,
        "epochs": 0.0,
        "start": "nothing",
    }
    assert not newer.keys() & SETTINGS.record().keys()
    assert asdict(SETTINGS) == {**SETTINGS.record(), **newer}
    assert replace(SETTINGS, schedule="constant").record()["schedule"] == "constant"
    assert replace(SETTINGS, query="causal").record()["query"] == "causal"
    assert SETTINGS.record()["replay_loss"] == "dense"
    assert "replay_loss" not in replace(SETTINGS, replay_loss="sparse").record()
    assert SETTINGS.record()["coefficient_dropout"] == 0.0
    assert replace(SETTINGS, start="mixture").record()["start"] == "mixture"
    assert "coefficient_dropout" not in replace(SETTINGS, coefficient_dropout=0.15).record(), "what runs before it had"


def test_the_command_line_makes_the_settings() -> None:
    parser = argparse.ArgumentParser()
    add_setting_arguments(parser, PretrainSettings(0, 7, 16))
    assert settings_of(parser.parse_args([]), PretrainSettings, held_out=1) == PretrainSettings(0, 7, 16, held_out=1)
    official = ["--schedule", "constant", "--padding", "counted", "--learning-rate", "1e-4", "--weight-decay", "0.1", "--clip", "100"]
    official += ["--windows", "whole", "--state-noise", "0", "--state-dropout", "0", "--forget", "0", "--average", "0"]
    assert settings_of(parser.parse_args(official), LearnSettings, views=2) == LearnSettings(
        0, 7, 16, learning_rate=1e-4, weight_decay=0.1, clip=100.0, state_noise=0, state_dropout=0, forget=0, average=0,
        schedule="constant", padding="counted", windows="whole", views=2,
    )  # fmt: skip


@pytest.mark.parametrize(("schedule", "first", "last"), [("one-cycle", 0.04, 0.002), ("constant", 0.2, 0.2)])
def test_the_rate_falls_or_stays(schedule: str, first: float, last: float) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    rates = []
    for step in range(100):
        set_learning_rate(optimizer, 0.2, step, 100, schedule)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates[0] == pytest.approx(first)
    assert rates[-1] == pytest.approx(last, rel=0.3)
    assert max(rates) == pytest.approx(0.2)


def test_counted_padding_starts_everywhere_and_counts_past_the_end() -> None:
    timeline = Timeline([np.zeros((length, 7)) for length in (30, 4)])
    among, rng = np.arange(30), np.random.default_rng(0)
    masked = timeline.batch(rng, among, (500, 10), 2)
    counted = timeline.batch(rng, among, (500, 10), 2, "counted")
    assert masked.index[:, 0].max() == 20
    assert masked.valid.mean() > 0.95
    assert counted.index[:, 0].max() == 29
    assert counted.index.max() == 29, "what is past the end repeats the last frame"
    assert counted.valid.min() == 1
    assert set(counted.index[:, 0].tolist()) == set(range(30))


@pytest.fixture
def features(policy: Policy, tmp_path: Path) -> FeatureSet:
    pairs = load_task_file(write_noise(tmp_path / "a.hdf5", "open the drawer", 0))
    return feature_set(policy, pairs[0][0], [demo for _, demo in pairs], 1, 0, tmp_path / "features", "key")


def test_dropout_of_every_coefficient_leaves_the_backbone_alone(policy: Policy, features: FeatureSet) -> None:
    learned = {}
    for dropout in (0.0, 0.5, 1.0):
        start, settings = start_for(policy, [], None, features, "nothing", 1), replace(SETTINGS, coefficient_dropout=dropout)
        losses = ExpertLosses(policy, [], start, features, settings, on_processor())
        for name, value in losses.factors.items():
            if name.endswith(".B"):
                value.data.fill_(0.1)
        torch.manual_seed(0)
        loss = losses(0)[0]
        loss.backward()
        learned[dropout] = loss.item(), sum(value.grad.abs().sum().item() for value in losses.factors.values() if value.grad is not None)
    assert learned[1.0][1] == 0
    assert min(learned[0.0][1], learned[0.5][1]) > 0
    assert len({loss for loss, _ in learned.values()}) == 3


@pytest.mark.slow
def test_two_hundred_steps_with_decay_change_no_bit_of_an_old_expert(policy: Policy, features: FeatureSet, tmp_path: Path) -> None:
    old: list[dict[str, torch.Tensor]] = []
    for seed in range(2):
        factors = start_expert(policy.modules_adapted, old, torch.Generator().manual_seed(seed))
        old.append({name: value + 0.01 * torch.randn(value.shape) for name, value in factors.items()})
    before = [{name: value.clone() for name, value in expert.items()} for expert in old]
    backbone = {name: value.clone() for name, value in policy.state_dict().items()}
    settings = LearnSettings(seed=1, steps=200, batch=1, views=1, weight_decay=0.1, schedule="constant")
    start = start_for(policy.requires_grad_(False), old, None, features, "nothing", 1)
    factors, router = learn_expert(policy, old, start, features, settings, Run(tmp_path / "run", "learn"), {})
    assert router.experts == 3
    assert max(value.abs().max() for name, value in factors.items() if name.endswith(".B")) > 1e-3, "the new expert did learn"
    for expert, kept in zip(old, before, strict=True):
        assert all(torch.equal(expert[name], value) for name, value in kept.items())
    assert all(torch.equal(policy.state_dict()[name], value) for name, value in backbone.items())


def test_half_precision_needs_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DmpelError, match="--precision bf16 needs a CUDA device"):
        on_device("bf16")


PROCESS = """
import os, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from safetensors.torch import save_file
from dmpel_core.experts.library import read_library
from dmpel_core.training import learn as command
from dmpel_core.training.datasets import load_all
from dmpel_core.training.pictures import PictureSet
from dmpel_core.training.pretrain import pretrain
from dmpel_core.training.run import Run
from dmpel_core.training.settings import LearnSettings, PretrainSettings
from dmpel_core.training.workers import on_processor
from tests.core.conftest import TINY

folder, accelerator = Path(sys.argv[1]), on_processor()
rank = accelerator.process_index
learn_expert = command.learn_expert

def told(*arguments):
    factors, router = learn_expert(*arguments)
    save_file({**factors, **router.state_dict()}, folder / f"expert-{rank}.safetensors")
    return factors, router

command.learn_expert = told
data = PictureSet(load_all([folder / "a.hdf5"]), TINY, held_out=1)
settings = PretrainSettings(seed=0, steps=3, batch=2, held_out=1)
shown = accelerator.is_main_process
policy = pretrain(data, settings, TINY, Run(folder / f"run-{rank}", "pretrain", shown=shown), "digest", accelerator=accelerator)
save_file(policy.backbone_state(), folder / f"backbone-{rank}.safetensors")
run = Run(folder / "run", "learn", shown=shown)
settings = LearnSettings(seed=1, steps=3, batch=2, views=1)
grown = command.learn(read_library(folder / "library"), [folder / "a.hdf5"], settings, run, 0.5, 1, accelerator=accelerator)
assert grown.generation == 1
"""


@pytest.mark.slow
def test_two_processes_hold_the_same_weights_and_learn_from_both_batches(library: Library, tmp_path: Path) -> None:
    import shutil

    weights = {}
    for count in (2, 1):
        folder = tmp_path / str(count)
        folder.mkdir()
        shutil.copytree(library.path, folder / "library")
        write_noise(folder / "a.hdf5", "open the drawer", 0)
        run_in_processes(PROCESS, folder, count)
        for what in ("backbone", "expert"):
            for rank in range(count):
                weights[count, what, rank] = load_file(folder / f"{what}-{rank}.safetensors")
    for what in ("backbone", "expert"):
        first, second, alone = (weights[key] for key in ((2, what, 0), (2, what, 1), (1, what, 0)))
        assert all(torch.equal(value, second[name]) for name, value in first.items()), "gradients were not synchronised"
        assert any(not torch.equal(value, alone[name]) for name, value in first.items()), "the other process's batch did not count"
    assert not (tmp_path / "2" / "run-1" / "checkpoint.safetensors").exists(), "one process writes"


def test_what_is_due_is_due_at_the_end_too() -> None:
    assert [step for step in range(10) if optimise_module.due(step, 10, 4)] == [3, 7, 9]


def test_half_precision_keeps_router_and_likelihood_in_single(policy: Policy, features: FeatureSet) -> None:
    start = start_for(policy.requires_grad_(False), [], None, features, "nothing", 1)
    losses = ExpertLosses(policy, [], start, features, SETTINGS, on_processor())
    exact, _ = losses(0)
    answers: list[torch.Tensor] = []
    losses.router.register_forward_hook(lambda module, given, answer: answers.append(answer))
    with torch.autocast("cpu", torch.bfloat16):
        rounded, way = losses(0)
    (rounded + way).backward()
    assert (answers[0].dtype, rounded.dtype) == (torch.float32, torch.float32)
    assert rounded.item() == pytest.approx(exact.item(), rel=0.05)
    assert rounded.item() != exact.item(), "the rest does run in half precision"
    assert all(value.grad is not None and value.grad.isfinite().all() for value in losses.parameters_by_name().values())
