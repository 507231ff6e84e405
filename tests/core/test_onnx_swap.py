"""Generations that change while the ONNX engine runs."""

import threading
from pathlib import Path

import numpy as np
import pytest

from dmpel_core.errors import DmpelError
from dmpel_core.experts.library import Library, Limits, select_generation
from dmpel_core.inference import onnx_engine
from dmpel_core.inference.onnx_engine import OnnxEngine
from tests.core.conftest import TINY
from tests.core.engines import TINY_CLIP, actions, make_exported, observations


@pytest.fixture
def exported(tmp_path: Path) -> Library:
    """A tiny library with three experts."""
    return make_exported(tmp_path / "library", TINY_CLIP, 3)


def test_a_load_takes_over_at_the_next_tick_and_back(exported: Library) -> None:
    engine, seen = OnnxEngine(exported.path, 2), observations(3)
    before = actions(engine, seen)
    engine.load(exported.path, 3)
    assert engine.generation == 2, "nothing changes before the next tick"
    assert engine.tick(seen[0]).generation == 3
    assert engine.expert_names == ("skill 0", "skill 1", "skill 2")
    engine.load(exported.path, 2)
    np.testing.assert_array_equal(actions(engine, seen), before)
    engine.load(exported.path, 0)
    assert engine.tick(seen[0]).coefficients.shape == (6, 0), "no expert is left"


def test_a_load_reads_only_what_is_new(exported: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, read = OnnxEngine(exported.path, 2), []
    factors = Library.factors
    monkeypatch.setattr(Library, "factors", lambda library, index: (read.append(index), factors(library, index))[1])
    monkeypatch.setattr(Library, "backbone", lambda library: pytest.fail("the backbone is there already"))
    engine.load(exported.path, 3)
    assert read == [2]


def test_rows_of_experts_that_nobody_uses_are_free_again(exported: Library) -> None:
    engine, seen = OnnxEngine(exported.path, 3, limits=Limits(experts=3)), observations(1)
    for generation in (1, 3, 2, 1, 3, 1):
        engine.load(exported.path, generation)
        engine.tick(seen[0])
        engine.load(exported.path, generation)
        assert len(engine._current.backbone.pool._row_of) == generation


def damaged(library: Library) -> None:
    file = library.path / library.experts[2].factors.path
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def test_a_damaged_expert_leaves_the_running_generation(exported: Library) -> None:
    engine, seen = OnnxEngine(exported.path, 2), observations(4)
    before = actions(engine, seen)
    damaged(exported)
    with pytest.raises(DmpelError, match="damaged or was exchanged"):
        engine.load(exported.path, 3)
    np.testing.assert_array_equal(actions(engine, seen), before)
    engine.load(exported.path, 1)
    assert engine.tick(seen[0]).generation == 1, "a good one loads after that"


def test_caps_hold_for_every_load(exported: Library) -> None:
    select_generation(exported.path, 2)
    engine = OnnxEngine(exported.path, limits=Limits(experts=2))
    with pytest.raises(DmpelError, match="3 experts are more than the cap of 2"):
        engine.load(exported.path, 3)
    with pytest.raises(DmpelError, match="rank must be 1 to 1"):
        OnnxEngine(exported.path, limits=Limits(rank=1))
    with pytest.raises(DmpelError, match="bytes together"):
        OnnxEngine(exported.path, limits=Limits(total_bytes=1000))


def test_a_pool_that_is_full_leaves_the_running_generation(exported: Library) -> None:
    engine, seen = OnnxEngine(exported.path, 1), observations(2)
    engine._current.backbone.pool.capacity, engine._current.backbone.pool._free = 2, [1]
    with pytest.raises(DmpelError, match="all 2 rows"):
        engine.load(exported.path, 3)
    assert engine.tick(seen[0]).generation == 1


def test_a_second_load_at_once_is_refused(exported: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, seen = OnnxEngine(exported.path, 1), observations(2)
    reading, may_go_on = threading.Event(), threading.Event()
    open_library = onnx_engine.open_library

    def slowly(*given: object) -> Library:
        reading.set()
        may_go_on.wait(20)
        return open_library(*given)

    monkeypatch.setattr(onnx_engine, "open_library", slowly)
    first = threading.Thread(target=engine.load, args=(exported.path, 3))
    first.start()
    assert reading.wait(20)
    with pytest.raises(DmpelError, match="another generation is being loaded"):
        engine.load(exported.path, 2)
    assert engine.tick(seen[0]).generation == 1, "the ticks go on"
    may_go_on.set()
    first.join()
    assert engine.tick(seen[1]).generation == 3


def test_a_load_gives_way_to_a_tick_that_is_under_way(exported: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, order, paused, ended = OnnxEngine(exported.path, 1), list[str](), threading.Event(), threading.Event()
    loading = threading.Thread(target=engine.load, args=(exported.path, 3))
    encode, open_library = engine._work.encode, onnx_engine.open_library

    def encode_while_a_load_begins() -> None:
        loading.start()
        assert paused.wait(20)
        encode()
        order.append("tick")

    def pause(_seconds: float) -> None:
        paused.set()
        ended.wait(20)

    monkeypatch.setattr(engine._work, "encode", encode_while_a_load_begins)
    monkeypatch.setattr(onnx_engine, "sleep", pause)
    monkeypatch.setattr(onnx_engine, "open_library", lambda *given: (order.append("load"), open_library(*given))[1])
    engine.tick(observations(1)[0])
    ended.set()
    loading.join()
    assert order == ["tick", "load"]


def test_a_load_ends_where_ticks_never_do(exported: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, looks = OnnxEngine(exported.path, 1), iter(range(1000))
    monkeypatch.setattr(onnx_engine, "sleep", lambda _seconds: None)
    monkeypatch.setattr(onnx_engine, "monotonic", lambda: onnx_engine.PATIENCE / 4 * next(looks))
    engine._ticking = True
    engine.load(exported.path, 3)
    assert engine.tick(observations(1)[0]).generation == 3


def test_another_backbone_starts_a_new_window(exported: Library, tmp_path: Path) -> None:
    other = make_exported(tmp_path / "other", TINY, 2)
    engine, seen = OnnxEngine(exported.path), observations(5)
    engine.set_instruction("open the drawer")
    before = actions(engine, seen)
    engine.load(other.path)
    fresh = OnnxEngine(other.path)
    fresh.set_instruction("open the drawer")
    np.testing.assert_array_equal([engine.tick(observation).action for observation in seen], actions(fresh, seen))
    engine.load(exported.path)
    np.testing.assert_array_equal([engine.tick(observation).action for observation in seen], before)


def test_ticks_go_on_while_generations_change(exported: Library) -> None:
    engine, seen, faults = OnnxEngine(exported.path, 3, limits=Limits(experts=5)), observations(1)[0], []
    alone = {}
    for generation in (1, 2, 3):
        single = OnnxEngine(exported.path, generation)
        single.reset()
        alone[generation] = single.tick(seen).action

    def change() -> None:
        try:
            for number in range(30):
                engine.load(exported.path, 1 + number % 3)
        except DmpelError as fault:
            faults.append(fault)

    loading = threading.Thread(target=change)
    loading.start()
    used = set()
    while loading.is_alive() or not used:
        engine.reset()
        tick = engine.tick(seen)
        used.add(tick.generation)
        assert tick.coefficients.shape == (6, tick.generation)
        np.testing.assert_array_equal(tick.action, alone[tick.generation], "a row was written while it was in use")
    loading.join()
    assert not faults
    assert used <= {1, 2, 3}
