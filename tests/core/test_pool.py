"""Laws of mixing experts in weight space."""

import pytest
import torch
from torch import Tensor

from dmpel_core.experts.pool import ExpertPool, start_expert
from dmpel_core.groups import GROUPS
from dmpel_core.policy.adapted import LORA_ALPHA, AdaptedLinear, low_rank
from dmpel_core.policy.head import ActionMixture
from dmpel_core.policy.policy import Frames, Policy

RANK = 4


def random_expert(policy: Policy, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    empty = start_expert(policy.modules_adapted, [], generator)
    return {name: 0.1 * torch.randn(value.shape, generator=generator) for name, value in empty.items()}


def some_frames(policy: Policy, batch: int, ticks: int) -> Frames:
    generator = torch.Generator().manual_seed(1)
    pictures = torch.rand(batch * ticks, 2, 3, policy.sizes.pixels, policy.sizes.pixels, generator=generator)
    tokens = policy.image.trunk(pictures)
    return Frames(
        tokens.view(batch, ticks, *tokens.shape[1:]),
        torch.randn(batch, ticks, 7, generator=generator),
        torch.rand(batch, ticks, 2, generator=generator),
    )


def means(policy: Policy, pool: ExpertPool | None, coefficients: Tensor | None) -> Tensor:
    return act(policy, pool, coefficients).mean


def act(policy: Policy, pool: ExpertPool | None, coefficients: Tensor | None, ticks: int = 4) -> ActionMixture:
    frames = some_frames(policy, 2, ticks)
    mixture = pool.mix(coefficients) if pool is not None and coefficients is not None else None
    trunk = policy.text.trunk("open the drawer").expand(2, -1, -1)
    tokens = policy.tokens(frames, policy.text.encode(trunk, mixture), mixture)
    return policy.act(tokens, mixture)


def test_an_expert_with_zero_b_changes_nothing(policy: Policy) -> None:
    fresh = start_expert(policy.modules_adapted, [], torch.Generator().manual_seed(3))
    with torch.inference_mode():
        alone = means(policy, None, None)
        mixed = means(policy, ExpertPool(policy.modules_adapted, [fresh]), torch.full((2, 6, 1), 1.7))
        trained = means(policy, ExpertPool(policy.modules_adapted, [random_expert(policy, 5)]), torch.full((2, 6, 1), 1.7))
    torch.testing.assert_close(mixed, alone)
    assert (trained - alone).abs().max() > 1e-3


def test_one_expert_at_one_is_plain_lora() -> None:
    torch.manual_seed(0)
    layer, x = AdaptedLinear(6, 5), torch.randn(3, 2, 6)
    layer.name = "layer"
    a, b = torch.randn(6, RANK), torch.randn(RANK, 5)
    merged = torch.nn.functional.linear(x, layer.weight + LORA_ALPHA / RANK * (a @ b).T, layer.bias)
    torch.testing.assert_close(layer(x, {"layer": (a.expand(3, -1, -1), b.expand(3, -1, -1))}), merged)


def test_the_update_is_quadratic_in_one_coefficient_and_has_cross_terms(policy: Policy) -> None:
    module = policy.modules_adapted[0]
    experts = [random_expert(policy, 1), random_expert(policy, 2)]
    pool, x = ExpertPool(policy.modules_adapted, experts), torch.randn(1, 3, module.inputs)

    def update(first: float, second: float) -> Tensor:
        return low_rank(x, pool.mix(torch.tensor([first, second]).expand(1, 6, 2))[module.name])

    torch.testing.assert_close(update(0.5, 0.0), 0.25 * update(1.0, 0.0))
    a0, b0, a1, b1 = (experts[k][f"{module.name}.{letter}"] for k in (0, 1) for letter in "AB")
    cross = LORA_ALPHA / RANK * ((x @ a0) @ b1 + (x @ a1) @ b0)
    torch.testing.assert_close(update(1.0, 1.0) - update(1.0, 0.0) - update(0.0, 1.0), cross)


def test_each_sample_gets_its_own_mixture(policy: Policy) -> None:
    pool = ExpertPool(policy.modules_adapted, [random_expert(policy, 1), random_expert(policy, 2)])
    coefficients = torch.rand(2, 6, 2)
    with torch.inference_mode():
        together = means(policy, pool, coefficients)
        first = means(policy, pool, coefficients[:1].expand(2, -1, -1))
        second = means(policy, pool, coefficients[1:].expand(2, -1, -1))
    torch.testing.assert_close(together, torch.stack([first[0], second[1]]))


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_moves_the_action(policy: Policy, group: str) -> None:
    pool = ExpertPool(policy.modules_adapted, [random_expert(policy, 1)])
    coefficients = torch.zeros(2, 6, 1)
    coefficients[:, GROUPS.index(group)] = 1.0
    with torch.inference_mode():
        assert (means(policy, pool, coefficients) - means(policy, None, None)).abs().max() > 1e-5


def test_only_the_newest_expert_gets_a_gradient(policy: Policy) -> None:
    policy.requires_grad_(False)
    old = {name: value.requires_grad_() for name, value in random_expert(policy, 1).items()}
    new = {name: value.requires_grad_() for name, value in random_expert(policy, 2).items()}
    mixture = act(policy, ExpertPool(policy.modules_adapted, [old], new), torch.rand(2, 6, 2))
    mixture.negative_log_likelihood(torch.zeros(2, 4, 3, 7)).mean().backward()
    assert all(value.grad is None for value in old.values())
    assert all(value.grad is not None and value.grad.abs().max() > 0 for value in new.values())
    assert all(parameter.grad is None for parameter in policy.parameters())


def test_a_later_expert_starts_orthogonal_to_all_earlier_ones(policy: Policy) -> None:
    earlier = [random_expert(policy, seed) for seed in range(3)]
    fresh = start_expert(policy.modules_adapted, earlier, torch.Generator().manual_seed(9))
    for module in policy.modules_adapted:
        a = fresh[f"{module.name}.A"].flatten()
        assert abs(a.norm() - 1) < 1e-5
        assert fresh[f"{module.name}.B"].abs().max() == 0
        if a.numel() > len(earlier):
            assert max(abs(a @ expert[f"{module.name}.A"].flatten()) for expert in earlier) < 1e-5


def test_the_first_expert_starts_within_the_official_bound(policy: Policy) -> None:
    fresh = start_expert(policy.modules_adapted, [], torch.Generator().manual_seed(9))
    for module in policy.modules_adapted:
        assert 0 < fresh[f"{module.name}.A"].abs().max() <= (module.inputs * RANK) ** -0.5
