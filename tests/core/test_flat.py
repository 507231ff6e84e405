"""The parts of the ONNX engine in numpy against those in torch."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dmpel_core.experts.library import LibraryError
from dmpel_core.experts.pool import ExpertPool
from dmpel_core.experts.router import Router
from dmpel_core.inference import flat_router
from dmpel_core.inference.flat_pool import FlatPool
from dmpel_core.inference.flat_router import FlatRouter, Known
from dmpel_core.inference.layout import Layout
from dmpel_core.inference.pictures import resizing
from dmpel_core.policy.image import to_pixels
from dmpel_core.policy.policy import Policy
from dmpel_core.policy.sizes import MEAN, STD, PolicySizes, VisionSizes
from dmpel_core.policy.vision import prepare
from dmpel_core.training.interface import library_modules
from tests.core.conftest import TINY

VISION = VisionSizes()
CLIP = replace(TINY, pixels=128, vision=VISION)


@pytest.mark.parametrize(("sizes", "height", "width"), [(TINY, 32, 32), (TINY, 16, 16), (TINY, 37, 50), (CLIP, 128, 128), (CLIP, 300, 200)])
def test_pictures_are_resized_as_in_training(sizes: PolicySizes, height: int, width: int) -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    expected = to_pixels(torch.from_numpy(picture).permute(2, 0, 1)[None], sizes.pixels)
    if sizes.vision:
        expected = prepare(expected, sizes.vision.pixels)
    rows, columns = resizing(sizes, height, width)
    mean, std = (np.array(values)[:, None, None] for values in ((MEAN, STD) if sizes.vision else ([0.0], [1.0])))
    found = (rows @ picture.transpose(2, 0, 1).astype(np.float32) @ columns / 255 - mean) / std
    np.testing.assert_allclose(found, expected[0].numpy(), atol=1e-4)


def test_mixing_rows_is_mixing_experts(policy: Policy) -> None:
    layout, rng = Layout(library_modules(policy), biases=False), np.random.default_rng(0)
    shapes = {name: shape for module in policy.modules_adapted for name, shape in module.shapes().items()}
    experts = [{name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()} for _ in range(5)]
    pool, out = FlatPool(layout, 9), np.zeros(layout.size, np.float32)
    pool.hold("nobody", lambda: experts[4])
    rows = np.array([pool.hold(str(number), lambda expert=expert: expert) for number, expert in enumerate(experts)])
    coefficients = Router(7, 8, 5, 3)(torch.randn(1, 7))
    pool.mix(rows, coefficients[0].detach().numpy(), np.ones(6, bool), out)
    expected = ExpertPool(policy.modules_adapted, [{name: torch.from_numpy(v) for name, v in expert.items()} for expert in experts]).mix(
        coefficients
    )
    for module, factors in expected.items():
        for letter, factor in zip("AB", factors, strict=False):
            np.testing.assert_allclose(layout.view(out, f"{module}.{letter}"), factor[0].detach().numpy(), atol=1e-5)


def test_only_the_wanted_groups_are_mixed(policy: Policy) -> None:
    layout = Layout(library_modules(policy), biases=False)
    pool, out = FlatPool(layout, 1), np.full(layout.size, 7, np.float32)
    ones = {name: np.ones(shape, np.float32) for module in policy.modules_adapted for name, shape in module.shapes().items()}
    rows = np.array([pool.hold("one", lambda: ones)])
    pool.mix(rows, np.full((6, 1), 2, np.float32), np.array([0, 1, 0, 0, 0, 0], bool), out)
    assert set(out[layout.groups["text"]]) == {2}
    assert set(out[layout.groups["image"]]) | set(out[layout.groups["head"]]) == {7}


def test_factors_of_another_policy_are_refused(policy: Policy) -> None:
    pool = FlatPool(Layout(library_modules(policy), biases=False), 2)
    with pytest.raises(LibraryError, match="does not fit the policy"):
        pool.hold("odd", lambda: {"image.A": np.zeros((2, 2), np.float32)})


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("experts", [1, 3, 8])
def test_the_router_is_the_router(experts: int, shared: bool) -> None:
    torch.manual_seed(experts)
    router = Router(21, 16, experts, 3, shared=shared)
    router.net[-1].weight.data *= 10
    flat = FlatRouter(stored(router), experts, 21, 3, shared=shared)
    for _ in range(20):
        query = torch.randn(1, 21)
        np.testing.assert_allclose(flat(query[0].numpy()), router(query)[0].detach().numpy(), atol=1e-5)


def test_a_router_for_others_is_refused() -> None:
    weights = stored(Router(21, 16, 3, 3))
    with pytest.raises(LibraryError, match="a query of 21 need"):
        FlatRouter(weights, 4, 21, 3, shared=False)


def stored(router: Router) -> dict[str, np.ndarray]:
    return {name: value.detach().numpy() for name, value in router.state_dict().items()}


def test_of_many_logits_only_those_that_can_matter_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    router, rng, computed = Router(21, 16, 1000, 3), np.random.default_rng(0), []
    flat, query = FlatRouter(stored(router), 1000, 21, 3, shared=False), rng.normal(size=21).astype(np.float32)
    linear = flat_router.linear
    monkeypatch.setattr(flat_router, "linear", lambda layer, x: (computed.append(len(layer[1])), linear(layer, x))[1])
    for step in range(40):
        query = query + np.float32(0.001 if step % 10 else 1) * rng.normal(size=21).astype(np.float32)
        fresh = FlatRouter(stored(router), 1000, 21, 3, shared=False)
        np.testing.assert_array_equal(flat(query), fresh(query))
    of_flat = computed[2::6]
    assert max(of_flat) == 6000
    assert np.median(of_flat) < 60, "small steps need few"


def test_what_lies_between_known_inputs_needs_few_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    router, rng, computed = Router(21, 16, 1000, 3), np.random.default_rng(0), []
    flat, corners = FlatRouter(stored(router), 1000, 21, 3, shared=False), rng.normal(size=(3, 21)).astype(np.float32)
    linear = flat_router.linear
    monkeypatch.setattr(flat_router, "linear", lambda layer, x: (computed.append(len(layer[1])), linear(layer, x))[1])
    for _ in range(60):
        query = rng.dirichlet(np.ones(3)).astype(np.float32) @ corners
        fresh = FlatRouter(stored(router), 1000, 21, 3, shared=False)
        np.testing.assert_array_equal(flat(query), fresh(query))
    assert np.median(computed[2::6][-20:]) < 600


def test_known_outputs_are_those_of_the_nearest_weighted_mean() -> None:
    rng = np.random.default_rng(0)
    weight, inputs = rng.normal(size=(50, 8)).astype(np.float32), rng.normal(size=(4, 8)).astype(np.float32)
    known = Known(8, 50)
    assert not known
    for x in inputs:
        known.keep(x, weight @ x + 1)
    inside = np.array([0.5, 0.4, 0.3, -0.2], np.float32) @ inputs
    outputs, off = known.nearest(inside)
    np.testing.assert_allclose(outputs, weight @ inside + 1, atol=1e-3)
    assert off < 1e-3
    normal = np.linalg.svd(inputs[1:] - inputs[0])[2][-1].astype(np.float32)
    outputs, off = known.nearest(inside + normal)
    np.testing.assert_allclose(outputs, weight @ inside + 1, atol=1e-3)
    assert off == pytest.approx(1, abs=1e-3)


def test_a_logit_far_below_zero_is_no_fault() -> None:
    weights = stored(Router(21, 16, 2, 3))
    weights["net.4.bias"] = np.full(12, -1000, np.float32)
    coefficients = FlatRouter(weights, 2, 21, 3, shared=False)(np.ones(21, np.float32))
    assert ((coefficients > 0) & (coefficients < 1e-30)).all()


def test_a_thousand_experts_are_mixed(policy: Policy) -> None:
    layout = Layout(library_modules(policy), biases=False)
    pool, out = FlatPool(layout, 1000), np.zeros(layout.size, np.float32)
    rows = np.arange(1000)
    pool._rows[:] = rows[:, None]  # expert k is made of ks
    coefficients = FlatRouter(stored(Router(21, 16, 1000, 3)), 1000, 21, 3, shared=False)(np.ones(21, np.float32))
    assert (np.count_nonzero(coefficients, axis=1) == 3).all()
    pool.mix(rows, coefficients, np.ones(6, bool), out)
    for group, place in enumerate(layout.groups.values()):
        np.testing.assert_allclose(out[place], coefficients[group] @ rows, rtol=1e-5)
