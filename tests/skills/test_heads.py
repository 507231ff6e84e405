"""Auxiliary heads, what an engine tells with them, and steady coefficients."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import insight
from dmpel_core.errors import DmpelError
from dmpel_core.experts.keeping import keep_beside
from dmpel_core.experts.library import Library, LibraryError, add_expert, read_library
from dmpel_core.inference import Savings
from dmpel_core.inference.calm import Calm
from dmpel_core.inference.onnx_engine import OnnxEngine
from dmpel_core.skills.heads import LATEST, Heads
from dmpel_core.skills.vocabulary import PHASES, SKILLS
from dmpel_core.training import heads as head_command
from dmpel_core.training.head_data import HeadData, ticks_to_event
from dmpel_core.training.heads import measure, train
from tests.core.conftest import TINY, write_noise
from tests.core.engines import observations
from tests.skills.arguments import run

WIDTH = TINY.router_hidden + TINY.width


def data(seed: int, count: int = 2000) -> HeadData:
    """Return ticks whose latent numbers hold the answers, stretched, shifted and hidden among noise."""
    rng = np.random.default_rng(seed)
    skill, phase = rng.integers(2, size=count), rng.integers(4, size=count)
    progress, event = rng.uniform(size=count), rng.integers(1, 60, size=count).astype(float)
    answers = np.concatenate([np.eye(2)[skill], np.eye(4)[phase], progress[:, None], np.log1p(event)[:, None]], 1)
    return HeadData(np.concatenate([5 + 9 * answers, rng.normal(size=(count, 8))], 1), skill, phase, progress, event)


def test_heads_learn_what_the_latent_numbers_hold() -> None:
    heads = Heads(train(data(0), 40, 0), 10, 6)
    figures = measure(heads, data(1))
    assert figures["phase_accuracy"] > 0.85, "one in four by chance"
    assert figures["skill_accuracy"] > 0.9
    assert figures["progress_mae"] < 0.15, "a quarter by chance"
    assert figures["event_median_error_ticks"] < 10


def test_training_is_the_same_for_the_same_seed() -> None:
    first, second, other = (train(data(0, 100), 2, seed) for seed in (0, 0, 1))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not np.array_equal(first["last.weight"], other["last.weight"])


def test_ticks_to_the_next_gripper_event_or_the_end() -> None:
    assert ticks_to_event(np.array([0, 0, 1, 1, 1, 0], bool)).tolist() == [2, 1, 3, 2, 1, 1]
    assert ticks_to_event(np.zeros(300, bool))[[0, 299]].tolist() == [LATEST, 1]


def zeros(inner: int = 3) -> dict[str, np.ndarray]:
    outputs = len(SKILLS) + len(PHASES) + 2
    return {
        "centre": np.zeros(WIDTH), "scale": np.ones(WIDTH), "first.weight": np.zeros((inner, WIDTH)), "first.bias": np.zeros(inner),
        "last.weight": np.zeros((outputs, inner)), "last.bias": np.zeros(outputs), "counts": np.array([len(SKILLS), len(PHASES)]),
    }  # fmt: skip


def test_what_is_told_are_probabilities_and_bounded_numbers() -> None:
    tensors = zeros()
    tensors["last.bias"][2], tensors["last.bias"][-2:] = 5.0, (-1e4, 1e4)
    told = Heads(tensors, TINY.router_hidden, TINY.width)(np.zeros(TINY.router_hidden), np.zeros(TINY.width))
    assert told.skills.sum() == pytest.approx(1)
    assert told.phases.sum() == pytest.approx(1)
    assert told.skill[0] == SKILLS[2]
    assert told.skill[1] > 0.9
    assert told.phase == (PHASES[0], pytest.approx(1 / len(PHASES)))
    assert (told.progress, told.event) == (pytest.approx(0.0, abs=1e-9), LATEST)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"counts": np.array([99, 3])}, "99 skills and 3 phases, this version knows"),
        ({"scale": np.ones(3)}, "train them again with `dmpel heads`"),
    ],
    ids=["counts", "shape"],
)  # fmt: skip
def test_heads_that_do_not_fit_are_refused(change: dict[str, np.ndarray], fault: str) -> None:
    with pytest.raises(LibraryError, match=fault):
        Heads({**zeros(), **change}, TINY.router_hidden, TINY.width)


def test_the_engine_tells_when_asked_to_and_acts_the_same(own: Library) -> None:
    keep_beside(own, "heads", {name: value.astype(np.float32 if name != "counts" else np.int64) for name, value in zeros().items()})
    silent, telling = OnnxEngine(own.path), OnnxEngine(own.path, insight=True)
    for engine in (silent, telling):
        engine.set_instruction("put the bowl on plate 0")
    for seen in observations(3):
        quiet, told = silent.tick(seen), telling.tick(seen)
        np.testing.assert_array_equal(quiet.action, told.action)
        assert quiet.insight is None
        assert told.insight.told.progress == 0.5
        assert told.insight.reading.strangeness > 1, "a random library has never seen such a picture"
        assert told.insight.seconds.keys() == {"alarm", "heads"}
    telling.load(own.path, 0)
    assert telling.tick(observations(1)[0]).insight is None, "without experts there is nothing to tell"


def test_the_benchmark_tells_the_cost_of_what_the_library_has(own: Library) -> None:
    assert {name for name in insight.measure(own.path, 3) if "share" in name} == {"alarm_extra_share"}
    keep_beside(own, "heads", {name: value.astype(np.float32 if name != "counts" else np.int64) for name, value in zeros().items()})
    figures = insight.measure(own.path, 3)
    assert {name for name in figures if "share" in name} == {"alarm_extra_share", "heads_extra_share"}
    assert figures["insight_ticks"] == 3
    assert figures["heads_reading_ms"] > 0


def test_heads_belong_to_their_generation_and_limits_to_their_tasks(own: Library) -> None:
    headed = keep_beside(own, "heads", {"counts": np.int64([1, 1])})
    both = keep_beside(headed, "alarm", {"limit": np.float32([2.0])})
    assert (both.generation, both.manifest.router) == (own.generation, own.manifest.router)
    grown = add_expert(
        both, name="more", instructions=("more",), skill="none", factors=both.factors(0), router=both.router(), replay=both.replay(0),
        provenance={"dataset": "00" * 32, "seed": 0, "metrics": {}},
    )  # fmt: skip
    assert grown.heads() == {}
    assert grown.alarm().keys() == {"limit"}
    assert read_library(own.path, both.generation).heads().keys() == {"counts"}, "the earlier generation keeps its own"
    assert b'"heads/' not in (own.path / "manifest.json").read_bytes()


def test_the_command_trains_heads_that_the_engine_runs(tmp_path: Path, own: Library) -> None:
    from dmpel_core.skills import command

    path = write_noise(tmp_path / "noise_demo.hdf5", "put the bowl on plate 0", 0)
    with pytest.raises(DmpelError, match="has no phases; `dmpel annotate"):
        run(head_command, str(own.path), "--data", str(path))
    run(command, str(path))
    results = tmp_path / "skills.json"
    words = ("--data", str(path), "--held-out", str(path), "--epochs", "2", "--results", str(results))
    assert run(head_command, str(own.path), *words) == 0
    assert '"progress_mae"' in results.read_text()
    engine = OnnxEngine(own.path, insight=True)
    assert 0 <= engine.tick(observations(1)[0]).insight.told.progress <= 1


def test_coefficients_move_by_no_more_than_allowed() -> None:
    calm = Calm(0.0, 0.1)
    first, second = np.zeros((6, 2)), np.ones((6, 2))
    np.testing.assert_array_equal(calm(first), first)
    np.testing.assert_allclose(calm(second), 0.1)
    np.testing.assert_allclose(calm(second), 0.2)
    calm.reset()
    np.testing.assert_array_equal(calm(second), second)


def test_a_group_keeps_its_expert_until_another_is_clearly_ahead() -> None:
    calm = Calm(0.2, 0.0)
    first = np.tile([1.0, 0.5], (6, 1))
    calm(first)
    nearly = np.array([[0.8, 0.9]] * 5 + [[0.5, 0.9]])
    used = calm(nearly)
    np.testing.assert_array_equal(used[:5], first[:5])
    np.testing.assert_array_equal(used[5], nearly[5])
    drifting = np.tile([0.9, 0.6], (6, 1))
    np.testing.assert_array_equal(calm(drifting)[:5], drifting[:5])


def test_the_engine_steadies_coefficients_as_asked(own: Library) -> None:
    seen = observations(6)
    free, slow = OnnxEngine(own.path), OnnxEngine(own.path, savings=Savings(most_change=1e-4))
    for engine in (free, slow):
        engine.set_instruction("put the bowl on plate 1")
    ticks = [[engine.tick(one).coefficients for one in seen] for engine in (free, slow)]
    np.testing.assert_array_equal(ticks[0][0], ticks[1][0])
    assert np.abs(np.diff(ticks[1], axis=0)).max() <= 1e-4 + 1e-7
    assert np.abs(np.diff(ticks[0], axis=0)).max() > 1e-4
    with pytest.raises(DmpelError, match="hysteresis -1 must not be negative"):
        Savings(hysteresis=-1)
