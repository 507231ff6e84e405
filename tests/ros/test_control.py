"""What the controller does with good, missing, stale and broken input; no ROS and no clock but the one given."""

import numpy as np
import pytest

from dmpel_core.errors import DmpelError
from dmpel_core.observation import Observation
from dmpel_ros.control import Controller, Patience
from dmpel_ros.guard import Guard, Limits
from dmpel_ros.inbox import Inbox, Inputs
from dmpel_ros.outcome import Acted, Held
from dmpel_ros.vigil import Vigil
from tests.ros.fakes import FakeEngine

MILLISECOND = 1_000_000
PICTURE = np.zeros((4, 4, 3), np.uint8)
OPEN = Limits(np.ones(6), np.full(6, 2.0), np.full(6, 4.0), 0, np.full(3, -9.0), np.full(3, 9.0), 0.05)


class Bench:
    """A controller with an inbox of two inputs and a clock that the test sets."""

    def __init__(self) -> None:
        self.engine, self.inbox, self.now = FakeEngine(), Inbox(("camera", "joints"), 0.04, lambda: self.since_start), 0
        self.since_start = 0.0
        self.fault: str | None = None
        self.vigil = Vigil(self.inbox, {"camera": 0.1, "joints": 0.05}, frozen_motion=0.05)
        guard, patience = Guard(OPEN, lambda joints: np.zeros(3)), Patience(compute=10.0, faults=3)
        self.controller = Controller(self.engine, self.inbox, self.vigil, guard, self.assemble, lambda: self.now, patience)

    def assemble(self, inputs: Inputs) -> Observation:
        if self.fault:
            raise DmpelError(self.fault)
        picture = np.full((4, 4, 3), inputs.messages["camera"], np.uint8)
        return Observation(picture, PICTURE, np.full(7, inputs.messages["joints"]), np.zeros(2))

    def put(self, stamp: int, joints: float = 0.0, brightness: int = 0) -> None:
        self.inbox.put("camera", brightness, stamp)
        self.inbox.put("joints", joints, stamp)

    def instruct(self, text: str = "put it there") -> None:
        self.controller.request("instruction", text)
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
    bench.inbox.put("camera", 0, 0)
    held = bench.held()
    assert (held.kind, held.reason) == ("input", "nothing has come on joints")


def test_inputs_from_different_times_are_no_observation(bench: Bench) -> None:
    bench.inbox.put("camera", 0, 0)
    bench.inbox.put("joints", 0.0, 50 * MILLISECOND)
    held = bench.held()
    assert held.kind == "skew"
    assert "behind the newest: camera 50 ms" in held.reason
    bench.inbox.put("camera", 0, 30 * MILLISECOND)
    assert bench.acted().stamp == 30 * MILLISECOND  # the oldest input makes the age


def test_holds_when_stale_and_recovers(bench: Bench) -> None:
    bench.put(0)
    bench.now = 101 * MILLISECOND
    held = bench.held()
    assert held.kind == "stale"
    assert "camera is 101 ms old, 100 ms are allowed; joints is 101 ms old, 50 ms are allowed" in held.reason
    assert bench.engine.observations == []
    bench.put(100 * MILLISECOND)
    bench.acted()


def test_each_input_has_an_age_of_its_own_and_only_the_late_one_is_named(bench: Bench) -> None:
    bench.inbox.put("camera", 0, 0)
    bench.inbox.put("joints", 0.0, 20 * MILLISECOND)
    bench.now = 75 * MILLISECOND
    held = bench.held()
    assert "joints is 55 ms old" in held.reason
    assert "camera" not in held.reason


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


def test_holds_on_an_action_out_of_range(bench: Bench) -> None:
    bench.put(0)
    bench.engine.action[:] = (0.5, -5.0, 0.5, 0.0, 0.0, 0.0, 1.0)
    held = bench.held()
    assert held.kind == "action"
    assert "an action of 5, full deflection is 1" in held.reason


def test_an_action_that_rounding_carried_over_the_edge_is_clipped(bench: Bench) -> None:
    bench.put(0)
    bench.engine.action[:] = (1.0001, -1.0001, 0.5, 0.0, 0.0, 0.0, 1.0001)
    np.testing.assert_array_equal(bench.acted().tick.action, (1.0, -1.0, 0.5, 0.0, 0.0, 0.0, 1.0))


def test_a_picture_that_stays_while_the_arm_moves_is_frozen_until_it_changes(bench: Bench) -> None:
    for stamp, joints in ((0, 0.0), (50, 0.04)):
        bench.put(stamp * MILLISECOND, joints, brightness=7)
        bench.now = stamp * MILLISECOND
        bench.acted()
    bench.put(100 * MILLISECOND, 0.06, brightness=7)
    bench.now = 100 * MILLISECOND
    held = bench.held()
    assert held.kind == "frozen"
    assert "agentview and eye_in_hand" in held.reason
    bench.put(100 * MILLISECOND, 0.06, brightness=8)
    assert "eye_in_hand has not changed" in bench.held().reason  # the other picture is still the same
    bench.vigil.forget()
    bench.acted()


def test_a_picture_may_stay_while_the_arm_rests(bench: Bench) -> None:
    for stamp in range(5):
        bench.put(stamp, 0.0, brightness=7)
        bench.acted()


def test_a_tick_that_took_too_long_is_dropped(bench: Bench) -> None:
    bench.controller._patience = Patience(compute=-1.0, faults=3)
    bench.put(0)
    assert bench.held().kind == "late"


def test_faults_in_a_row_stop_until_cleared(bench: Bench) -> None:
    bench.put(0)
    bench.engine.action[0] = np.nan
    assert [bench.held().kind for _ in range(4)] == ["action", "action", "action", "stopped"]
    bench.engine.action[0] = 0.0
    assert "3 faulty ticks in a row, the last one: the policy computed" in bench.held().reason
    bench.controller.request("clear")
    bench.controller.apply_requests()
    bench.acted()


def test_good_ticks_between_faults_and_waiting_do_not_stop_it(bench: Bench) -> None:
    for _ in range(3):
        for value in (np.nan, np.nan, 0.0):
            bench.put(0)
            bench.engine.action[0] = value
            bench.controller.tick()
    bench.instruct("")
    assert {bench.held().kind for _ in range(9)} == {"instruction"}
    bench.instruct()
    bench.acted()


@pytest.mark.parametrize(("text", "reason"), [("", "empty"), (" \n", "empty"), ("x" * 501, "501 characters")])
def test_a_text_that_is_no_instruction_holds(bench: Bench, text: str, reason: str) -> None:
    bench.put(0)
    bench.instruct(text)
    assert reason in bench.held().reason
    assert bench.controller.instruction == ""


def test_a_person_stops_it_and_clears_it(bench: Bench) -> None:
    bench.put(0)
    bench.controller.request("clear")
    bench.controller.request("stop", "somebody said so")
    bench.controller.apply_requests()
    assert bench.held() == Held("stopped", "somebody said so")
    assert bench.engine.observations == []
    bench.controller.request("clear")
    bench.controller.apply_requests()
    bench.acted()


def test_a_reset_reaches_the_engine_before_the_next_tick(bench: Bench) -> None:
    bench.put(0)
    bench.acted()
    bench.controller.request("reset")
    assert bench.engine.resets == 0
    bench.controller.apply_requests()
    bench.controller.apply_requests()
    assert bench.engine.resets == 1
    assert not bench.controller.unseen()  # the last observation of the old episode is none of the new one


def test_a_stop_that_comes_while_the_engine_computes_drops_the_action(bench: Bench) -> None:
    bench.put(0)
    bench.engine.pause = lambda: bench.controller.request("stop", "somebody said so")
    assert bench.held() == Held("stopped", "somebody said so")
    bench.controller.apply_requests()
    assert bench.held() == Held("stopped", "somebody said so")
