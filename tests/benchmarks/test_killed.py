"""What kills a run and compares what is left of it."""

import json
import sys
from pathlib import Path

from benchmarks.killed import killed, records


def test_a_command_that_does_not_end_in_time_is_killed() -> None:
    assert killed([sys.executable, "-c", "import threading; threading.Event().wait()"], 0.0)
    assert not killed([sys.executable, "-c", "pass"], 600.0)


def test_records_are_compared_without_times(tmp_path: Path) -> None:
    for name, minutes, success in (("a", 3.0, 0.5), ("b", 4.0, 0.5), ("c", 3.0, 0.6)):
        (tmp_path / name / "run").mkdir(parents=True)
        (tmp_path / name / "run" / "result.json").write_text(json.dumps({"minutes": minutes, "final_success": success}))
    assert records(tmp_path / "a") == records(tmp_path / "b") == {"run": {"final_success": 0.5}}
    assert records(tmp_path / "a") != records(tmp_path / "c")
