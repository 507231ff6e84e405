"""The table of faults in docs/safety.md."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_table_lists_every_test_of_a_fault_and_no_other() -> None:
    rows = re.findall(r"\| `(test_\w+\.py)` `(.+)` \|$", (ROOT / "docs" / "safety.md").read_text(), re.MULTILINE)
    listed = {(file, name) for file, name in rows}
    marked = [str(path) for path in (ROOT / "tests").rglob("test_*.py") if "mark.fault" in path.read_text()]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "fault", *marked]
    collected = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    tests = {(Path(file).name, name) for file, name in re.findall(r"^(\S+\.py)::(.+)$", collected, re.MULTILINE)}
    assert len(listed) == len(rows) >= 25
    assert listed == tests
    assert f"lists {len(rows)} faults" in (ROOT / "README.md").read_text()
