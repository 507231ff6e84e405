"""The router and coefficient replay."""

import pytest
import torch

from dmpel_core.experts.replay import ReplayMemory, replay_loss
from dmpel_core.experts.router import Router, fresh_router, keep_top
from dmpel_core.training.recall import recall


@pytest.mark.parametrize("experts", [1, 2, 5])
def test_a_new_router_gives_each_expert_an_equal_share(experts: int) -> None:
    router = Router(8, 16, experts, top_k=3)
    answer = router(torch.zeros(1, 8))
    torch.nn.init.zeros_(router.net[-1].weight)
    answer = router(torch.randn(4, 8))
    assert (answer > 0).sum(-1).eq(min(3, experts)).all()
    torch.testing.assert_close(answer[answer > 0], torch.full_like(answer[answer > 0], 1 / min(3, experts)))


@pytest.mark.parametrize("shared", [False, True])
def test_the_expert_that_is_learned_is_mixed_from_the_start_however_many_there_are(shared: bool) -> None:
    torch.manual_seed(0)
    coefficients = fresh_router(20, 64, 10, 3, shared=shared)(torch.randn(500, 20))
    assert (coefficients[..., -1] > 0).all()
    assert coefficients[..., -1].mean().item() == pytest.approx(1, abs=0.15)
    others = coefficients[..., :-1]
    assert (others > 0).sum(-1).eq(2).all()
    assert others[others > 0].mean().item() == pytest.approx(1 / 3, abs=0.1)


def test_coefficients_stay_below_two_and_are_not_renormalised() -> None:
    router = Router(8, 16, 5, top_k=3)
    torch.nn.init.constant_(router.net[-1].bias, 10.0)
    answer = router(torch.randn(3, 8))
    assert answer.max() <= 2
    assert answer.sum(-1).min() > 5.9


def test_keep_top_keeps_the_largest() -> None:
    kept = keep_top(torch.tensor([[0.1, 0.9, 0.5, 0.7]]), 2)
    torch.testing.assert_close(kept, torch.tensor([[0.0, 0.9, 0.0, 0.7]]))


def test_memory_returns_what_was_stored_and_pads_newer_experts_with_zeros() -> None:
    queries = torch.cat([torch.ones(6, 3), torch.randn(6, 4)], 1)
    answers = keep_top(torch.rand(6, 6, 4), 3)
    memory = ReplayMemory.of(queries, 3, answers, top_k=3)
    torch.testing.assert_close(memory.queries(), queries)
    torch.testing.assert_close(memory.targets(4), answers)
    torch.testing.assert_close(memory.targets(6)[..., 4:], torch.zeros(6, 6, 2))


def memory_of(centre: float, router: Router) -> ReplayMemory:
    queries = centre + 0.1 * torch.randn(64, 8)
    with torch.no_grad():
        return ReplayMemory.of(queries, 3, router(queries), top_k=2)


def test_recall_restores_the_answers_of_an_old_task() -> None:
    torch.manual_seed(0)
    old_router, new_router = Router(8, 32, 2, 2), Router(8, 32, 3, 2)
    old, new = memory_of(-1.0, old_router), memory_of(1.0, new_router)
    queries, targets = old.queries(), old.targets(3)
    before = replay_loss(new_router, queries, targets).item()
    trained, loss = recall(new_router, [old, new], epochs=60, seed=0)
    after = replay_loss(trained, queries, targets).item()
    assert after < 0.2 * before
    assert loss < before
    assert replay_loss(new_router, queries, targets).item() == before, "the router that was passed in must not change"
