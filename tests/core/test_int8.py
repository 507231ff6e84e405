"""The image tower in eight bits: what folding and scaling save, and when it is refused."""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dmpel_core.data.hdf5 import read_demonstrations
from dmpel_core.errors import DmpelError
from dmpel_core.experts.library import Library
from dmpel_core.experts.tensors import pack
from dmpel_core.inference import Savings, frames_command, int8, load_engine, quantise
from dmpel_core.inference.export.quantised import QuantisedGraph
from dmpel_core.inference.sessions import Binding, open_sessions
from tests.core.conftest import TINY, write_noise
from tests.core.engines import TINY_CLIP, actions, make_exported, observations

WIDTH, ROWS = 64, 20
LAYER = "image.blocks.0.up"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """A tiny library with two experts."""
    return make_exported(tmp_path_factory.mktemp("int8") / "library", TINY_CLIP, 2)


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Pictures of both cameras."""
    return write_frames(tmp_path / "frames.safetensors")


def write_frames(path: Path, count: int = 8, cameras: tuple[str, ...] = TINY_CLIP.cameras) -> Path:
    seen = observations(count)
    path.write_bytes(pack({camera: np.stack([getattr(one, camera) for one in seen]) for camera in cameras}))
    return path


def product(x: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """Return what a quantised layer makes of x."""
    graph = QuantisedGraph("one", {name: value.shape for name, value in weights.items()}, {}, biases=False)
    graph.output(graph.plain(graph.input("x", x.shape), LAYER), "y", (len(x), WIDTH))
    found = np.zeros((len(x), WIDTH), np.float32)
    Binding(open_sessions({"one": graph.finish()}, quantise.with_quantised(weights))["one"], {"x": x}, {"y": found}).run()
    return found


def test_large_channels_and_large_tokens_leave_the_others_their_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    gain, shift = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)
    gain[[3, 17]] = 60  # as in CLIP, where a few channels are far larger than the others
    x = (rng.normal(size=(ROWS, WIDTH)) * gain).astype(np.float32)
    x[5] *= 100
    weights = {f"{LAYER}.weight": rng.normal(size=(WIDTH, WIDTH)).astype(np.float32), f"{LAYER}.bias": shift.copy()}
    weights[f"{LAYER}.weight"][:, [3, 17]] /= 60
    weights |= {"image.blocks.0.norm2.weight": gain, "image.blocks.0.norm2.bias": shift}
    exact = x @ weights[f"{LAYER}.weight"].T

    def worst_row(found: np.ndarray) -> float:
        return float((np.linalg.norm(found - exact, axis=1) / np.linalg.norm(exact, axis=1)).max())

    assert worst_row(product(x, weights)) < 0.03
    monkeypatch.setattr(quantise, "_fold", lambda weight, *_: np.ones(weight.shape[1], np.float32))
    assert worst_row(product(x, weights)) > 0.1, "without folding"


def test_weights_stay_within_seven_bits(exported: Library) -> None:
    weights = quantise.with_quantised(exported.backbone())
    whole = [value for value in weights.values() if value.dtype == np.int8]
    assert len(whole) == 3 * 4, "four layers in each of three blocks"
    assert max(int(np.abs(value).max()) for value in whole) == quantise.LARGEST


def test_int8_acts_nearly_the_same(exported: Library, frames: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8, "BOUND", 0.2)  # sixteen channels average out less than CLIP's
    exact, coarse = (load_engine(exported.path, savings=Savings(int8=chosen)) for chosen in (None, frames))
    expected, found = (actions(engine, observations(6)) for engine in (exact, coarse))
    assert not np.array_equal(expected, found)
    np.testing.assert_allclose(found[:, :6], expected[:, :6], atol=0.1)


def test_int8_is_refused_where_it_sees_something_else(exported: Library, frames: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8, "BOUND", 0.0001)
    with pytest.raises(DmpelError, match=r"class token of (agentview|eye_in_hand) by \d+\.\d% on frame \d.*more than the 0% allowed: run"):
        load_engine(exported.path, savings=Savings(int8=frames))


def test_frames_that_say_nothing_are_refused(exported: Library, tmp_path: Path) -> None:
    few = write_frames(tmp_path / "few.safetensors", 7)
    one = write_frames(tmp_path / "one.safetensors", 8, ("agentview",))
    for path, fault in ((few, "8 or more"), (one, "alike for agentview and eye_in_hand"), (tmp_path / "none", "cannot be read")):
        with pytest.raises(DmpelError, match=fault):
            load_engine(exported.path, savings=Savings(int8=path))


def test_frames_come_evenly_from_all_demonstrations(exported: Library, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    data = write_noise(tmp_path / "a.hdf5", "open the drawer", 0, (14, 6, 17))
    parser = argparse.ArgumentParser()
    frames_command.add_arguments(parser)
    path = tmp_path / "frames.safetensors"
    assert frames_command.run(parser.parse_args([str(data), "--count", "10", "--output", str(path)])) == 0
    assert "agentview (10, 32, 32, 3)" in capsys.readouterr().out
    found = int8.read_frames(path, TINY_CLIP.cameras)
    every = np.concatenate([demonstration.eye_in_hand for demonstration in read_demonstrations(data)])
    np.testing.assert_array_equal(found["eye_in_hand"], every[np.arange(10) * 4])
    for count in (7, 38):
        with pytest.raises(DmpelError, match=f"{count} pictures cannot be taken from 37 ticks"):
            frames_command.take([data], count)


def test_a_convolutional_trunk_stays_as_it_is(tmp_path: Path, frames: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8, "BOUND", 1.0)
    library = make_exported(tmp_path / "library", replace(TINY, pixels=32), 1)
    assert actions(load_engine(library.path, savings=Savings(int8=frames)), observations(2)).shape == (2, 7)
