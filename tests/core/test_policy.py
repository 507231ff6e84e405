"""Laws of the network's parts."""

import pytest
import torch
import torch.nn.functional as F

from dmpel_core.errors import DmpelError
from dmpel_core.policy.head import ActionMixture
from dmpel_core.policy.image import spatial_softmax, to_pixels
from dmpel_core.policy.policy import Policy
from dmpel_core.policy.sizes import PolicySizes
from dmpel_core.policy.transformer import Block


def test_the_first_token_alone_equals_the_first_token_of_all() -> None:
    torch.manual_seed(0)
    block, x = Block(16, 4, 32).eval(), torch.randn(3, 7, 16)
    torch.testing.assert_close(block(x, first_only=True), block(x)[:, :1])


def test_no_tick_sees_the_future(policy: Policy) -> None:
    tokens = torch.randn(2, 6, 4, policy.sizes.width)
    changed = tokens.clone()
    changed[:, 4:] += 1.0
    with torch.inference_mode():
        before, after = policy.temporal(tokens), policy.temporal(changed)
    torch.testing.assert_close(before[:, :4], after[:, :4])
    assert (before[:, 4:] - after[:, 4:]).abs().min() > 0


def test_a_short_memory_sees_only_recent_ticks(policy: Policy) -> None:
    tokens = torch.randn(1, 6, 4, policy.sizes.width)
    changed = tokens.clone()
    changed[:, 0] += 1.0
    with torch.inference_mode():
        for horizon, same in ((0, True), (6, False)):
            look = torch.tensor([horizon])
            difference = (policy.temporal(tokens, horizon=look) - policy.temporal(changed, horizon=look))[:, 5].abs().max()
            assert (difference == 0) == same


def test_mixture_likelihood_is_that_of_torch_distributions() -> None:
    torch.manual_seed(0)
    mixture = ActionMixture(torch.randn(2, 3), torch.randn(2, 3, 4, 7), 0.1 + torch.rand(2, 3, 4, 7))
    actions = torch.randn(2, 4, 7)
    each = torch.distributions.Independent(torch.distributions.Normal(mixture.mean, mixture.std), 2)
    whole = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(logits=mixture.logits), each)
    torch.testing.assert_close(mixture.negative_log_likelihood(actions), -whole.log_prob(actions) / 4)


def test_actions_past_the_end_do_not_count() -> None:
    torch.manual_seed(0)
    mixture = ActionMixture(torch.randn(1, 3), torch.randn(1, 3, 4, 7), torch.ones(1, 3, 4, 7))
    actions, valid = torch.randn(1, 4, 7), torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    moved = actions.clone()
    moved[:, 2:] += 5
    torch.testing.assert_close(mixture.negative_log_likelihood(actions, valid), mixture.negative_log_likelihood(moved, valid))
    assert mixture.negative_log_likelihood(actions, valid) != mixture.negative_log_likelihood(actions)


def test_the_mode_is_the_mean_of_the_heaviest_gaussian() -> None:
    mixture = ActionMixture(torch.tensor([[0.0, 2.0, 1.0]]), torch.randn(1, 3, 4, 7), torch.ones(1, 3, 4, 7))
    torch.testing.assert_close(mixture.mode()[0], mixture.mean[0, 1])


def test_spatial_softmax_finds_a_peak() -> None:
    maps = torch.zeros(1, 2, 5, 9)
    maps[0, 0, 4, 0] = maps[0, 1, 2, 8] = 50.0
    torch.testing.assert_close(spatial_softmax(maps, torch.zeros(())), torch.tensor([[-1.0, 1.0, 1.0, 0.0]]))


def test_pictures_shrink_by_area() -> None:
    picture = torch.arange(16, dtype=torch.uint8).view(1, 4, 4).expand(3, 4, 4)
    shrunk = to_pixels(picture, 2) * 255
    torch.testing.assert_close(shrunk[0], torch.tensor([[2.5, 4.5], [10.5, 12.5]]))


def test_paraphrases_lie_closer_than_other_sentences(policy: Policy) -> None:
    def embed(sentence: str) -> torch.Tensor:
        return policy.text.encode(policy.text.trunk(sentence))[0]

    stove, cooker, bowl = embed("turn on the stove"), embed("switch the cooker on"), embed("put the bowl on the plate")
    assert F.cosine_similarity(stove, cooker, 0) > F.cosine_similarity(stove, bowl, 0) + 0.2
    torch.testing.assert_close(stove.square().mean(), torch.tensor(1.0))


def test_sizes_survive_json_and_name_what_does_not_fit() -> None:
    sizes = PolicySizes(width=64)
    assert PolicySizes.from_json(sizes.to_json()) == sizes
    with pytest.raises(DmpelError, match="unknown \\['extra'\\], missing \\['width'\\]"):
        PolicySizes.from_json({name: value for name, value in {**sizes.to_json(), "extra": 1}.items() if name != "width"})
