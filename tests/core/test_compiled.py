"""A compiled training step, with the backend that needs no C++ compiler: the graph is the one that inductor would get."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dmpel_core.errors import DmpelError
from dmpel_core.policy.policy import Policy
from dmpel_core.policy.sizes import LanguageSizes, VisionSizes
from dmpel_core.training import compiled as compiled_module
from dmpel_core.training.compiled import compiled
from dmpel_core.training.episodes import Timeline
from dmpel_core.training.expert import ExpertLosses
from dmpel_core.training.features import FeatureSet
from dmpel_core.training.settings import LearnSettings
from dmpel_core.training.start import start_for
from dmpel_core.training.workers import on_processor
from tests.core.test_clip import TINY_CLIP

SHORT = replace(  # a graph that is quickly traced
    TINY_CLIP, temporal_blocks=1, head_layers=0, window=2, waypoint=True,
    vision=VisionSizes(16, 4, 1, (0,), 4, 64, "gelu", 0), language=LanguageSizes(24, 1, (0,), 4, 48, 16, 8, 30, 1, 24),
)  # fmt: skip


def features(policy: Policy, frames: int) -> FeatureSet:
    torch.manual_seed(0)
    tokens = torch.randn(1, frames, 2, 17, 32).half().numpy()
    queries = torch.randn(1, frames, policy.query_width).numpy()
    body = torch.randn(frames, 7), torch.rand(frames, 2), torch.randn(frames, 3)
    return FeatureSet(Timeline([np.zeros((frames, 7))]), tokens, queries, *body, torch.randn(1, 5, 24))


def step(policy: Policy, settings: LearnSettings) -> tuple[list[float], dict[str, torch.Tensor]]:
    """Return the losses of one step and the gradients."""
    torch.manual_seed(0)
    data = features(policy, 9)
    losses = ExpertLosses(policy, [], start_for(policy, [], None, data, "nothing", 0), data, settings, on_processor())
    found = losses(0)
    torch.stack(found).sum().backward()
    return [loss.item() for loss in found], {
        name: value.grad for name, value in losses.parameters_by_name().items() if value.grad is not None
    }


def test_a_compiled_step_has_the_losses_and_gradients_of_a_plain_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled_module, "BACKEND", "aot_eager")
    torch.manual_seed(0)
    policy, settings = Policy(SHORT).eval().requires_grad_(False), LearnSettings(seed=1, steps=1, batch=2, views=1)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    plain, gradients = step(policy, settings)
    assert not torch._dynamo.utils.counters["stats"], "it is off by default"
    fast, others = step(policy, replace(settings, compiled=True))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1, "one graph for the whole network"
    assert fast == pytest.approx(plain, rel=1e-5)
    assert gradients.keys() == others.keys()
    for name, value in gradients.items():
        torch.testing.assert_close(others[name], value, rtol=1e-3, atol=1e-6)


def test_without_a_compiler_the_option_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(DmpelError, match="--compile needs a C\\+\\+ compiler and there is no c\\+\\+ or g\\+\\+"):
        compiled(abs)
    monkeypatch.setenv("CXX", "none++")
    with pytest.raises(DmpelError, match="there is no none"):
        compiled(abs)
