"""The table of the scripted expert, with an expert that is not there."""

from pathlib import Path

import pytest

from benchmarks import expert_table
from dmpel_core.simulation import tasks


def episode(success: bool, tries: int = 1) -> dict:
    return {"tries": tries, "success": success, "ticks": 100 * success, "seconds": 3.0, "reasons": []}


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Stand in for the simulation: even tasks are solved, at the second try; note what was measured."""
    found: list[tuple[str, int]] = []

    def measure(suite: str, index: int, states: int) -> dict:
        if len(found) == 3:
            raise KeyboardInterrupt
        found.append((suite, index))
        return {"suite": suite, "task": index, "instruction": f"do {index}", "episodes": [episode(index % 2 == 0, 2)] * states}

    monkeypatch.setattr(expert_table, "measure", measure)
    monkeypatch.setattr(tasks, "task_names", lambda suite: ("a", "b"))
    return found


def test_a_stopped_table_goes_on_where_it_was(measured: list[tuple[str, int]], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--output", str(tmp_path / "expert.json"), "--suites", "libero_goal", "libero_10", "--states", "10"]
    with pytest.raises(KeyboardInterrupt):
        expert_table.main(options)
    assert measured == [("libero_goal", 0), ("libero_goal", 1), ("libero_10", 0)]
    measured.clear()
    expert_table.main(options)
    assert measured == [("libero_10", 1)]
    printed = capsys.readouterr().out
    assert "| libero_10 | 0 | do 0 | 10 / 10 | 0 / 10 | 72-100 % | 100 | 3.0 |" in printed
    assert "| libero_goal | 1 | do 1 | 0 / 10 | 0 / 10 | 0-28 % | - | - |" in printed
    assert "2 of 4 tasks are solved" in printed


def test_an_episode_tries_every_way_before_it_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from dmpel_core.simulation import recording
    from dmpel_core.simulation.expert import StuckError

    def record(environment: object, state: object, *, attempt: int, **named: object) -> object:
        if attempt < environment:  # type: ignore[operator]
            raise StuckError(f"way {attempt}")
        return type("Shown", (), {"actions": [0] * 7})

    monkeypatch.setattr(recording, "record_episode", record)
    solved, failed = expert_table.solve(2, None), expert_table.solve(3, None)
    assert (solved["tries"], solved["success"], solved["ticks"], solved["reasons"]) == (3, True, 7, ["way 0", "way 1"])
    assert (failed["success"], len(failed["reasons"])) == (False, 3)
