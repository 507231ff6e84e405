"""What the controller does with good, missing, stale and broken input; no ROS and no clock but the one given."""

import numpy as np
import pytest

from dmpel_core.errors import DmpelError
from dmpel_core.observation import Observation
from dmpel_ros.control import Acted, Controller, Held
from dmpel_ros.inbox import Inbox, Inputs
from tests.ros.fakes import FakeEngine

MILLISECOND = 1_000_000
PICTURE = np.zeros((4, 4, 3), np.uint8)


class Bench:
    """A controller with an inbox of two inputs and a clock that the test sets."""

    def __init__(self) -> None:
        self.engine, self.inbox, self.now = FakeEngine(), Inbox(("camera", "joints"), 0.04, lambda: self.since_start), 0
        self.since_start = 0.0
        self.fault: str | None = None
        self.controller = Controller(self.engine, self.inbox, self.assemble, lambda: self.now, max_age=0.1)

    def assemble(self, inputs: Inputs) -> Observation:
        if self.fault:
            raise DmpelError(self.fault)
        return Observation(PICTURE, PICTURE, np.full(7, inputs.messages["joints"]), np.zeros(2))

    def put(self, stamp: int, joints: float = 0.0) -> None:
        self.inbox.put("camera", None, stamp)
        self.inbox.put("joints", joints, stamp)

    def instruct(self, text: str = "put it there") -> None:
        self.controller.request_instruction(text)
        self.controller.apply_requests()

    def held(self) -> Held:
        outcome = self.controller.tick()
        assert isinstance(outcome, Held)
        return outcome

    def acted(self) -> Acted:
        outcome = self.controller.tick()
        assert isinstance(outcome, Acted)
        return outcome


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.instruct()
    return made


def test_acts_on_the_newest_inputs(bench: Bench) -> None:
    bench.put(100 * MILLISECOND, joints=0.25)
    bench.now = 130 * MILLISECOND
    acted = bench.acted()
    assert acted.stamp == 100 * MILLISECOND
    assert acted.age == pytest.approx(0.03)
    assert acted.tick.action[0] == 0.25


def test_holds_without_an_instruction() -> None:
    bench = Bench()
    bench.put(0)
    assert bench.held().kind == "instruction"
    bench.instruct("unknown")
    assert "cannot follow 'unknown': no such words" in bench.held().reason
    bench.instruct("put it there")
    bench.acted()


def test_names_the_inputs_that_are_missing(bench: Bench) -> None:
    bench.inbox.put("camera", None, 0)
    held = bench.held()
    assert (held.kind, held.reason) == ("input", "nothing has come on joints")


def test_inputs_from_different_times_are_no_observation(bench: Bench) -> None:
    bench.inbox.put("camera", None, 0)
    bench.inbox.put("joints", 0.0, 50 * MILLISECOND)
    assert "too far apart" in bench.held().reason
    bench.inbox.put("camera", None, 30 * MILLISECOND)
    assert bench.acted().stamp == 30 * MILLISECOND  # the oldest input makes the age


def test_holds_when_stale_and_recovers(bench: Bench) -> None:
    bench.put(0)
    bench.now = 101 * MILLISECOND
    held = bench.held()
    assert held.kind == "stale"
    assert "101 ms old, 100 ms are allowed" in held.reason
    assert bench.engine.observations == []
    bench.put(100 * MILLISECOND)
    bench.acted()


def test_a_clock_that_stands_still_hides_no_delay(bench: Bench) -> None:
    bench.put(0)
    bench.since_start = 0.2
    held = bench.held()
    assert held.kind == "stale"
    assert "200 ms old" in held.reason


def test_holds_when_the_inputs_come_from_the_future(bench: Bench) -> None:
    bench.put(200 * MILLISECOND)
    assert bench.held().kind == "future"


def test_a_clock_that_jumps_back_does_not_stop_it(bench: Bench) -> None:
    bench.put(10_000 * MILLISECOND)
    bench.now = 10_000 * MILLISECOND
    bench.acted()
    bench.put(50 * MILLISECOND)
    bench.now = 50 * MILLISECOND
    assert bench.controller.unseen()
    bench.acted()


def test_a_set_is_unseen_once(bench: Bench) -> None:
    assert not bench.controller.unseen()
    bench.put(0)
    assert bench.controller.unseen()
    bench.acted()
    assert not bench.controller.unseen()


def test_a_set_that_was_held_is_not_looked_at_again_before_the_instruction_changes() -> None:
    bench = Bench()
    bench.put(0)
    assert bench.held().kind == "instruction"
    assert not bench.controller.unseen()
    bench.instruct()
    assert bench.controller.unseen()


def test_holds_on_a_broken_message(bench: Bench) -> None:
    bench.put(0)
    bench.fault = "the picture is 640x480"
    held = bench.held()
    assert (held.kind, held.reason) == ("message", "the picture is 640x480")


def test_holds_on_an_action_that_is_not_finite(bench: Bench) -> None:
    bench.put(0)
    bench.engine.action[3] = np.nan
    assert bench.held().kind == "action"


def test_actions_are_clipped(bench: Bench) -> None:
    bench.put(0)
    bench.engine.action[:] = (5.0, -5.0, 0.5, 0.0, 0.0, 0.0, 2.0)
    np.testing.assert_array_equal(bench.acted().tick.action, (1.0, -1.0, 0.5, 0.0, 0.0, 0.0, 1.0))


def test_a_reset_reaches_the_engine_before_the_next_tick(bench: Bench) -> None:
    bench.controller.request_reset()
    assert bench.engine.resets == 0
    bench.controller.apply_requests()
    bench.controller.apply_requests()
    assert bench.engine.resets == 1
