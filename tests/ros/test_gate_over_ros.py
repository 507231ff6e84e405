"""The admission gate over ROS 2: what a policy process answers when it is asked to load a generation that was taught wrongly."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rclpy.parameter import Parameter

from dmpel_core.experts.library import create_library, select_generation
from tests.core.conftest import TINY
from tests.ros.bench import Bench, on_bench
from tests.ros.fake_robot import FakeRobot
from tests.ros.fakes import SIZE
from tests.ros.small_library import MODULE, OBSERVATION
from tests.skills.small import grow, memory, router_for, spoil

pytestmark = pytest.mark.fault

GOOD, SPOILT = 3, 4


def make_library(path: Path) -> None:
    """Write three generations that each keep the tasks before, and a fourth whose router learned wrong labels."""
    cameras = {name: [SIZE, SIZE, 3] for name in ("agentview", "eye_in_hand")}
    library = create_library(
        path, backbone={"weight": np.zeros((4, 4), np.float32)}, policy=TINY.to_json(), modules=[MODULE], text_encoder={},
        observation=OBSERVATION | {"cameras": cameras},
    )  # fmt: skip
    for task in range(GOOD):
        library = grow(library, router_for([memory(old, task + 1) for old in range(task + 1)], task + 1), f"task {task}")
    spoil(library)
    select_generation(path, 2)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A robot whose arm moves by generation 2."""
    folder = tmp_path_factory.mktemp("gate")
    make_library(folder / "taught")
    with on_bench(folder, folder / "taught", generation=2) as made:
        made.robot.instruct("move")
        yield made


def load(robot: FakeRobot, generation: int) -> tuple[bool, str]:
    robot.answer(robot.parameters.set_parameters([Parameter("generation", value=generation)]))
    answer = robot.call("load")
    return answer.success, answer.message


def test_a_generation_taught_with_wrong_labels_is_refused_with_the_table_while_the_arm_moves(bench: Bench) -> None:
    bench.robot.moves()
    success, message = load(bench.robot, SPOILT)
    assert not success
    assert "'task 0', 'task 1'" in message
    assert message.count("too much: coefficient, switched") >= 2
    assert message.endswith("generation 2 stays in use")
    bench.robot.moves()


def test_a_router_damaged_on_disk_is_refused_and_taken_when_it_is_whole_again(bench: Bench) -> None:
    router = bench.library / "routers" / f"{GOOD:04d}.safetensors"
    whole = router.read_bytes()
    router.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    success, message = load(bench.robot, GOOD)
    assert not success
    assert "damaged" in message
    router.write_bytes(whole)
    assert load(bench.robot, GOOD) == (True, "generation 3 is loaded and takes over at the next tick")
    bench.robot.moves()
