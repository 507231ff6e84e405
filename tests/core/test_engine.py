"""The torch engine against the batched policy, and loading while it runs."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dmpel_core.errors import DmpelError
from dmpel_core.experts.library import Library, read_library
from dmpel_core.inference import Savings, Tick, load_engine
from dmpel_core.inference.ensemble import ChunkEnsemble
from dmpel_core.inference.torch_engine import TorchEngine, frames_of
from dmpel_core.observation import Observation
from dmpel_core.policy.policy import Frames
from dmpel_core.training.learn import learn
from dmpel_core.training.run import Run
from dmpel_core.training.settings import LearnSettings
from tests.core.conftest import write_noise


def observations(count: int) -> list[Observation]:
    rng = np.random.default_rng(0)
    return [
        Observation(*rng.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8), rng.normal(size=7), rng.uniform(0, 0.04, 2))
        for _ in range(count)
    ]


@pytest.fixture
def grown(library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    """A library with two experts learned from noise."""
    monkeypatch.setenv("DMPEL_CACHE", str(tmp_path / "cache"))
    settings = LearnSettings(seed=0, steps=4, batch=2, views=1, learning_rate=0.05)
    for number, instruction in enumerate(("open the drawer", "turn on the stove")):
        data = write_noise(tmp_path / f"{number}.hdf5", instruction, number)
        library = learn(library, [data], settings, Run(tmp_path / f"run-{number}", "learn"), 0.5, 2)
    return library


def test_ticks_equal_the_batched_policy_over_a_full_window(library: Library) -> None:
    engine, seen = TorchEngine(library.path), observations(10)
    engine.set_instruction("open the drawer")
    engine._ensemble = ChunkEnsemble(fade=0.0)  # the newest plan alone
    actions = np.stack([engine.tick(observation).action for observation in seen])
    policy = engine._current.policy
    with torch.inference_mode():
        frames = [frames_of(policy, observation) for observation in seen]
        together = Frames(*(torch.cat([getattr(frame, part) for frame in frames], 1) for part in ("tokens", "joints", "gripper")))
        text = policy.text.encode(policy.text.trunk("open the drawer"))
        plan = policy.act(policy.tokens(together, text)).mode()[0, :, 0].numpy()
    np.testing.assert_allclose(actions[:, :6], plan[:, :6], atol=1e-5)


def test_the_router_query_is_the_mean_of_the_last_ticks(grown: Library) -> None:
    engine, seen = TorchEngine(grown.path), observations(14)
    engine.set_instruction("open the drawer")
    answers = [engine.tick(observation).coefficients for observation in seen]
    current = engine._current
    assert current.router is not None
    with torch.inference_mode():
        text = current.policy.text.encode(current.policy.text.trunk("open the drawer"))
        queries = torch.cat([current.policy.query(frames_of(current.policy, observation), text)[0] for observation in seen])
        for tick in (0, 3, 13):
            expected = current.router(queries[max(0, tick - 9) : tick + 1].mean(0, keepdim=True))
            np.testing.assert_allclose(answers[tick], expected[0].numpy(), atol=1e-5)


def test_reset_forgets_the_episode(grown: Library) -> None:
    engine, seen = TorchEngine(grown.path), observations(6)
    engine.set_instruction("turn on the stove")
    first = [engine.tick(observation).action for observation in seen]
    engine.reset()
    np.testing.assert_array_equal(first, [engine.tick(observation).action for observation in seen])


def test_drawn_actions_follow_their_seed_and_the_usual_ones_need_none(grown: Library) -> None:
    def play(sample_seed: int | None) -> np.ndarray:
        engine = load_engine(grown.path, sample_seed=sample_seed)
        engine.set_instruction("open the drawer")
        return np.stack([engine.tick(observation).action for observation in observations(5)])

    drawn, plain = play(7), play(None)
    np.testing.assert_array_equal(drawn, play(7))
    np.testing.assert_array_equal(plain, play(None))
    assert min(np.abs(drawn - play(8)).max(), np.abs(drawn - plain).max()) > 1e-3


def test_a_generation_loads_between_two_ticks_and_back(grown: Library) -> None:
    engine, seen = TorchEngine(grown.path, generation=1), observations(3)
    engine.set_instruction("open the drawer")
    before = engine.tick(seen[0])
    engine.load(grown.path, 2)
    assert engine.generation == 1, "nothing changes before the next tick"
    middle = engine.tick(seen[1])
    engine.load(grown.path, 1)
    engine.reset()
    after = engine.tick(seen[0])
    assert (before.generation, middle.generation, after.generation) == (1, 2, 1)
    assert middle.coefficients.shape == (6, 2)
    assert engine.expert_names == ("open the drawer",)
    np.testing.assert_array_equal(before.action, after.action)


def test_a_damaged_generation_leaves_the_running_one(grown: Library) -> None:
    engine, seen = TorchEngine(grown.path, generation=1), observations(2)
    engine.set_instruction("open the drawer")
    engine.tick(seen[0])
    victim = grown.path / read_library(grown.path, 2).experts[1].factors.path
    content = bytearray(victim.read_bytes())
    content[-1] ^= 1
    victim.chmod(0o644)
    victim.write_bytes(content)
    with pytest.raises(DmpelError):
        engine.load(grown.path, 2)
    assert engine.tick(seen[1]).generation == 1


def test_plans_vote_on_the_action_for_now() -> None:
    ensemble = ChunkEnsemble(fade=0.5)
    plan = np.array([[0.0, -1.0], [3.0, 1.0]])
    np.testing.assert_allclose(ensemble.next(plan), [0.0, -1.0])
    np.testing.assert_allclose(ensemble.next(plan), [(0.0 + 0.5 * 3.0) / 1.5, -1.0])
    np.testing.assert_allclose(ensemble.next(plan), [(0.0 + 0.5 * 3.0) / 1.5, -1.0])


def test_half_precision_acts_nearly_the_same(grown: Library) -> None:
    def play(precision: str) -> list[Tick]:
        engine = load_engine(grown.path, engine="torch", savings=Savings(precision=precision))
        engine.set_instruction("open the drawer")
        return [engine.tick(observation) for observation in observations(5)]

    full, half = play("fp32"), play("bf16")
    off = np.abs([one.action[:6] - other.action[:6] for one, other in zip(full, half, strict=True)])
    assert 0 < off.mean() < 0.02, "in the mean: on some processors a single number of this network, as good as random, is off by 0.2"
    assert half[-1].coefficients.dtype == np.float32, "the router computes in full precision"


def test_what_the_torch_engine_cannot_do_is_said(grown: Library) -> None:
    with pytest.raises(DmpelError, match="cannot compute on 'tensorrt' here: choose auto, cpu"):
        load_engine(grown.path, engine="torch", provider="tensorrt")
    with pytest.raises(DmpelError, match="no savings but its precision"):
        load_engine(grown.path, engine="torch", savings=Savings(route_every=2))
    with pytest.raises(DmpelError, match="does not compute in bf16: choose the engine 'torch'"):
        load_engine(grown.path, engine="onnx", savings=Savings(precision="bf16"))
    with pytest.raises(DmpelError, match="no precision 'int4'"):
        Savings(precision="int4")
