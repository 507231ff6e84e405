"""Router pretraining on skills."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dmpel_core.experts.library import Library
from dmpel_core.experts.replay import ReplayMemory
from dmpel_core.policy.policy import Policy
from dmpel_core.skills import command
from dmpel_core.skills.labels import best_labels
from dmpel_core.skills.vocabulary import PHASES, SkillError
from dmpel_core.training import skill_routing
from dmpel_core.training.features import feature_set
from dmpel_core.training.learn import learn
from dmpel_core.training.run import Run
from dmpel_core.training.settings import LearnSettings
from dmpel_core.training.skill_routing import akin_to, phases_for, pretrain_router, prior_for
from tests.core.conftest import TINY, noise, write_library, write_noise
from tests.skills.arguments import run
from tests.skills.test_labels import write


def test_the_phases_are_those_asked_for_and_the_control_has_the_same_ones_in_another_order(tmp_path: Path) -> None:
    path = write(tmp_path / "task_demo.hdf5", PHASES)
    true = phases_for([path], None, "true", 0)
    assert len(true) == 2 * len(phases_for([path], 1, "true", 0))
    shuffled = phases_for([path], None, "shuffled", 0)
    assert (shuffled != true).any()
    np.testing.assert_array_equal(np.sort(shuffled), np.sort(true))
    annotated = phases_for([path], None, "annotated", 0)
    assert 0.8 < (annotated == true).mean() < 1
    run(command, str(path), "--correct", "demo_0:0:4=wait")
    assert (phases_for([path], None, "annotated", 0)[:4] == PHASES.index("wait")).all()
    assert best_labels(path, "demo_0")[0] == PHASES.index("wait")


def test_true_labels_are_not_made_up(tmp_path: Path) -> None:
    with pytest.raises(SkillError, match="choose annotated labels"):
        phases_for([write_noise(tmp_path / "noise_demo.hdf5", "sing", 0)], None, "true", 0)


def test_a_new_task_begins_with_its_own_expert_and_those_of_its_skill() -> None:
    np.testing.assert_allclose(prior_for([True, False], 2)[3], [0.5, 0.0, 0.5])


def test_a_pretrained_router_gives_old_contexts_their_coefficients_and_new_ones_the_prior(
    policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(skill_routing, "STEPS", 150)
    monkeypatch.setattr(skill_routing, "LEARNING_RATE", 1e-2)  # a tiny router learns slowly
    data = feature_set(policy, "open the drawer", [noise(seed, 12) for seed in range(2)], 1, 0, tmp_path, "key")
    queries = torch.randn(40, policy.query_width, generator=torch.Generator().manual_seed(0))
    stored = ReplayMemory.of(queries, policy.text.width, torch.full((40, 6, 1), 1.4), TINY.top_k)
    router = pretrain_router(policy, data, np.zeros(24, np.uint8), [False], [stored], 0)
    with torch.inference_mode():
        old = router.dense(stored.queries()).mean((0, 1))
        new = router.dense(skill_routing.plain_queries(policy, data, np.arange(24))).mean((0, 1))
    np.testing.assert_allclose(old, [1.4, 0.0], atol=0.25)
    np.testing.assert_allclose(new, [0.0, 0.5], atol=0.25)


def test_learning_with_skills_is_noted_and_without_them_is_as_before(
    policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(skill_routing, "STEPS", 3)
    monkeypatch.setenv("DMPEL_CACHE", str(tmp_path / "cache"))
    library: Library = write_library(tmp_path / "library", policy)
    path = write_noise(tmp_path / "noise_demo.hdf5", "open the drawer", 0)
    settings = LearnSettings(0, 2, 2, views=1, skills="annotated")
    grown = learn(library, [path], settings, Run(tmp_path / "run", "learn"), 1.0, 1)
    assert grown.experts[0].provenance["settings"]["skills"] == "annotated"
    assert "skills" not in LearnSettings(0, 2, 2).record()


def test_a_task_is_akin_to_those_that_ask_for_the_same_skill() -> None:
    known = ["open the drawer", "turn on the stove", "open the microwave"]
    assert akin_to("open the door", known, shuffle=False, seed=0) == [True, False, True]
    assert sorted(akin_to("open the door", known, shuffle=True, seed=0)) == [False, True, True]
