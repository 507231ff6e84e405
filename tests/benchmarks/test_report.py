"""Planning, keeping and telling what was measured."""

import json
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import swap
from benchmarks.engine import plan
from benchmarks.picture import draw
from benchmarks.record import Record, new_record, read_record
from benchmarks.report import page
from benchmarks.savings import compare
from benchmarks.swap import judge
from dmpel_core.errors import DmpelError
from dmpel_core.json_file import write_json


def a_row(engine: str, mode: str, ratio: float, size: str = "small") -> dict:
    return {
        "size": size, "threads": 1, "engine": engine, "mode": mode, "experts": 10, "median_ms": 60 / ratio, "p99_ms": 90 / ratio,
        "ratio_to_naive": ratio, "ratio_spread": 0.2, "ratio_quartiles": [ratio - 0.1, ratio + 0.1], "roofline_share": 0.5, "rounds": 20,
        "wall_median_ms": 70.0, "action_off": 2e-7,
    }  # fmt: skip


@pytest.fixture
def record() -> Record:
    """A record with a block in it."""
    block = {"size": "small", "threads": 1, "experts": 10, "clock": "cpu", "gflop": 0.3, "peak_gflops": 90.0, "seconds": 9.0}
    return new_record() | {"rows": [a_row("naive", "exact", 1.0), a_row("onnx-cpu", "exact", 5.5)], "blocks": [block]}


def test_the_most_telling_blocks_come_first() -> None:
    blocks = plan(["nano", "small", "clip-vit-b16"], [2, 1], [1, 10, 1000])
    assert blocks[:4] == [("nano", 1, 10), ("small", 1, 10), ("clip-vit-b16", 1, 10), ("small", 1, 1000)]
    assert len(blocks) == len(set(blocks)) == 13
    assert all(threads == 2 for _, threads, _ in blocks[7:])


def test_a_run_is_continued_on_the_same_machine_only(tmp_path: Path, record: Record) -> None:
    path = tmp_path / "engine.json"
    assert read_record(path, resume=True)["rows"] == []
    write_json(path, record)
    assert read_record(path, resume=True) == record
    assert read_record(path, resume=False)["rows"] == []
    write_json(path, record | {"machine": {"processor": "another"}})
    with pytest.raises(DmpelError, match=r"another.+leave --resume out"):
        read_record(path, resume=True)


def test_the_page_says_what_was_kept_and_what_was_not_measured(record: Record) -> None:
    text = page(json.loads(json.dumps(record)))
    assert "| exact, small, against the naive path | at least 2.7x | 5.50x | yes |" in text
    assert "| exact, clip-vit-b16, against the naive path | at least 1.4x | not measured |  |" in text
    assert "| small | 1 | onnx-cpu | exact | 10.9 | 16.4 | 5.50 [5.40-5.60] | 50% | 20 |" in text
    assert "Not measured yet." in text
    assert "$" not in text


def test_a_target_that_is_missed_stands_out(record: Record) -> None:
    record["rows"].append(a_row("onnx-cpu", "route10", 3.0))
    record["swap"] = [{"loading_max_ms": 30.0, "quiet_p99_ms": 27.5, "quiet_max_ms": 29.0, "loading_p99_ms": 29.0,
                       "loads": 100, "load_ms": 12.0, "size": "small"}]  # fmt: skip
    text = page(record)
    assert "| routing every 10 ticks, small | at least 3.8x | 3.00x | **no** |" in text
    assert "| loading at 20 Hz: latest tick behind its neighbours' p99 | at most 2 ms | 2.50 ms | **no** |" in text


def test_a_page_of_an_empty_record() -> None:
    assert page(new_record()).count("Not measured yet.") >= 7


def test_the_picture_is_drawn_where_there_is_something_to_draw(tmp_path: Path, record: Record) -> None:
    draw(record, tmp_path / "engine.png")
    assert (tmp_path / "engine.png").read_bytes().startswith(b"\x89PNG")
    draw(new_record(), tmp_path / "nothing.png")
    assert not (tmp_path / "nothing.png").exists()


def test_ticks_that_a_load_touches_are_told_from_the_others() -> None:
    ticks = [(0.05 * number, 0.05 * number + 0.01) for number in range(20)]
    ticks[5] = (0.25, 0.28)  # overlapped by the load
    ticks[7] = (0.35, 0.39)  # the first one due after it
    ticks[12] = (0.60, 0.62)  # late for another reason
    late = judge(ticks, [(0.27, 0.33)])
    assert (late.loads, round(late.load_ms), round(late.loading_max_ms), round(late.quiet_max_ms)) == (1, 60, 40, 20)


def test_loads_happen_while_the_engine_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("PERIOD", 0.001), ("WARM_UP", 3), ("BETWEEN", 1)):
        monkeypatch.setattr(swap, name, value)
    ticks: list[int] = []
    loads: list[tuple[int, int]] = []
    engine = SimpleNamespace(tick=lambda _observation: ticks.append(1))
    late = swap.load_under_way(engine, lambda number: loads.append((number, len(ticks))), 4)
    assert late.loads == 4
    assert [number for number, _ in loads] == [0, 1, 2, 3]
    counts = [count for _, count in loads]
    assert counts[0] >= 3
    assert all(later > earlier for earlier, later in pairwise(counts))


def test_differences_are_those_to_the_exact_actions() -> None:
    exact = np.tile([0.5, -0.5, 0.5, 0.5, 0.5, 0.5, 1.0], (4, 1))
    other = exact.copy()
    other[0, 0] += 0.24
    other[1, 6] = -1.0
    found = {entry["mode"]: entry for entry in compare({"exact": exact, "lag": other})}
    assert found["exact"]["mean"] == found["exact"]["gripper_differs"] == 0
    assert found["lag"]["mean"] == pytest.approx(0.01)
    assert (found["lag"]["gripper_differs"], found["lag"]["mean_action"]) == (0.25, 0.5)
