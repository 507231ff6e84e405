"""What a new expert starts from."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dmpel_core.experts.chunk import act_on_chunk
from dmpel_core.experts.pool import ExpertPool, start_expert
from dmpel_core.experts.router import Router
from dmpel_core.policy.policy import Policy
from dmpel_core.training.datasets import load_task_file
from dmpel_core.training.features import FeatureSet, feature_set
from dmpel_core.training.start import ASIDE, Start, mean_coefficients, mixture_as_expert, start_for
from tests.core.conftest import write_noise

EXPERTS = 4


@pytest.fixture
def features(policy: Policy, tmp_path: Path) -> FeatureSet:
    pairs = load_task_file(write_noise(tmp_path / "a.hdf5", "open the drawer", 0))
    return feature_set(policy, pairs[0][0], [demo for _, demo in pairs], 1, 0, tmp_path / "features", "key")


@pytest.fixture
def experts(policy: Policy) -> list[dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    found: list[dict[str, torch.Tensor]] = []
    for seed in range(EXPERTS):
        factors = start_expert(policy.modules_adapted, found, torch.Generator().manual_seed(seed))
        found.append({name: value + 0.1 * torch.randn(value.shape) for name, value in factors.items()})
    return found


@pytest.fixture
def router(policy: Policy) -> Router:
    torch.manual_seed(1)
    router = Router(policy.query_width, 16, EXPERTS, 3)
    torch.nn.init.normal_(router.net[-1].bias)  # type: ignore[arg-type]
    return router.requires_grad_(False)


def acted(policy: Policy, pool: ExpertPool, coefficients: torch.Tensor, data: FeatureSet) -> torch.Tensor:
    frames = data.frames(np.zeros(1, int), torch.arange(policy.sizes.window)[None])
    state = policy.proprioception.normalise(frames.joints, frames.gripper)
    answer, _ = act_on_chunk(policy, pool, coefficients, frames, data.text[:1], state=state)
    return answer.mean


def begun(policy: Policy, experts: list[dict[str, torch.Tensor]], router: Router | None, data: FeatureSet, start: str) -> Start:
    return start_for(policy.requires_grad_(False).eval(), experts, router, data, start, 3)


def test_an_expert_made_of_a_mixture_acts_as_the_mixture(
    policy: Policy, features: FeatureSet, experts: list[dict[str, torch.Tensor]], router: Router
) -> None:
    policy.requires_grad_(False).eval()
    coefficients = mean_coefficients(policy, router, features)
    assert coefficients.shape == (6, EXPERTS)
    one = mixture_as_expert(policy, experts, coefficients)
    expected = acted(policy, ExpertPool(policy.modules_adapted, experts), coefficients[None], features)
    found = acted(policy, ExpertPool(policy.modules_adapted, [one]), torch.ones(1, 6, 1), features)
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(found, acted(policy, ExpertPool(policy.modules_adapted, [one]), torch.zeros(1, 6, 1), features))


def test_the_new_expert_starts_as_what_the_library_mixes_with_the_others_aside(
    policy: Policy, features: FeatureSet, experts: list[dict[str, torch.Tensor]], router: Router
) -> None:
    start = begun(policy, experts, router, features, "mixture")
    expected = mixture_as_expert(policy, experts, mean_coefficients(policy, router, features))
    assert all(torch.equal(value, expected[name]) for name, value in start.factors.items())
    torch.nn.init.zeros_(start.router.net[-1].weight)  # type: ignore[arg-type]
    dense = start.router.dense(torch.randn(5, policy.query_width))
    torch.testing.assert_close(dense[..., -1], torch.ones(5, 6))
    torch.testing.assert_close(dense[..., :-1], torch.full((5, 6, EXPERTS), ASIDE))


@pytest.mark.parametrize("start", ["mixture", "nothing"])
def test_a_first_expert_changes_nothing_yet(policy: Policy, features: FeatureSet, start: str) -> None:
    assert all(not value.any() for name, value in begun(policy, [], None, features, start).factors.items() if name.endswith(".B"))


def test_the_published_start_changes_nothing_yet_and_mixes_the_others(
    policy: Policy, features: FeatureSet, experts: list[dict[str, torch.Tensor]], router: Router
) -> None:
    start = begun(policy, experts, router, features, "nothing")
    assert all(not value.any() for name, value in start.factors.items() if name.endswith(".B"))
    torch.nn.init.zeros_(start.router.net[-1].weight)  # type: ignore[arg-type]
    dense = start.router.dense(torch.randn(5, policy.query_width))
    torch.testing.assert_close(dense[..., :-1], torch.full((5, 6, EXPERTS), 1 / 3))


def test_another_router_takes_the_place_of_the_fresh_one(
    policy: Policy, features: FeatureSet, experts: list[dict[str, torch.Tensor]], router: Router
) -> None:
    named = Router(policy.query_width, 16, EXPERTS + 1, 3)
    assert start_for(policy, experts, router, features, "mixture", 3, named).router is named
