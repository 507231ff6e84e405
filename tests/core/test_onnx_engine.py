"""The ONNX engine against the torch engine, and what it may leave out."""

import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dmpel_core.errors import DmpelError
from dmpel_core.experts.library import Library
from dmpel_core.inference import Savings, load_engine
from dmpel_core.inference.engine import Tick
from dmpel_core.inference.export.command import export_library
from dmpel_core.inference.onnx_engine import OnnxEngine
from dmpel_core.inference.stages import STAGES
from dmpel_core.inference.torch_engine import TorchEngine
from tests.core.conftest import TINY
from tests.core.engines import TINY_CLIP, actions, grow, make_exported, observations, random_router

ROOT = Path(__file__).parents[2]
VISION = TINY_CLIP.vision
assert VISION is not None
VARIANTS = {
    "small": TINY,
    "small, one block, one router row": replace(
        TINY, image_blocks=1, router_shared=True, query_mean=False, query_difference=True, query_state=False, pixels=32
    ),
    "clip": TINY_CLIP,
    "clip, routed every third tick": replace(TINY_CLIP, mixture_interval=3, expert_bias=False, pixels=16),
    "clip, all blocks adapted": replace(TINY_CLIP, vision=replace(VISION, adapted=(0, 1, 2)), adapt="all"),
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """A tiny library with five experts and graphs that were written before the first of them."""
    return make_exported(tmp_path_factory.mktemp("engines") / "library", TINY_CLIP, 5)


def assert_same(library: Library, generation: int, side: int) -> None:
    """Compare 30 ticks with a change of the instruction between them."""
    engines = [TorchEngine(library.path, generation), OnnxEngine(library.path, generation)]
    answers: list[list[Tick]] = [[], []]
    for number, observation in enumerate(observations(30, side)):
        for engine, found in zip(engines, answers, strict=True):
            if number in {0, 17}:
                engine.set_instruction("open the drawer" if number == 0 else "turn on the stove")
            found.append(engine.tick(observation))
    for part, limit in (("action", 1e-4), ("coefficients", 1e-4)):
        expected, found = (np.stack([getattr(tick, part) for tick in ticks]) for ticks in answers)
        np.testing.assert_allclose(found, expected, atol=limit, rtol=0)
    assert np.ptp([tick.action[0] for tick in answers[0]]) > 1e-3, "the actions must differ for this to say anything"


@pytest.mark.parametrize("sizes", VARIANTS.values(), ids=VARIANTS)
def test_both_engines_agree_over_an_episode(tmp_path: Path, sizes: object) -> None:
    library = make_exported(tmp_path / "library", sizes, 4)
    assert_same(library, 4, 32)
    assert_same(library, 0, 40)


def test_both_engines_agree_on_the_shipped_library(tmp_path: Path) -> None:
    path = shutil.copytree(ROOT / "models/libero_goal", tmp_path / "library")
    assert_same(export_library(path), 4, 128)


def test_a_tick_tells_what_each_stage_took(exported: Library) -> None:
    engine = OnnxEngine(exported.path, savings=Savings(route_every=3))
    engine.set_instruction("open the drawer")
    told = []
    for observation in observations(3):
        began = time.perf_counter()
        told.append(engine.tick(observation).stages)
        assert sum(told[-1].values()) <= time.perf_counter() - began
    assert [tuple(stages) for stages in told] == [STAGES] * 3
    assert all(told[0].values())


def test_drawn_actions_follow_the_seed(exported: Library) -> None:
    seen = observations(3)
    first, again, other = (actions(OnnxEngine(exported.path, sample_seed=seed), seen) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_an_expert_that_is_not_chosen_changes_no_bit(tmp_path: Path) -> None:
    library = make_exported(tmp_path / "library", TINY_CLIP, 4)
    engine, seen = OnnxEngine(library.path), observations(12)
    engine.set_instruction("open the drawer")
    before = actions(engine, seen)
    old, new = library.router(), random_router(library, 5)
    for part in ("weight", "bias"):
        new |= {f"net.{layer}.{part}": old[f"net.{layer}.{part}"] for layer in (0, 2)}
        last = new[f"net.4.{part}"].reshape(6, 5, -1)
        last[:, :4] = old[f"net.4.{part}"].reshape(6, 4, -1)
        last[:, 4] = 0 if part == "weight" else -50
    grow(library, "never chosen", new)
    engine.load(library.path)
    assert engine.tick(seen[0]).coefficients.shape == (6, 5)
    np.testing.assert_array_equal(actions(engine, seen), before)


def test_the_sentence_is_read_again_only_when_its_experts_change(exported: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, seen, read = OnnxEngine(exported.path, savings=Savings(route_every=5)), observations(10), []
    engine.set_instruction("open the drawer")
    understand = engine._work.understand
    monkeypatch.setattr(engine._work, "understand", lambda adapted: (read.append(engine._ticks), understand(adapted=adapted)))
    actions(engine, seen)
    assert read == [1, 6], "the ticks that routed, counted from 1"


def test_routing_every_n_ticks_is_what_a_library_may_ask_for(exported: Library, tmp_path: Path) -> None:
    rarely = make_exported(tmp_path / "library", replace(TINY_CLIP, mixture_interval=3), 5)
    seen = observations(9)
    expected = actions(OnnxEngine(rarely.path), seen)
    np.testing.assert_array_equal(actions(OnnxEngine(exported.path, savings=Savings(route_every=3)), seen), expected)
    assert not np.array_equal(actions(OnnxEngine(exported.path), seen), expected)


def test_small_moves_of_coefficients_may_be_passed_over(exported: Library) -> None:
    seen = observations(6)
    exact, never = (OnnxEngine(exported.path, savings=Savings(tolerance=tolerance)) for tolerance in (0.0, 3.0))
    assert not np.array_equal(actions(exact, seen), actions(never, seen))
    engine = OnnxEngine(exported.path, savings=Savings(tolerance=3.0))
    first = engine.tick(seen[0])
    mixed = engine._work.mixed.copy()
    second = engine.tick(seen[1])
    assert not np.array_equal(first.coefficients, second.coefficients), "the router's answer is still reported"
    np.testing.assert_array_equal(engine._work.mixed, mixed)


def test_acting_first_uses_the_coefficients_of_the_tick_before(exported: Library) -> None:
    seen = observations(8)
    exact, late, later = OnnxEngine(exported.path), *(OnnxEngine(exported.path, savings=Savings(route_after=True)) for _ in range(2))
    expected, found, prompt = [], [], []
    for observation in seen:
        expected.append(exact.tick(observation).coefficients)
        found.append(late.tick(observation))
        prompt.append(later.tick(observation))
        later.catch_up()
        later.catch_up()
    for number in range(1, 8):
        np.testing.assert_array_equal(found[number].coefficients, expected[number - 1])
        np.testing.assert_array_equal(found[number].action, prompt[number].action)


def test_choices_that_cannot_be_met_are_refused(exported: Library, library: Library) -> None:
    with pytest.raises(DmpelError, match="dmpel export"):
        load_engine(library.path, engine="onnx")
    with pytest.raises(DmpelError, match="'auto'"):
        load_engine(exported.path, provider="cuda")
    with pytest.raises(DmpelError, match="auto or one of tensorrt, cuda, cpu"):
        load_engine(exported.path, provider="gpu")
    with pytest.raises(DmpelError, match="auto, onnx, torch"):
        load_engine(exported.path, engine="fast")
    with pytest.raises(DmpelError, match="no savings"):
        load_engine(library.path, savings=Savings(route_every=2))
    with pytest.raises(DmpelError, match="must not be negative"):
        Savings(tolerance=-1.0)
    assert isinstance(load_engine(library.path), TorchEngine)
    assert isinstance(load_engine(exported.path), OnnxEngine)
