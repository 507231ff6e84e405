"""The whole over ROS 2: a LIBERO task and a library's policy as two processes, and how they end."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import imageio_ffmpeg
import pytest

from dmpel_core.policy.sizes import PolicySizes
from dmpel_ros.evaluator import Trial
from dmpel_ros.processes import ProcessError, Processes
from dmpel_ros.session import Setup, session
from dmpel_ros.video import FRAMES_PER_SECOND, HEIGHT, LINGER, WIDTH, Film
from tests.ros.random_library import make_random_library

HORIZON = 15
SLEEPER = "import signal, sys; signal.signal(signal.SIGINT, lambda *_: sys.exit(0)); print('up', flush=True); signal.pause()"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library")
    make_random_library(folder, PolicySizes(temporal_blocks=1), ("open the drawer", "turn on the stove"))
    return folder


def test_an_episode_over_ros_2_and_a_load_while_the_node_runs(library: Path, tmp_path: Path) -> None:
    trial = Trial("libero_goal", 8, "put the bowl on the plate", 40, horizon=HORIZON)
    with session(Setup(str(library), 1, tmp_path, real_time_factor=0.0, record=True)) as evaluator:
        before = evaluator.run(trial)
        evaluator.load(2)
        after = evaluator.run(trial)
    assert before.ticks == after.ticks == HORIZON
    assert (before.generations, after.generations) == ((1,), (2,))
    assert len(before.compute_ms) >= HORIZON - before.missed
    assert before.frames[0].picture.shape == (128, 128, 3)
    assert after.frames[0].experts == ("open the drawer", "turn on the stove")
    _check_film(tmp_path / "film.mp4", before)


def _check_film(path: Path, outcome: object) -> None:
    with closing(Film(path)) as film:
        film.add(outcome)
    reader = imageio_ffmpeg.read_frames(str(path))
    properties = next(reader)
    assert (properties["size"], properties["codec"], properties["fps"]) == ((WIDTH, HEIGHT), "h264", FRAMES_PER_SECOND)
    assert sum(1 for _ in reader) == len(outcome.frames) - 1 + LINGER


def test_a_node_that_ends_by_itself_is_reported_with_its_log(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with (
        pytest.raises(ProcessError, match=r"'policy' ended with status 2; the end of .*policy\.log:\n(.*\n)*policy_node: .*empty"),
        session(Setup(str(tmp_path / "empty"), -1, tmp_path)),
    ):
        pass


@pytest.fixture
def sleepers(tmp_path: Path) -> Iterator[Processes]:
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    processes = Processes(tmp_path, {**os.environ, "PYTHONPATH": str(tmp_path)})
    yield processes
    processes.stop()


def test_processes_leave_when_interrupted(sleepers: Processes) -> None:
    sleepers.start("one", "sleeper")
    _wait_for_line(sleepers.log("one"))
    sleepers.check()
    assert sleepers.stop() == {"one": 0}


def _wait_for_line(path: Path) -> None:
    subprocess.run(["sh", "-c", f"tail -n +1 -F '{path}' 2>/dev/null | head -n 1"], check=True, capture_output=True, timeout=20)


def test_no_process_outlives_a_parent_that_was_killed(tmp_path: Path) -> None:
    (tmp_path / "sleeper.py").write_text(
        SLEEPER.replace("SIGINT", "SIGTERM").replace("sys.exit(0)", "(print('left', file=open('left', 'w'), flush=True), sys.exit(0))")
    )
    parent = """
import os, signal, sys
from pathlib import Path
from dmpel_ros.processes import Processes
processes = Processes(Path('.'), dict(os.environ))
processes.start('one', 'sleeper')
print('started', flush=True)
signal.pause()
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])}
    with subprocess.Popen([sys.executable, "-c", parent], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "started\n"
        _wait_for_line(tmp_path / "one.log")
        os.kill(running.pid, signal.SIGKILL)
    _wait_for_line(tmp_path / "left")
