"""The recorder and what is made of its files: replay to the bit, and files that survive a kill, a full disk and damage."""

import os
import re
import resource
import signal
import subprocess
import sys
import threading
from array import array
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from domain_coordinator import domain_id
from rclpy.context import Context
from rclpy.parameter import Parameter
from rclpy.serialization import serialize_message
from std_msgs.msg import String

from dmpel_ros import qos
from dmpel_ros.background import spinning
from dmpel_ros.policy_node import PolicyNode
from dmpel_ros.recorder import RecorderNode
from dmpel_ros.recording.bag import Bag, BagError, BagWriter
from dmpel_ros.recording.definitions import definition, type_name
from dmpel_ros.recording.topics import ROBOT, recorded
from dmpel_ros.replay import replay, report, traces
from tests.ros.fake_robot import FakeRobot
from tests.ros.fakes import SIZE, FakeCatalogue
from tests.ros.recording import for_the_simulation, overrides
from tests.ros.window_engine import ForgetlessEngine, OtherEngine, WindowEngine

ROOT = Path(__file__).parents[2]
ROBOT_DEFAULTS = {row.name: row.default for row in ROBOT}
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class Scene:
    """A fake robot and a policy in one process over real topics, to be recorded."""

    def __init__(self, stack: ExitStack) -> None:
        self.context, self.domain = Context(), int(stack.enter_context(domain_id()))
        rclpy.init(context=self.context, domain_id=self.domain)
        self._stack = stack
        stack.callback(self.context.try_shutdown)
        self.robot = FakeRobot(context=self.context)
        patient = for_the_simulation(max_picture_age=5.0, max_joints_age=5.0)
        self.policy = PolicyNode(WindowEngine, FakeCatalogue(), context=self.context, parameter_overrides=patient)
        self._spin(self.robot, self.policy)
        loop = threading.Thread(target=self.policy.run)
        loop.start()
        stack.callback(loop.join)
        stack.callback(self.context.try_shutdown)
        self.told = DiagnosticStatus()  # by a recorder
        self.robot.create_subscription(DiagnosticStatus, "/recorder/status", self._on_status, qos.LATCHED)

    def _spin(self, *nodes: Any) -> None:
        for node in nodes:
            self._stack.callback(node.destroy_node)
            self._stack.enter_context(spinning(node))

    def _on_status(self, message: DiagnosticStatus) -> None:
        with self.robot.changed:
            self.told = message
            self.robot.changed.notify_all()

    def record(self, folder: Path, **parameters: Any) -> RecorderNode:
        """Record in this process."""
        recorder = RecorderNode(context=self.context, parameter_overrides=overrides(folder=str(folder), image_size=SIZE, **parameters))
        self._spin(recorder)
        self._is_connected()
        return recorder

    def start_recorder(self, folder: Path, largest_file: int = resource.RLIM_INFINITY) -> subprocess.Popen[bytes]:
        """Record in a process of its own, whose files cannot grow beyond a size [bytes]."""
        command = [sys.executable, "-m", "dmpel_ros.recorder", "--ros-args", "-p", f"folder:={folder}", "-p", f"image_size:={SIZE}"]
        limits = (largest_file, resource.RLIM_INFINITY)
        process = subprocess.Popen(
            command,
            env={**os.environ, "ROS_DOMAIN_ID": str(self.domain)},
            cwd=ROOT,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits),  # noqa: PLW1509 - one system call, which takes no lock
        )
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        self._is_connected()
        return process

    def _is_connected(self) -> None:
        publishers = [self.policy._telemetry._trace, *self.robot._out.values()]
        wanted = [1, 2, 2, 2]  # the policy itself reads the inputs
        self.robot.wait(lambda: [publisher.get_subscription_count() for publisher in publishers] == wanted, "the recorder is not connected")
        self.robot.wait(lambda: "are being recorded" in self.told.message, "the recorder does not hear every input")
        self.robot.frames_pass(3)  # what the policy has received before is not in the recording


def noisy(picture: Any) -> Any:
    """Return the picture with pixels that cannot be compressed, so that files grow."""
    picture.data = array("B", os.urandom(len(picture.data)))
    return picture


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two episodes under two instructions and, from the middle of the second, two generations."""
    with ExitStack() as stack:
        scene = Scene(stack)
        recorder = scene.record(tmp_path_factory.mktemp("recordings"))
        scene.robot.instruct("open the drawer")
        scene.robot.moves()
        scene.robot.instruct("push the plate")
        assert scene.robot.call("reset").success
        scene.robot.moves()
        scene.policy.set_parameters([Parameter("generation", value=4)])
        assert scene.robot.call("load").success
        scene.robot.moves()
        assert scene.robot.change("deactivate")
        acted = scene.policy._telemetry.statistics.ticks
        scene.robot.wait(lambda: recorder.counts["/policy/tick"] >= acted, "a tick is not recorded")
        recorder.close()
        return recorder.path


def test_a_recorded_run_is_computed_again_bit_for_bit(recording: Path) -> None:
    bag = Bag(recording)
    told = traces(bag)
    verdict = replay(bag, Path(), WindowEngine)
    assert (verdict.equal, verdict.unknown, verdict.difference) == (len(told), 0, None)
    assert {trace.instruction for trace in told} == {"open the drawer", "push the plate"}
    assert {trace.generation for trace in told} == {3, 4}
    assert sum(trace.place == 1 for trace in told) == 2
    assert bag.damage is None


def test_another_policy_differs_at_the_first_tick(recording: Path) -> None:
    verdict = replay(Bag(recording), Path(), OtherEngine)
    assert verdict.difference is not None
    assert (verdict.difference.index, verdict.equal) == (0, 0)


def test_the_first_tick_that_differs_is_the_one_that_is_told(recording: Path) -> None:
    bag = Bag(recording)
    second_episode = [trace.place for trace in traces(bag)].index(1, 1)
    verdict = replay(bag, Path(), ForgetlessEngine)
    assert verdict.difference is not None
    assert verdict.difference.index == second_episode
    assert f"number {second_episode}: tick 1 of its episode, 'push the plate', generation 3" in report(verdict, bag)


# --- faults


@pytest.mark.fault
def test_a_recorder_that_is_killed_leaves_a_readable_file_and_a_policy_that_acts(tmp_path: Path) -> None:
    with ExitStack() as stack:
        scene = Scene(stack)
        process = scene.start_recorder(tmp_path)
        scene.robot.breaks.update(agentview=noisy, eye_in_hand=noisy)
        scene.robot.instruct("open the drawer")
        file = next(tmp_path.glob("*.mcap"))
        scene.robot.wait(lambda: file.stat().st_size > 300_000, "the file does not grow")
        process.send_signal(signal.SIGKILL)
        scene.robot.moves()
    bag = Bag(file)
    verdict = replay(bag, Path(), WindowEngine)
    assert verdict.equal > 0
    assert verdict.difference is None
    assert "ends early" in report(verdict, bag)


@pytest.mark.fault
def test_a_disk_that_takes_no_more_ends_the_recording_with_a_word_and_disturbs_nothing(tmp_path: Path) -> None:
    with ExitStack() as stack:
        scene = Scene(stack)
        process = scene.start_recorder(tmp_path, largest_file=300_000)
        scene.robot.breaks.update(agentview=noisy, eye_in_hand=noisy)
        scene.robot.instruct("open the drawer")
        scene.robot.wait(lambda: scene.told.level == DiagnosticStatus.ERROR, "the recorder does not say that it has stopped")
        assert "recording has stopped: File too large while recording" in scene.told.message
        scene.robot.moves()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    verdict = replay(Bag(next(tmp_path.glob("*.mcap"))), Path(), WindowEngine)
    assert verdict.equal > 0
    assert verdict.difference is None


@pytest.mark.fault
def test_a_recording_ends_whole_before_the_disk_is_full(context: Context, tmp_path: Path) -> None:
    recorder = RecorderNode(context=context, parameter_overrides=overrides(folder=str(tmp_path), min_free=10_000_000))
    assert recorder._write("/policy/tick", serialize_message(String(data="{}")))
    recorder._watch_disk()
    assert not recorder._write("/policy/tick", serialize_message(String(data="{}")))
    recorder.destroy_node()
    bag = Bag(recorder.path)
    assert (len(list(bag.messages({"/policy/tick"}))), bag.damage) == (1, None)


@pytest.mark.fault
def test_a_flipped_bit_ends_the_reading_there(recording: Path, tmp_path: Path) -> None:
    data = bytearray(recording.read_bytes())
    data[data.index(ZSTD_MAGIC) + 1000] ^= 1  # in the first chunk
    broken = tmp_path / "broken.mcap"
    broken.write_bytes(data)
    bag = Bag(broken)
    list(bag.messages({"/joint_states"}))
    assert "ends early" in str(bag.damage)


def test_ticks_that_are_missing_are_counted_and_the_next_episode_is_computed(recording: Path, tmp_path: Path) -> None:
    bag = Bag(recording)
    told = traces(bag)
    second_episode = [trace.place for trace in told].index(1, 1)
    kinds = recorded(bag.parameters, "/policy")
    holed = BagWriter(tmp_path / "without_first.mcap", bag.parameters, {topic: each.kind for topic, each in kinds.items()})
    ticks = 0
    for message in bag.messages(kinds.keys()):
        ticks += message.topic == "/policy/tick"
        if message.topic != "/policy/tick" or ticks != 2:
            holed.write(message.topic, message.data, message.time)
    holed.close()
    verdict = replay(Bag(holed.path), Path(), WindowEngine)
    assert (verdict.ticks, verdict.equal, verdict.difference) == (len(told) - 1, 1 + len(told) - second_episode, None)


def test_other_files_are_refused_with_the_remedy(tmp_path: Path) -> None:
    other = tmp_path / "other.mcap"
    other.write_bytes(b"no such thing" * 100)
    with pytest.raises(BagError, match="record with dmpel's node `recorder`"):
        Bag(other)
    with pytest.raises(BagError, match="No such file"):
        Bag(tmp_path / "none.mcap")


@pytest.mark.parametrize(
    "kind", sorted({each.kind for each in recorded(ROBOT_DEFAULTS, "/policy").values()}, key=lambda kind: kind.__name__)
)
def test_every_type_is_defined_with_all_that_it_is_made_of(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)  # as in an environment of wheels
    text = definition(type_name(kind))
    fields = kind.get_fields_and_field_types()
    assert all(re.search(rf"\b{name}\b", text) for name in fields)
    inner = {re.sub(r"sequence<|>|\[.*", "", field) for field in fields.values()}
    assert all(f"MSG: {name}\n" in text for name in inner if "/" in name)
