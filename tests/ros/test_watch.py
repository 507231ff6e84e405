"""What the policy node tells of skill and familiarity."""

import threading
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from dmpel_core.errors import DmpelError
from dmpel_core.skills.alarm import Reading
from dmpel_core.skills.heads import Told
from dmpel_core.skills.insight import Insight
from dmpel_core.skills.vocabulary import PHASES, SKILLS
from dmpel_ros import messages
from dmpel_ros.watch import Watch

KNOWN, STRANGE = Insight(Reading("open the drawer", 0.1, 0.4), None), Insight(Reading("open the drawer", 0.1, 3.0), None)


class Wires:
    """Stands in for a node: keeps what is published, by topic."""

    def __init__(self) -> None:
        self.sent: dict[str, list[Any]] = {}

    def create_publisher(self, _: type, topic: str, __: object) -> Any:
        sent = self.sent.setdefault(topic, [])
        return type("Publisher", (), {"publish": staticmethod(sent.append)})


def levels(wires: Wires) -> list[bytes]:
    return [status.level for status in wires.sent["~/alarm"]]


def test_the_alarm_is_told_once_when_it_is_raised_and_once_when_it_ends() -> None:
    wires = Wires()
    watch = Watch(wires, 2, "report")
    assert [watch.tick(insight) for insight in (KNOWN, STRANGE, STRANGE, STRANGE, KNOWN, KNOWN, KNOWN)] == [None] * 7
    assert levels(wires) == [DiagnosticStatus.WARN, DiagnosticStatus.OK]
    warning = wires.sent["~/alarm"][0]
    assert warning.message == "unknown scene: 3.0 times the limit, the nearest known task is 'open the drawer'"
    assert {pair.key: pair.value for pair in warning.values} == {"task": "open the drawer", "instruction": "0.100", "scene": "3.000"}


def test_an_instruction_that_nobody_taught_is_called_an_unknown_task() -> None:
    wires = Wires()
    Watch(wires, 1, "report").tick(Insight(Reading("open the drawer", 5.0, 0.4), None))
    assert wires.sent["~/alarm"][0].message.startswith("unknown task: 5.0 times the limit")


def test_hold_stops_once_and_again_after_somebody_cleared_it() -> None:
    watch = Watch(Wires(), 2, "hold")
    answers = [watch.tick(STRANGE) for _ in range(4)]
    assert [answer is None for answer in answers] == [True, False, True, True]
    assert answers[1].endswith("call ~/clear to go on all the same")
    thread = threading.Thread(target=watch.reset)
    thread.start()
    thread.join()
    assert [watch.tick(STRANGE) is None for _ in range(3)] == [True, False, True]


def test_heads_are_told_every_tick_with_the_names_of_their_numbers() -> None:
    wires = Wires()
    certain = np.where(np.arange(len(PHASES)) == 2, 0.0, -np.inf)  # logits
    told = Told(np.concatenate([np.zeros(len(SKILLS)), certain, [np.log(1 / 3), np.log1p(12)]]), (len(SKILLS), len(PHASES)))
    watch = Watch(wires, 2, "report")
    watch.tick(Insight(None, told))
    watch.tick(None)
    (record,) = (messages.from_record(message) for message in wires.sent["~/skill"])
    assert (record["phase grasp"], record["phase reach"]) == (1.0, 0.0)
    assert (record["progress"], record["ticks_to_gripper_event"]) == (pytest.approx(0.25), pytest.approx(12))
    assert record["skill open"] == pytest.approx(1 / len(SKILLS))
    assert levels(wires) == []


def test_a_mode_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(DmpelError, match="choose one of off, report, hold"):
        Watch(Wires(), 2, "panic")
