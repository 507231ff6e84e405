"""What the node tells of itself."""

from dataclasses import replace

import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from dmpel_core.errors import DmpelError
from dmpel_ros.condition import Situation, condition
from dmpel_ros.outcome import Held

FINE = Situation("active", active=True, simulated=True, fault=None, outcome=Held("instruction", "none yet"), computing=0.0, quiet=0.0)


@pytest.mark.parametrize(
    ("change", "level", "kind", "words"),
    [
        ({}, DiagnosticStatus.WARN, "instruction", "holding: none yet"),
        ({"outcome": Held("stopped", "by hand")}, DiagnosticStatus.ERROR, "stopped", "holding: by hand"),
        ({"outcome": None}, DiagnosticStatus.WARN, "input", "waiting for the first observation"),
        ({"computing": 3.2}, DiagnosticStatus.ERROR, "engine", "one tick for 3 s"),
        ({"outcome": None, "quiet": 9.0}, DiagnosticStatus.WARN, "clock", "no input for 9 s"),
        ({"outcome": Held("skew", "half a set"), "quiet": 9.0}, DiagnosticStatus.WARN, "clock", "no input for 9 s"),
        ({"quiet": 9.0}, DiagnosticStatus.WARN, "instruction", "none yet"),
        ({"outcome": Held("stale", "old"), "quiet": 9.0, "simulated": False}, DiagnosticStatus.WARN, "stale", "old"),
        ({"active": False, "state": "inactive"}, DiagnosticStatus.OK, "", "inactive"),
        ({"active": False, "fault": DmpelError("no camera")}, DiagnosticStatus.ERROR, "refused", "no camera"),
    ],
)
def test_the_most_telling_thing_is_told(change: dict, level: bytes, kind: str, words: str) -> None:
    told = condition(replace(FINE, **change))
    assert (told.level, told.kind) == (level, kind)
    assert words in told.message
