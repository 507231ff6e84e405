"""Three tasks of noise, a backbone of a few weights, and a scorer that needs no simulation."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from dmpel_core.experts.library import Library
from dmpel_core.experts.restore import restore_policy
from dmpel_core.lifelong.algorithms import algorithm_called
from dmpel_core.lifelong.algorithms.base import Algorithm
from dmpel_core.lifelong.player import routing
from dmpel_core.lifelong.scoring import Score, Trial
from dmpel_core.lifelong.settings import Options, Plan, Protocol
from dmpel_core.lifelong.switching import switching
from dmpel_core.lifelong.tasks import TaskData, load_task_data
from dmpel_core.policy.policy import Policy
from dmpel_core.skills.labels import TRUE
from dmpel_core.skills.vocabulary import PHASES
from dmpel_core.training.settings import LearnSettings
from dmpel_core.training.workers import on_processor
from tests.core.conftest import TINY, write_library, write_noise

SENTENCES = ("open the drawer", "turn on the stove", "put the bowl on the plate")
LEARN = LearnSettings(seed=1, steps=2, batch=2, views=2)
OPTIONS = Options(memory=9, fisher_samples=3, slots=3, centres=3, skills=4, segment=4, old_demonstrations=1, replay_epochs=1)
PROTOCOL = Protocol(states=(4, 5), selection_states=(0, 1, 2), curve_points=2, loss_samples=4)


def coins(trials: Sequence[Trial]) -> Iterator[Score]:
    """Score trials by what they are: other weights, another task or other states fall otherwise."""
    for trial in trials:
        bits = hashlib.sha256(trial.key().encode()).digest()
        yield Score(tuple(bit % 2 == 0 for bit in bits[: len(trial.states)]), tuple(map(int, bits[: len(trial.states)])))


def strolls(trial: Trial) -> dict[str, Any]:
    """Return what two slots were chosen for in a trial, by what the trial is."""
    rng = np.random.default_rng(int(trial.key(), 16))
    episodes = [(rng.random((5, 6, 2)), rng.normal(size=(5, 7))) for _ in trial.states]
    return {**routing([tick for used, _ in episodes for tick in used]), **switching(episodes)}


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    torch.manual_seed(0)
    return write_library(tmp_path_factory.mktemp("backbone") / "library", Policy(TINY).eval())


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[list[Path]]:
    folder = tmp_path_factory.mktemp("demonstrations")
    return [[label(write_noise(folder / f"{number}.hdf5", sentence, 10 * number))] for number, sentence in enumerate(SENTENCES)]


def label(path: Path) -> Path:
    """Name the phase of every tick, as the scripted expert does."""
    with h5py.File(path, "r+") as file:
        for demonstration in file["data"].values():
            phases = np.arange(len(demonstration["actions"])) * len(PHASES) // len(demonstration["actions"])
            demonstration[TRUE] = phases.astype(np.uint8)
            demonstration[TRUE].attrs["names"] = list(PHASES)
    return path


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def one_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DMPEL_CACHE", str(cache))


@pytest.fixture
def backbone(library: Library) -> Policy:
    return restore_policy(library)


@pytest.fixture
def tasks(backbone: Policy, library: Library, files: list[list[Path]], cache: Path) -> list[TaskData]:
    name = library.manifest.backbone.sha256
    return [load_task_data(backbone, name, part, LEARN, cache, pictures=True, features=True) for part in files]


def plan(algorithm: str, **learn: object) -> Plan:
    return Plan(algorithm, "libero_goal", (4, 7, 8), replace(LEARN, **learn), OPTIONS, PROTOCOL)


def begun(name: str, policy: Policy, options: Options = OPTIONS, **learn: object) -> Algorithm:
    return algorithm_called(name)(policy, replace(LEARN, **learn), options, on_processor())
