"""The path that engines are measured against gives the engines' numbers."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.libraries import INSTRUCTION, NANO, random_library
from benchmarks.naive import NaiveEngine
from benchmarks.rounds import observations
from dmpel_core.inference.engine import Tick
from dmpel_core.inference.torch_engine import TorchEngine
from dmpel_core.policy.sizes import PolicySizes
from tests.core.conftest import TINY

TICKS = 13  # more than the window of 10 holds


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[PolicySizes, Path]:
    """Libraries of 10 random experts, one for each kind of towers."""
    return {sizes: random_library(sizes, 10, tmp_path_factory.mktemp("library")).path for sizes in (TINY, NANO)}


def both(folder: Path) -> tuple[NaiveEngine, TorchEngine]:
    """Return both on the same library."""
    engine = TorchEngine(folder)
    naive = NaiveEngine(engine._current)
    for one in (naive, engine):
        one.set_instruction(INSTRUCTION)
    return naive, engine


def together(ticks: list[Tick], part: str) -> np.ndarray:
    return np.stack([getattr(tick, part) for tick in ticks])


@pytest.mark.parametrize("sizes", [TINY, NANO], ids=["convolutional", "transformer"])
def test_the_naive_path_acts_as_the_torch_engine(sizes: PolicySizes, folders: dict[PolicySizes, Path]) -> None:
    naive, engine = both(folders[sizes])
    seen = observations(TICKS)
    slow, fast = ([one.tick(observation) for observation in seen] for one in (naive, engine))
    np.testing.assert_allclose(together(slow, "action"), together(fast, "action"), atol=1e-5)
    np.testing.assert_allclose(together(slow, "coefficients"), together(fast, "coefficients"), atol=1e-5)
    assert (together(slow, "coefficients") > 0).sum(-1).tolist() == [[3] * 6] * TICKS


def test_the_comparison_would_see_experts_that_are_not_mixed(folders: dict[PolicySizes, Path]) -> None:
    naive, engine = both(folders[NANO])
    seen = observations(TICKS)
    naive.mix = lambda _weights, _index: type(naive).mix(naive, _weights * 0, _index)  # type: ignore[method-assign]
    slow, fast = ([one.tick(observation) for observation in seen] for one in (naive, engine))
    assert np.abs(together(slow, "action") - together(fast, "action"))[:, :6].max() > 1e-3


def test_reset_forgets_the_episode(folders: dict[PolicySizes, Path]) -> None:
    naive, _ = both(folders[NANO])
    seen = observations(4)
    first = [naive.tick(observation) for observation in seen]
    naive.reset()
    np.testing.assert_array_equal(together(first, "action"), together([naive.tick(observation) for observation in seen], "action"))
