"""How soon the arm moves again when a fault has passed, counted in ticks: docs/safety.md promises less than a second."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rclpy.context import Context
from std_msgs.msg import String

from dmpel_ros import control, messages
from dmpel_ros.outcome import FAULTS, REASONS, Acted, Held
from tests.ros.fakes import POSE, SIZE, FakeCatalogue, FakeEngine
from tests.ros.recording import RecordingPolicy, for_the_simulation

WANTED = 0.1
"""What the engine moves by, as a share of full deflection: below every limit on change and jerk."""

RAMP = 20
"""Ticks of the default ramp of one second."""

DEFAULT_LIMITS = {"action_limit": [0.5] * 6, "change_limit": [0.2] * 6, "jerk_limit": [0.2] * 6, "ramp": 1.0}
JOINTS = [*(f"panda_joint{i}" for i in range(1, 8)), "panda_finger_joint1", "panda_finger_joint2"]


class Scene:
    """A node, its inputs and its clock, all moved by hand."""

    def __init__(self, node: RecordingPolicy) -> None:
        self.node, self.engine, self.frames = node, node._parts.engine, 0
        self.joints, self.seconds = np.append(POSE, [0.04, 0.04]), 0.0
        self.engine.action[0] = WANTED
        self.instruct("move")

    def instruct(self, text: str) -> None:
        self.node._on_instruction(String(data=text))

    def see(self, *, picture: int | None = None, age: float = 0.0, lag: float = 0.0, joints: list[str] = JOINTS) -> None:
        """Hand in one observation: new pictures unless one is named, stamps `age` old, the wrist's picture older by `lag` [s]."""
        self.frames += 1
        stamp = self.node.get_clock().now().nanoseconds - round(age * messages.SECOND)
        pixels = np.full((SIZE, SIZE, 3), self.frames % 256 if picture is None else picture, np.uint8)
        put = self.node._inbox.put
        for topic, late in (("/agentview/image_raw", 0.0), ("/eye_in_hand/image_raw", lag)):
            when = stamp - round(late * messages.SECOND)
            put(topic, messages.to_image(pixels, when, ""), when)
        put("/joint_states", messages.to_joint_state(joints, self.joints[: len(joints)], stamp), stamp)

    def frozen(self) -> None:
        self.see(picture=0)
        self.joints[0] += 0.02

    def late(self) -> None:
        self.engine.pause = self._linger
        self.see()

    def _linger(self) -> None:
        self.seconds += 9.0

    def broken(self) -> None:
        self.engine.action[0] = np.nan
        self.see()

    def failing(self) -> None:
        self.engine.pause = self._refuse
        self.see()

    @staticmethod
    def _refuse() -> None:
        raise messages.MessageError("the graph does not fit")

    def silenced(self) -> None:
        self.node._inbox.clear()

    def wordless(self) -> None:
        self.instruct("")
        self.see()

    def stopped(self) -> None:
        self.node._parts.control.request("stop", "for a moment")
        self.see()

    def mend(self) -> None:
        self.engine.pause, self.engine.action[0] = (lambda: None), WANTED
        self.joints[0] = POSE[0]
        self.instruct("move")
        self.node._parts.control.request("clear")

    def moves(self, ticks: int) -> list[float]:
        """Return how far each tick moves on good input, as a share of full deflection; 0 where it holds."""
        moved = []
        for _ in range(ticks):
            self.see()
            outcome = self.node.step()
            moved.append(float(outcome.tick.action[0]) if isinstance(outcome, Acted) else 0.0)
        return moved


@pytest.fixture
def scene(context: Context, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    given = for_the_simulation(max_picture_age=10.0, max_joints_age=10.0, max_input_skew=0.5, frozen_motion=0.05, **DEFAULT_LIMITS)
    node = RecordingPolicy(FakeEngine, FakeCatalogue(), context=context, parameter_overrides=given)
    made = Scene(node)
    monkeypatch.setattr(control, "time", SimpleNamespace(perf_counter=lambda: made.seconds))  # ticks take no time unless a test says so
    yield made
    node.destroy_node()


FAULTY: dict[str, Callable[[Scene], Any]] = {
    "stale": lambda scene: scene.see(age=60.0),
    "future": lambda scene: scene.see(age=-60.0),
    "skew": lambda scene: scene.see(lag=0.7),
    "message": lambda scene: scene.see(joints=JOINTS[:5]),
    "frozen": Scene.frozen,
    "engine": Scene.failing,
    "action": Scene.broken,
    "late": Scene.late,
    "input": Scene.silenced,
    "instruction": Scene.wordless,
    "stopped": Scene.stopped,
}


@pytest.mark.parametrize("kind", FAULTY)
def test_the_first_good_tick_moves_and_the_motion_is_whole_after_the_ramp(scene: Scene, kind: str) -> None:
    assert scene.moves(RAMP + 2)[-1] == WANTED
    for _ in range(10):
        FAULTY[kind](scene)
        outcome = scene.node.step()
    assert isinstance(outcome, Held)
    assert outcome.kind == kind
    scene.mend()
    moved = scene.moves(RAMP + 1)
    np.testing.assert_allclose(moved, WANTED * np.arange(1, RAMP + 2) / (RAMP + 1))


def test_every_reason_to_hold_is_among_them() -> None:
    assert FAULTY.keys() == FAULTS.keys() | REASONS.keys()
