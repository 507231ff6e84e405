"""Sampling, resuming and learning on demonstrations made of noise."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dmpel_core.errors import DmpelError
from dmpel_core.experts.library import Library, read_library
from dmpel_core.training.augmentation import augment, disturb_state
from dmpel_core.training.datasets import load_all
from dmpel_core.training.episodes import Timeline
from dmpel_core.training.learn import learn
from dmpel_core.training.pictures import PictureSet
from dmpel_core.training.pretrain import pretrain
from dmpel_core.training.run import Run
from dmpel_core.training.schedule import shape_for
from dmpel_core.training.settings import LearnSettings, PretrainSettings
from dmpel_core.training.waypoints import waypoints
from tests.core.conftest import TINY, write_noise

SETTINGS = LearnSettings(seed=1, steps=6, batch=3, weight_decay=0.1, views=2)


def test_sequences_stand_beside_their_actions_and_stop_at_the_end() -> None:
    actions = np.arange(7)[:, None].repeat(7, 1)
    timeline = Timeline([actions[:3], actions[3:]])
    batch = timeline.sequences(np.array([1, 3]), window=4, chunk=2)
    assert batch.index.tolist() == [[1, 2, 2, 2], [3, 4, 5, 6]]
    assert batch.valid.tolist() == [[[1, 1], [1, 0], [0, 0], [0, 0]], [[1, 1], [1, 1], [1, 1], [1, 0]]]
    assert batch.actions[1, :, :, 0].tolist() == [[3, 4], [4, 5], [5, 6], [6, 6]]


def test_draws_stay_inside_a_demonstration_and_favour_no_frame() -> None:
    timeline = Timeline([np.zeros((length, 7)) for length in (30, 4, 25)])
    starts = timeline.draw(np.random.default_rng(0), np.arange(len(timeline)), 20000, window=10)
    batch = timeline.sequences(starts, window=10, chunk=1)
    assert (timeline.last[starts] == timeline.last[batch.index.numpy()[:, -1]]).all()
    long = np.bincount(batch.index[timeline.last[starts] == 29].flatten().numpy())[:30]
    assert long.min() > 0.3 * long.max(), "uniform starts would show the first frame a tenth as often as the middle"


def test_augmentation_is_the_same_for_all_ticks_of_a_sample_and_differs_between_samples() -> None:
    picture = torch.rand(1, 1, 1, 3, 16, 16).expand(3, 4, 2, 3, 16, 16).clone()
    changed = augment(picture, torch.Generator().manual_seed(0))
    assert torch.equal(changed[:, 0], changed[:, 3])
    assert not torch.equal(changed[0], changed[1])


def test_hidden_joints_are_hidden_for_the_whole_sample() -> None:
    state = disturb_state(torch.ones(200, 5, 9), noise=0.0, dropout=0.3, generator=torch.Generator().manual_seed(0))
    kept = state.mean((1, 2))
    assert set(kept.tolist()) == {0.0, 1.0}
    assert 0.6 < kept.mean() < 0.8


def libraries_equal(first: Library, second: Library) -> bool:
    return (first.path / "manifest.json").read_bytes() == (second.path / "manifest.json").read_bytes()


def grow(library: Library, data: Path, folder: Path, settings: LearnSettings = SETTINGS) -> Library:
    return learn(library, [data], settings, Run(folder, "learn"), replay_ratio=0.5, replay_epochs=2)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DMPEL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_learning_leaves_every_old_byte_alone(library: Library, tmp_path: Path, cache: Path) -> None:
    first = grow(library, write_noise(tmp_path / "a.hdf5", "open the drawer", 0), tmp_path / "run-a")
    before = {path: path.read_bytes() for path in first.path.rglob("*.safetensors")}
    second = grow(first, write_noise(tmp_path / "b.hdf5", "turn on the stove", 10), tmp_path / "run-b")
    assert [expert.name for expert in second.experts] == ["open the drawer", "turn on the stove"]
    assert all(path.read_bytes() == content for path, content in before.items())
    assert second.replay(0)["index"].shape[-1] == 1
    assert second.replay(1)["index"].shape[-1] == 2
    assert max(np.abs(value).max() for name, value in second.factors(1).items() if name.endswith(".B")) > 0
    grow(second, tmp_path / "b.hdf5", tmp_path / "run-c")
    assert read_library(second.path).generation == 2, "learning the same task again adds nothing"
    with pytest.raises(DmpelError, match="already has an expert for 'turn on the stove'"):
        grow(second, tmp_path / "b.hdf5", tmp_path / "run-d", replace(SETTINGS, seed=2))


def test_a_checkpoint_of_another_run_is_refused(library: Library, tmp_path: Path, cache: Path) -> None:
    data = write_noise(tmp_path / "a.hdf5", "open the drawer", 0)
    grow(library, data, tmp_path / "run")
    other = write_noise(tmp_path / "b.hdf5", "turn on the stove", 10)
    with pytest.raises(DmpelError, match="other settings"):
        grow(read_library(library.path), other, tmp_path / "run")


def test_pretraining_resumed_halfway_equals_the_unbroken_run(tmp_path: Path) -> None:
    files = [write_noise(tmp_path / "a.hdf5", "open the drawer", 0), write_noise(tmp_path / "b.hdf5", "turn on the stove", 10)]
    data, settings = PictureSet(load_all(files), TINY, held_out=1), PretrainSettings(seed=0, steps=6, batch=2, held_out=1)
    unbroken = pretrain(data, settings, TINY, Run(tmp_path / "one", "pretrain"), "digest")
    broken = Run(tmp_path / "two", "pretrain")
    steps = broken.steps
    broken.steps = lambda done, total: steps(done, 3)  # type: ignore[method-assign]
    pretrain(data, settings, TINY, broken, "digest", checkpoint_every=3)
    resumed = pretrain(data, settings, TINY, Run(tmp_path / "two", "pretrain"), "digest", checkpoint_every=3)
    for name, value in unbroken.backbone_state().items():
        assert torch.equal(value, resumed.backbone_state()[name]), name


def test_held_out_demonstrations_measure_sight_and_teach_nothing(tmp_path: Path) -> None:
    pairs = list(load_all([write_noise(tmp_path / "a.hdf5", "open the drawer", 0)]))
    other = list(load_all([write_noise(tmp_path / "b.hdf5", "open the drawer", 50)]))
    settings = PretrainSettings(seed=0, steps=2, batch=2, held_out=1)
    weights, noted = [], []
    for number, demonstrations in enumerate((pairs, [*pairs[:-1], other[-1]])):
        run = Run(tmp_path / str(number), "pretrain")
        weights.append(pretrain(PictureSet(demonstrations, TINY, held_out=1), settings, TINY, run, "digest").backbone_state())
        noted.append(run.noted)
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert noted[0]["held_out_cm"] != noted[1]["held_out_cm"]
    assert noted[0]["held_out_cm"] != noted[0]["held_out_blank_cm"]
    with pytest.raises(DmpelError, match="hold out 3"):
        PictureSet(pairs, TINY, held_out=3)


LEARN = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from dmpel_core.experts.library import read_library
from dmpel_core.training import expert
from dmpel_core.training.learn import learn
from dmpel_core.training.run import Run
from dmpel_core.training.settings import LearnSettings
expert.CHECKPOINT_EVERY = 2
library, data, folder = map(Path, sys.argv[1:4])
settings = LearnSettings(seed=1, steps=12, batch=3, views=2)
class Told(Run):
    def steps(self, done, total):
        for step, report in super().steps(done, total):
            print("step", step, flush=True)
            yield step, report
learn(read_library(library), [data], settings, Told(folder, "learn"), 0.5, 2)
"""


def test_learning_killed_and_started_again_gives_the_same_library(library: Library, tmp_path: Path, cache: Path) -> None:
    data, twin = write_noise(tmp_path / "a.hdf5", "open the drawer", 0), tmp_path / "twin"
    shutil.copytree(library.path, twin)
    environment = {**os.environ, "DMPEL_CACHE": str(cache)}

    def command(path: Path, run: str) -> list[str]:
        return [sys.executable, "-c", LEARN, str(path), str(data), str(tmp_path / run)]

    subprocess.run(command(library.path, "run-1"), check=True, env=environment, capture_output=True)
    for killed_at in (0, 5):  # before the first checkpoint, and between two
        with subprocess.Popen(
            command(twin, "run-2"), env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as victim:
            assert victim.stdout is not None
            assert f"step {killed_at}\n" in iter(victim.stdout.readline, "")
            victim.kill()
        assert victim.returncode == -signal.SIGKILL
        assert json.loads((twin / "manifest.json").read_text())["generation"] == 0
    subprocess.run(command(twin, "run-2"), check=True, env=environment, capture_output=True)
    assert libraries_equal(read_library(library.path), read_library(twin))


def test_a_waypoint_is_the_way_to_the_next_gripper_event() -> None:
    hand = np.arange(6)[:, None] * np.array([[0.1, 0.0, -0.1]])
    actions = np.zeros((6, 7))
    actions[:, 6] = [-1, -1, 1, 1, -1, -1]
    way = waypoints(hand, actions)
    np.testing.assert_allclose(way[:, 0], [2, 1, 2, 1, 1, 0])
    np.testing.assert_allclose(way[:, 2], -way[:, 0])


def test_short_sequences_hold_as_many_ticks_as_whole_windows() -> None:
    shapes = [shape_for(step, 16, 10) for step in range(4)]
    assert shapes == [(16, 10), (80, 2), (80, 2), (80, 2)]
    assert {shape_for(step, 16, 10, "whole") for step in range(4)} == {(16, 10)}
