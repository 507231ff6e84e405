"""Choices beside the paper, each off by default, on problems of golden size."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from dmpel_core.experts.chunk import act_causally, act_on_chunk
from dmpel_core.experts.pool import ExpertPool, start_expert
from dmpel_core.experts.replay import replay_loss
from dmpel_core.experts.router import Router
from dmpel_core.inference.episode import Episode
from dmpel_core.policy.adapted import LORA_ALPHA
from dmpel_core.policy.head import ActionMixture
from dmpel_core.policy.policy import Frames, Policy
from dmpel_core.policy.sizes import PolicySizes
from dmpel_core.policy.transformer import Block
from tests.core.test_clip import TINY_CLIP

EXPERTS = 5


def random_parts(sizes: PolicySizes) -> tuple[Policy, ExpertPool, Router]:
    torch.manual_seed(0)
    policy, chance = Policy(sizes).eval().requires_grad_(False), torch.Generator().manual_seed(1)
    experts = []
    for _ in range(EXPERTS):
        fresh = start_expert(policy.modules_adapted, [], chance)
        experts.append({name: 0.1 * torch.randn(value.shape, generator=chance) for name, value in fresh.items()})
    router = Router(policy.query_width, sizes.router_hidden, EXPERTS, sizes.top_k, shared=sizes.router_shared)
    return policy, ExpertPool(policy.modules_adapted, experts), router


def sequence(policy: Policy, ticks: int, batch: int = 1) -> tuple[Frames, Tensor, Tensor]:
    """Return frames, token ids after the frozen half of the text tower, and the frozen sentence embedding."""
    chance = torch.Generator().manual_seed(2)
    pictures = torch.rand(batch, ticks, 2, 3, 20, 20, generator=chance)
    tokens = policy.image.trunk(pictures.flatten(0, 1)).unflatten(0, (batch, ticks))
    words = policy.text.embed(torch.tensor([[0, 5, 9, 1]]).expand(batch, -1))  # type: ignore[operator]
    joints, gripper = torch.randn(batch, ticks, 7, generator=chance), torch.rand(batch, ticks, 2, generator=chance)
    return Frames(tokens, joints, gripper), words, policy.text.encode(words)


def play(sizes: PolicySizes, ticks: int) -> tuple[ActionMixture, list[Tensor]]:
    """Return the mixture of every tick of an episode, (ticks, ...), and its coefficients."""
    policy, pool, router = random_parts(sizes)
    frames, words, text = sequence(policy, ticks)
    episode, answers, used = Episode(sizes), [], []
    with torch.no_grad():
        for tick in range(ticks):
            now = Frames(*(part[:, tick : tick + 1] for part in (frames.tokens, frames.joints, frames.gripper)))
            answer, coefficients = episode.tick(policy, pool, router, now, words, text)
            assert coefficients is not None
            answers.append(answer)
            used.append(coefficients)
    return ActionMixture(*(torch.cat([getattr(answer, part) for answer in answers]) for part in ("logits", "mean", "std"))), used


def test_the_causal_query_trains_on_what_the_engine_plays() -> None:
    policy, pool, router = random_parts(TINY_CLIP)
    frames, words, text = sequence(policy, TINY_CLIP.window)
    played, used = play(TINY_CLIP, TINY_CLIP.window)
    with torch.no_grad():
        features = policy.query(frames, text)
        causal = act_causally(policy, pool, router, frames, words, features)
        whole, _ = act_on_chunk(policy, pool, router(policy.sequence_query(features)), frames, words)
    torch.testing.assert_close(causal.mean[0], played.mean)
    torch.testing.assert_close(causal.std[0], played.std)
    torch.testing.assert_close(causal.logits[0], played.logits)
    assert (whole.mean[0] - played.mean).abs().max() > 100 * (causal.mean[0] - played.mean).abs().max()
    torch.testing.assert_close(used[-1], router(policy.sequence_query(features)))  # the last tick has seen the whole chunk


def test_causal_training_treats_samples_apart() -> None:
    policy, pool, router = random_parts(TINY_CLIP)
    frames, words, text = sequence(policy, 3, batch=2)
    with torch.no_grad():
        features = policy.query(frames, text)
        both = act_causally(policy, pool, router, frames, words, features)
        second = Frames(frames.tokens[1:], frames.joints[1:], frames.gripper[1:])
        alone = act_causally(policy, pool, router, second, words[1:], features[1:])
    torch.testing.assert_close(both.mean[1:], alone.mean)


@pytest.mark.parametrize("dense", [False, True])
def test_only_the_dense_replay_loss_reaches_an_expert_outside_the_top_k(dense: bool) -> None:
    torch.manual_seed(0)
    router, query = Router(8, 16, EXPERTS, top_k=3), torch.randn(1, 8)
    missing = router.dense(query)[0, 0].argmin()
    targets = torch.zeros(1, 6, EXPERTS)
    targets[0, 0, missing] = 2.0
    replay_loss(router, query, targets, dense=dense).backward()
    gradient = router.net[-1].bias.grad
    assert isinstance(gradient, Tensor)
    assert (gradient.view(6, EXPERTS)[0, missing] != 0) == dense


def recalled(dense: bool) -> float:
    """Return the error of the router's top-3 after 150 steps of recall of five tasks that chose experts at random."""
    torch.manual_seed(0)
    centres, router = torch.randn(EXPERTS, 1, 137), Router(137, 20, EXPERTS, top_k=3)
    queries, targets = (centres + 0.3 * torch.randn(EXPERTS, 32, 137)).flatten(0, 1), torch.zeros(EXPERTS, 32, 6, EXPERTS)
    for task in range(EXPERTS):
        for row in range(6):
            chosen = torch.randperm(task + 1)[:3]
            targets[task, :, row, chosen] = torch.linspace(1.9, 0.3, len(chosen))
    targets, optimizer = targets.flatten(0, 1), torch.optim.AdamW(router.parameters(), lr=1e-3)
    for _ in range(150):
        rows = torch.randint(len(queries), (32,))
        optimizer.zero_grad()
        replay_loss(router, queries[rows], targets[rows], dense=dense).backward()
        optimizer.step()
    return replay_loss(router, queries, targets).item()


def test_dense_replay_restores_in_the_same_steps_what_sparse_replay_does_not() -> None:
    assert recalled(dense=True) < 0.2 * recalled(dense=False)


def test_between_two_routings_the_mixture_stays() -> None:
    _, used = play(replace(TINY_CLIP, mixture_interval=3), 7)
    assert [torch.equal(used[tick], used[tick - 1]) for tick in range(1, 7)] == [True, True, False, True, True, False]
    _, each = play(TINY_CLIP, 7)
    assert torch.equal(used[0], each[0])
    assert not torch.equal(used[3], each[3]), "pictures of the ticks between were not looked at"


@pytest.mark.parametrize(
    "change",
    [{"query_difference": True}, {"query_mean": False}, {"query_state": False}, {"query_mean": False, "query_difference": True}],
)
def test_the_query_has_the_parts_that_are_chosen(change: dict[str, bool]) -> None:
    sizes = replace(TINY_CLIP, **change)  # type: ignore[arg-type]
    policy, _, router = random_parts(sizes)
    frames, _, text = sequence(policy, 3, batch=2)
    features = policy.query(frames, text)
    query, width = policy.sequence_query(features), TINY_CLIP.image_width
    assert query.shape == (2, policy.query_width)
    assert router(query).shape == (2, 6, EXPERTS)
    classes = features[..., 24 : 24 + width]  # of the first camera
    parts = ([classes.mean(1)] if sizes.query_mean else []) + ([classes[:, -1] - classes[:, 0]] if sizes.query_difference else [])
    for index, part in enumerate(parts):
        torch.testing.assert_close(query[:, 24 + index * width :][:, :width], part)
    torch.testing.assert_close(policy.running_query(features)[:, :1], torch.stack([policy.sequence_query(features[:, :1])], 1))
    play(sizes, 3)


def test_an_expert_bias_moves_the_output_by_scale_times_its_share() -> None:
    sizes = replace(TINY_CLIP, expert_bias=True)
    policy, pool, _ = random_parts(sizes)
    module = next(module for module in policy.modules_adapted if module.name == "head.mean")
    coefficients = torch.rand(2, 6, EXPERTS)
    mixture, x = pool.mix(coefficients), torch.randn(2, module.inputs)
    a, b, bias = mixture["head.mean"]
    shared = torch.einsum("bk,ko->bo", coefficients[:, 5], torch.stack([pool.stacked("head.mean.bias")[k] for k in range(EXPERTS)]))
    torch.testing.assert_close(bias, shared)
    update = LORA_ALPHA / sizes.rank * (torch.einsum("bi,bir,bro->bo", x, a, b) + bias)
    torch.testing.assert_close(policy.head.mean(x, mixture) - policy.head.mean(x), update)
    assert {m.group for m in policy.modules_adapted if m.bias} == {"proprioception", "fusion", "head"}
    fresh = start_expert(policy.modules_adapted, [], torch.Generator().manual_seed(0))
    assert fresh["head.mean.bias"].abs().max() == 0


def test_query_and_value_of_one_layer_drop_the_same_coefficients() -> None:
    policy = random_parts(TINY_CLIP)[0]
    fused = [module for module in policy.modules_adapted if module.group in {"image", "temporal"}]
    assert len({module.draw for module in policy.modules_adapted}) == len(policy.modules_adapted) - len(fused) // 2
    expert = {name: torch.ones(shape) for module in policy.modules_adapted for name, shape in module.shapes().items()}
    torch.manual_seed(0)
    mixture = ExpertPool(policy.modules_adapted, [expert] * EXPERTS).mix(torch.ones(8, 6, EXPERTS), 0.5)
    for part, same in (("image", True), ("temporal", True), ("text", False)):
        query, value = (mixture[f"{part}.blocks.0.attention.qkv.{letter}"][0] for letter in "qv")
        assert torch.equal(query, value) == same


def test_drop_path_skips_whole_samples_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    block, x = Block(16, 4, 32, drop_path=0.5), torch.randn(1, 3, 16).expand(4000, -1, -1)
    whole, dropped = block.eval()(x)[0], block.train()(x)
    skipped = x[0] + block.attention(block.norm1(x[:1]), None, None, False)[0]
    kinds = torch.stack([(dropped - kind).abs().amax((1, 2)) < 1e-4 for kind in (skipped, 2 * whole - skipped)])
    assert kinds.sum(0).eq(1).all()
    torch.testing.assert_close(dropped.mean(0), whole, atol=0.1, rtol=0.1)


def test_samples_follow_the_mixture() -> None:
    count = 4000
    mixture = ActionMixture(
        torch.tensor([0.0, 2.0]).expand(count, 2), torch.tensor([-5.0, 5.0])[:, None, None].expand(count, 2, 1, 3),
        torch.tensor([0.1, 0.5])[:, None, None].expand(count, 2, 1, 3),
    )  # fmt: skip
    drawn = mixture.sample(torch.Generator().manual_seed(0))
    heavy = drawn[:, 0, 0] > 0
    assert drawn.shape == (count, 1, 3)
    assert abs(heavy.float().mean() - 0.8808) < 0.02
    assert abs(drawn[heavy].std() - 0.5) < 0.02
    assert abs(drawn[~heavy].std() - 0.1) < 0.02
