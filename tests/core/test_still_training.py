"""Still pictures in training: their waypoints are learned, and nothing else of them."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dmpel_core.data.hdf5 import TaskRecord
from dmpel_core.data.stills import Stills, write_stills
from dmpel_core.errors import DmpelError
from dmpel_core.experts.library import Library
from dmpel_core.policy.policy import Frames, Policy
from dmpel_core.training.datasets import load_all
from dmpel_core.training.learn import learn
from dmpel_core.training.pictures import PictureSet, StillSet
from dmpel_core.training.pretrain import pretrain
from dmpel_core.training.run import Run
from dmpel_core.training.settings import LearnSettings, PretrainSettings
from tests.core.conftest import BRIGHT_MEANS_LEFT, TINY, bright_stills, write_noise

SENTENCE = "open the drawer"


def error(policy: Policy, shown: Stills) -> float:
    """Return how far the backbone's foreseen waypoints are off [m]."""
    data = StillSet([(SENTENCE, shown)], policy.sizes)
    with torch.inference_mode():
        text = policy.text.encode(policy.text.trunk(SENTENCE)).expand(len(data), -1)
        tokens = policy.image.trunk(data.pictures.float() / 255)[:, None]
        _, ways = policy.act_and_foresee(policy.tokens(Frames(tokens, data.joints[:, None], data.gripper[:, None]), text))
    assert ways is not None
    return float((ways[:, 0] - data.waypoints).norm(dim=-1).mean()) / 10


def test_pretraining_learns_where_still_pictures_lead(tmp_path: Path) -> None:
    demonstrations = PictureSet(load_all([write_noise(tmp_path / "a.hdf5", SENTENCE, 0)]), TINY)
    settings = PretrainSettings(seed=0, steps=40, batch=1, learning_rate=3e-3, stills=24)
    shown = StillSet([(SENTENCE, bright_stills())], TINY)
    with_stills = pretrain(demonstrations, settings, TINY, Run(tmp_path / "one", "pretrain"), "a", stills=shown)
    without = pretrain(demonstrations, settings, TINY, Run(tmp_path / "two", "pretrain"), "a")
    assert error(with_stills, bright_stills()) < BRIGHT_MEANS_LEFT / 2 < error(without, bright_stills())


def grow(library: Library, tmp_path: Path, file: Path | None, name: str) -> Library:
    data = write_noise(tmp_path / "a.hdf5", SENTENCE, 0)
    settings = LearnSettings(seed=1, steps=4, batch=1, views=2, stills=8 if file else 0)
    return learn(library, [data], settings, Run(tmp_path / name, "learn"), 0.5, 1, stills=[file] if file else [])


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DMPEL_CACHE", str(tmp_path / "cache"))


def test_an_expert_learns_from_them_and_its_record_names_them(library: Library, tmp_path: Path, cache: None) -> None:
    write_stills(tmp_path / "s.hdf5", bright_stills(), TaskRecord(SENTENCE))
    grown = grow(library, tmp_path, tmp_path / "s.hdf5", "run")
    assert len(grown.experts[0].provenance["stills"]) == 64
    assert grown.experts[0].provenance["settings"]["stills"] == 8
    assert grow(grown, tmp_path, tmp_path / "s.hdf5", "again").generation == grown.generation
    with pytest.raises(DmpelError, match="learned from other data or settings"):
        grow(grown, tmp_path, None, "other")


def test_still_pictures_of_another_task_are_refused(library: Library, tmp_path: Path, cache: None) -> None:
    write_stills(tmp_path / "s.hdf5", bright_stills(), TaskRecord("turn on the stove"))
    with pytest.raises(DmpelError, match="the still pictures show 'turn on the stove', the demonstrations 'open the drawer'"):
        grow(library, tmp_path, tmp_path / "s.hdf5", "run")


def test_a_policy_that_foresees_nothing_refuses_them(tmp_path: Path) -> None:
    sizes = replace(TINY, waypoint=False)
    demonstrations = PictureSet(load_all([write_noise(tmp_path / "a.hdf5", SENTENCE, 0)]), sizes)
    settings = PretrainSettings(seed=0, steps=1, batch=1, stills=4)
    with pytest.raises(DmpelError, match="this policy foresees none; leave out --stills"):
        pretrain(
            demonstrations, settings, sizes, Run(tmp_path / "run", "pretrain"), "a", stills=StillSet([(SENTENCE, bright_stills(8))], sizes)
        )
