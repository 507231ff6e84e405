"""Recordings as demonstrations: what was seen and commanded comes back from the file, tick by tick."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import TwistStamped
from rclpy.serialization import serialize_message
from std_msgs.msg import Float64MultiArray, String
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from dmpel_core.data.hdf5 import Demonstration, read_demonstrations, read_task
from dmpel_core.errors import DmpelError
from dmpel_core.inference.engine import Tick
from dmpel_core.observation import Observation
from dmpel_ros import messages
from dmpel_ros.bridge_node import JOINTS
from dmpel_ros.convert import add_arguments, convert, parse_numbers, pose, run
from dmpel_ros.kinematics import Chain, axis_angle
from dmpel_ros.outcome import Acted
from dmpel_ros.outputs import OutputSettings, Ranges, Scales, make_output
from dmpel_ros.policy_parameters import PANDA_DH
from dmpel_ros.recording.bag import BagWriter
from dmpel_ros.recording.topics import MARK, ROBOT, recorded
from dmpel_ros.trace import Trace
from tests.ros.fakes import POSE, SIZE

PERIOD = 50_000_000
BEGAN = 1_800_000_000 * messages.SECOND
TEXT = "open the drawer"


class Tape:
    """A recording that a test plays the robot for."""

    def __init__(self, path: Path, **parameters: Any) -> None:
        self.path, self.random = path, np.random.default_rng(0)
        self.by_targets = parameters.get("output", "twist") != "twist"
        robot = {row.name: row.default for row in ROBOT} | {"image_size": SIZE, "linear_scale": 0.5, "angular_scale": 2.0} | parameters
        robot |= {"gripper_open": [0.04], "gripper_closed": [0.0]}
        kinds = {topic: each.kind for topic, each in recorded(robot, "/policy").items()} | {MARK: String}
        self.bag = BagWriter(path, robot | {"policy": "/policy"}, kinds)
        self.now = BEGAN

    def add(self, topic: str, message: Any) -> None:
        self.now += 1000
        self.bag.write(topic, serialize_message(message), self.now)

    def mark(self, word: str) -> None:
        self.add(MARK, String(data=word))

    def see(self, stamp: int, late: int = 0, mark: str | None = None) -> dict[str, np.ndarray]:
        """Send one observation, the wrist's picture and the joints later, and return what a demonstration should hold of it.

        A mark comes after the wrist's picture: of whatever begins or ends there the observation is half.
        """
        pictures = self.random.integers(0, 256, (2, SIZE, SIZE, 3), np.uint8)
        joints, fingers = POSE + 0.1 * self.random.standard_normal(7), self.random.uniform(0.0, 0.04, 2)
        self.add("/eye_in_hand/image_raw", messages.to_image(pictures[1], stamp + late, "camera"))
        if mark is not None:
            self.mark(mark)
        self.add("/agentview/image_raw", messages.to_image(pictures[0], stamp, "camera"))
        names, positions = [*JOINTS[::-1], "wheel"], np.append(np.append(joints, fingers)[::-1], 9.0)
        self.add("/joint_states", messages.to_joint_state(names, positions, stamp + late))
        return {"agentview": pictures[0], "eye_in_hand": pictures[1], "joints": joints, "gripper": fingers * [1.0, -1.0]}

    def command(self, stamp: int) -> np.ndarray:
        """Send one action and return it."""
        action = np.append(self.random.uniform(-1.0, 1.0, 6), self.random.choice([-1.0, 1.0]))
        twist = TwistStamped()
        twist.header.stamp = messages.to_stamp(stamp)
        linear, angular = twist.twist.linear, twist.twist.angular
        linear.x, linear.y, linear.z = map(float, 0.5 * action[:3])
        angular.x, angular.y, angular.z = map(float, 2.0 * action[3:6])
        self.add("/gripper_controller/commands", Float64MultiArray(data=[0.0 if action[6] > 0 else 0.04]))
        self.add("/arm", Float64MultiArray(data=POSE)) if self.by_targets else self.add("/servo_node/delta_twist_cmds", twist)
        return action

    def episode(self, ticks: int, began: int, late: int = 0, delay: int = 0) -> dict[str, np.ndarray]:
        """Send an episode at 20 Hz whose actions are stamped some time after the pictures."""
        rows = []
        for stamp in range(began, began + ticks * PERIOD, PERIOD):
            seen = self.see(stamp, late)
            rows.append({**seen, "actions": self.command(stamp + delay)})
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    def tell(self, place: int, stamp: int, instruction: str) -> None:
        topics = ("/agentview/image_raw", "/eye_in_hand/image_raw", "/joint_states")
        trace = Trace(place, dict.fromkeys(topics, stamp), instruction, 1, (0.0,) * 7)
        self.add("/policy/tick", String(data=trace.to_json()))


@pytest.fixture
def tape(tmp_path: Path) -> Tape:
    return Tape(tmp_path / "tape.mcap")


def converted(tape: Tape, *options: str) -> list[Demonstration]:
    """Convert as the command does."""
    tape.bag.close()
    to = tape.path.with_name("demo.hdf5")
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert run(parser.parse_args([str(tape.path), "--to", str(to), "--instruction", TEXT, *options])) == 0
    assert read_task(to).language == TEXT
    return list(read_demonstrations(to))


def is_the_same(found: Demonstration, expected: dict[str, np.ndarray]) -> None:
    for name in ("agentview", "eye_in_hand", "joints", "gripper"):
        np.testing.assert_array_equal(getattr(found, name), expected[name])
    np.testing.assert_allclose(found.actions, expected["actions"], atol=1e-12)


@pytest.mark.parametrize(("late", "delay"), [(0, 0), (7_000_000, 20_000_000)], ids=["stamped with the picture", "by hand"])
def test_kept_episodes_come_back_tick_by_tick(tape: Tape, late: int, delay: int) -> None:
    expected = []
    for number, word in enumerate(["keep", "discard", "keep"]):
        tape.episode(3, BEGAN + number * messages.SECOND)  # nobody has marked this: the arm is being brought back
        tape.mark("begin")
        made = tape.episode(6 + number, BEGAN + number * messages.SECOND + 3 * PERIOD, late, delay)
        tape.mark(word)
        expected += [made] if word == "keep" else []
    found = converted(tape)
    assert [len(each) for each in found] == [6, 8]
    for each, wanted in zip(found, expected, strict=True):
        is_the_same(each, wanted)


def test_a_tick_without_a_command_is_one_that_stays(tape: Tape) -> None:
    tape.mark("begin")
    first = tape.episode(3, BEGAN)
    tape.see(BEGAN + 3 * PERIOD)
    tape.mark("keep")
    (found,) = converted(tape)
    np.testing.assert_allclose(found.actions[3], [0, 0, 0, 0, 0, 0, first["actions"][2][6]])


def test_an_observation_that_a_mark_cuts_in_two_is_no_part_of_the_episode(tmp_path: Path) -> None:
    tape = Tape(tmp_path / "tape.mcap", max_input_skew=0.02)
    tape.see(BEGAN, mark="begin")
    whole = [tape.see(BEGAN + number * PERIOD) for number in range(1, 6)]
    tape.see(BEGAN + 6 * PERIOD, mark="keep")
    tape.see(BEGAN + 20 * PERIOD, mark="begin")
    more = [tape.see(BEGAN + number * PERIOD) for number in range(21, 26)]
    tape.mark("keep")
    found = converted(tape)
    for each, seen in zip(found, (whole, more), strict=True):
        np.testing.assert_array_equal(each.joints, [tick["joints"] for tick in seen])


def test_a_faster_camera_is_thinned_out_to_the_policys_rate(tape: Tape) -> None:
    tape.mark("begin")
    seen = [tape.see(BEGAN + number * PERIOD // 3) for number in range(13)]
    tape.mark("keep")
    (found,) = converted(tape)
    np.testing.assert_array_equal(found.joints, [each["joints"] for each in seen[::3]])


def test_a_policys_own_episodes_are_split_by_reset_and_instruction(tape: Tape) -> None:
    expected = []
    for number, instruction in enumerate([TEXT, "push the plate", TEXT]):
        began = BEGAN + number * messages.SECOND
        expected.append(tape.episode(4, began))
        for place in range(4):
            tape.tell(place + 1, began + place * PERIOD, instruction)
    found = converted(tape)
    assert len(found) == 2
    is_the_same(found[0], expected[0])
    is_the_same(found[1], expected[2])


def test_episodes_are_chosen_by_number(tape: Tape) -> None:
    for number in range(3):
        tape.mark("begin")
        last = tape.episode(4, BEGAN + number * messages.SECOND)
        tape.mark("keep")
    (found,) = converted(tape, "--episodes", "2")
    is_the_same(found, last)
    assert parse_numbers("1:3") == {1, 2}
    with pytest.raises(DmpelError, match="names no episodes"):
        parse_numbers("all")


def broken_tapes() -> Iterator[tuple[str, Any]]:
    yield "neither marks .* nor ticks", lambda tape: tape.episode(4, BEGAN)
    yield (
        "those under: push the plate",
        lambda tape: [(tape.see(BEGAN + k), tape.tell(k + 1, BEGAN + k, "push the plate")) for k in range(3)],
    )
    yield (
        "had nothing near 0.20 s",
        lambda tape: [tape.mark("begin"), tape.episode(4, BEGAN), tape.episode(4, BEGAN + 20 * PERIOD), tape.mark("keep")],
    )
    yield "nothing came on /agentview", lambda tape: [tape.mark("begin"), tape.mark("keep")]
    yield "1 of 2 observations", lambda tape: [tape.see(BEGAN), tape.tell(1, BEGAN, TEXT), tape.tell(2, BEGAN + PERIOD, TEXT)]


@pytest.mark.parametrize("output", ["twist", "positions"])
@pytest.mark.parametrize(("words", "play"), list(broken_tapes()))
def test_what_is_no_demonstration_is_refused_and_leaves_no_file(tmp_path: Path, words: str, play: Any, output: str) -> None:
    tape = Tape(tmp_path / "tape.mcap", output=output, **({} if output == "twist" else {"command_topic": "/arm"}))
    play(tape)
    tape.bag.close()
    to = tape.path.with_name("demo.hdf5")
    with pytest.raises(DmpelError, match=words):
        convert([tape.path], to, TEXT)
    assert not to.exists()


def test_a_file_that_exists_is_not_written_over(tape: Tape) -> None:
    to = tape.path.with_name("demo.hdf5")
    to.write_text("precious")
    with pytest.raises(DmpelError, match="nothing is written over"):
        convert([tape.path], to, TEXT)
    assert to.read_text() == "precious"


PANDA = Chain.from_parameters(PANDA_DH, [0.0, 0.0, 0.2035], 7)
STEPS = {"linear_scale": 0.0127, "angular_scale": 0.099}
"""What config/forward_position.yaml and joint_trajectory.yaml make of a full deflection."""


class Follower:
    """An arm that is where it was sent; a person sends it on by actions, through the policy's own outputs."""

    def __init__(self, tape: Tape, output: str) -> None:
        self.tape, self.joints, self.actions = tape, POSE.copy(), []
        ranges = Ranges(np.full(7, -9.0), np.full(7, 9.0), 0.1)
        settings = OutputSettings(output, "", 0.1, list(JOINTS[:7]), Scales(*STEPS.values()), ranges, PANDA)
        self.output = make_output(settings, lambda message: tape.add("/arm", message))

    def tick(self, stamp: int, action: np.ndarray | None) -> None:
        """Show where the arm is, and command it on."""
        pictures = np.zeros((2, SIZE, SIZE, 3), np.uint8)
        for topic, picture in zip(("/agentview/image_raw", "/eye_in_hand/image_raw"), pictures, strict=True):
            self.tape.add(topic, messages.to_image(picture, stamp, "camera"))
        self.tape.add("/joint_states", messages.to_joint_state(JOINTS, np.append(self.joints, [0.04, 0.04]), stamp))
        self.actions.append(np.append(np.zeros(6), -1.0) if action is None else action)
        if action is not None:
            observation = Observation(*pictures, self.joints, np.zeros(2))
            self.tape.add("/gripper_controller/commands", Float64MultiArray(data=[0.04 if action[6] < 0 else 0.0]))
            self.output.act(Acted(Tick(action, np.zeros((6, 0)), 1), observation, stamp, 0.0, 0.0, 0.0))
            self.joints = self.output._target.copy()


@pytest.mark.parametrize("output", ["positions", "trajectory"])
@pytest.mark.parametrize("marked", [True, False], ids=["marked", "by the policy"])
def test_joint_targets_come_back_as_the_actions_that_they_carried_out(tmp_path: Path, output: str, marked: bool) -> None:
    tape = Tape(tmp_path / "tape.mcap", output=output, command_topic="/arm", **STEPS)
    follower, random = Follower(tape, output), np.random.default_rng(1)
    wanted = [np.append(random.uniform(-0.9, 0.9, 6), grip) for grip in (-1.0, -1.0, 1.0, 1.0, 1.0)]
    tape.mark("begin") if marked else None
    for number, action in enumerate([None, *wanted]):
        follower.tick(BEGAN + number * PERIOD, action)
        None if marked else tape.tell(number + 1, BEGAN + number * PERIOD, TEXT)
    tape.mark("keep") if marked else None
    (found,) = converted(tape)
    np.testing.assert_array_equal(found.actions[:, 6], [action[6] for action in follower.actions])
    np.testing.assert_array_equal(found.actions[0, :6], 0.0)
    np.testing.assert_allclose(found.actions[:, :6], [action[:6] for action in follower.actions], atol=0.1)
    # The tool goes where the actions say, to the damping of the inverse kinematics.
    gone, said = found.ee_pos[-1] - found.ee_pos[0], STEPS["linear_scale"] * found.actions[:-1, :3].sum(axis=0)
    np.testing.assert_allclose(gone, said, atol=1e-12)


def test_targets_for_other_joints_are_refused(tmp_path: Path) -> None:
    tape = Tape(tmp_path / "tape.mcap", output="trajectory", command_topic="/arm", **STEPS)
    tape.see(BEGAN)
    tape.add("/arm", JointTrajectory(joint_names=["elbow"], points=[JointTrajectoryPoint(positions=[0.1])]))
    tape.bag.close()
    with pytest.raises(DmpelError, match="a command is for the joints elbow, 'arm_joints' has panda_joint1"):
        convert([tape.path], tmp_path / "demo.hdf5", TEXT)


@pytest.mark.parametrize("angle", [0.0, 0.3, 3.0, np.pi])
def test_an_orientation_is_its_axis_times_its_angle(angle: float) -> None:
    axis = np.array([2.0, -1.0, 2.0]) / 3.0
    cross = np.cross(np.eye(3), axis)
    rotation = np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross  # Rodrigues
    found = axis_angle(rotation)
    assert min(np.abs(found - axis * angle).max(), np.abs(found + axis * angle).max() if angle == np.pi else 1.0) < 1e-6


def test_the_pose_is_where_the_chain_says() -> None:
    chain = Chain.from_parameters(PANDA_DH, [0.0, 0.0, 0.2035], 7)
    position, orientation = pose(chain, POSE)
    np.testing.assert_allclose(position, chain.position(POSE))
    assert np.linalg.norm(orientation) == pytest.approx(np.pi, abs=0.6)  # the hand looks down
