"""`dmpel collect`: the same files whether or not a run was killed."""

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dmpel_core.data.hdf5 import Demonstration, DemonstrationError, list_demonstrations, read_demonstrations, read_task
from dmpel_core.simulation import collect
from dmpel_core.simulation.collect import CollectError, Job, collect_task
from dmpel_core.simulation.episodes import LONGEST, Settings, try_episode
from dmpel_core.simulation.tasks import load_task

NAME = "turn_on_the_stove"
SETTINGS = Settings(reach=0.05, noise=0.1, seed=3, states=(2, 5))
KILLED_IN_THE_SECOND_DEMONSTRATION = """
import os, signal, sys
from pathlib import Path
from dmpel_core.data import demonstration_parts
from dmpel_core.simulation.collect import Job, collect_task
from dmpel_core.simulation.episodes import Settings

write, written = demonstration_parts.write_demonstration, []

def die_in_the_second(group, demonstration):
    write(group, demonstration)
    group.file.flush()
    written.append(1)
    if len(written) == 2:
        os.kill(os.getpid(), signal.SIGKILL)

demonstration_parts.write_demonstration = die_in_the_second
collect_task(Job("libero_goal", 7, 2, Path(sys.argv[1]), Settings(reach=0.05, noise=0.1, seed=3, states=(2, 5))), lambda: None)
"""


def arguments(*options: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    collect.add_arguments(parser)
    return parser.parse_args(options)


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an undisturbed run."""
    folder = tmp_path_factory.mktemp("collected")
    options = ["--suite", "libero_goal", "--tasks", "7", "--demonstrations", "2", "--output", str(folder), "--processes", "1"]
    options += ["--reach", "0.05", "--noise", "0.1", "--seed", "3", "--states", "2:5"]
    assert collect.run(arguments(*options)) == 0
    return folder / "libero_goal"


def same(one: Demonstration, other: Demonstration) -> bool:
    names = ("actions", "executed_actions", "agentview", "eye_in_hand", "joints", "states", "phases", "initial_state")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


def test_files_say_how_they_were_made(collected: Path) -> None:
    path = collected / f"{NAME}_demo.hdf5"
    task = read_task(path)
    assert (task.language, task.suite, task.bddl_file_name) == ("turn on the stove", "libero_goal", f"{NAME}.bddl")
    assert task.problem == "libero_tabletop_manipulation"
    assert "(:goal" in task.bddl_file_content
    demonstrations = list(read_demonstrations(path))
    assert [int(found.attributes["state_index"]) for found in demonstrations] == [2, 3]
    assert demonstrations[0].attributes["reach"] == demonstrations[0].attributes["noise"] == 0
    assert 0 < demonstrations[1].attributes["reach"] <= 0.05
    assert demonstrations[0].agentview is not None
    assert demonstrations[0].agentview.shape[1:] == (128, 128, 3)
    summary = json.loads((collected / "collect.json").read_text())["tasks"][NAME]
    assert summary["demonstrations"] == 2
    assert summary["frames"] == sum(list_demonstrations(path).values())
    assert summary["settings"]["seed"] == 3


def test_first_is_stored_and_clean_second_is_widened_and_disturbed(collected: Path) -> None:
    first, second = read_demonstrations(collected / f"{NAME}_demo.hdf5")
    stored = load_task("libero_goal", 7).initial_states
    np.testing.assert_array_equal(first.initial_state, stored[2])
    np.testing.assert_array_equal(first.actions, first.executed_actions)
    assert second.initial_state is not None
    assert np.abs(second.initial_state - stored[3]).max() > 0.001
    assert not np.array_equal(second.actions, second.executed_actions)


def test_a_killed_run_goes_on_and_gives_the_same_file(collected: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED_IN_THE_SECOND_DEMONSTRATION, str(tmp_path)]
    assert subprocess.run(command, check=False, cwd=Path(__file__).parents[2], timeout=580).returncode == -9
    parts = tmp_path / f"{NAME}_demo.parts"
    assert sorted(path.name for path in parts.iterdir()) == ["episode_00000.hdf5", "episode_00001.unfinished"]
    told: list[int] = []
    summary = collect_task(Job("libero_goal", 7, 2, tmp_path, SETTINGS), lambda: told.append(1))
    assert summary["made_in_this_run"] == 1
    assert len(told) == 2
    assert [path.name for path in tmp_path.iterdir()] == [f"{NAME}_demo.hdf5"]
    pairs = zip(read_demonstrations(collected / f"{NAME}_demo.hdf5"), read_demonstrations(tmp_path / f"{NAME}_demo.hdf5"), strict=True)
    assert all(same(one, other) for one, other in pairs)


def test_what_is_there_is_not_made_again(collected: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect, "Environment", None)
    summary = collect_task(Job("libero_goal", 7, 2, collected, SETTINGS), lambda: None)
    assert summary["made_in_this_run"] == 0
    assert summary["demonstrations"] == 2


def test_other_settings_need_another_folder(collected: Path) -> None:
    with pytest.raises(DemonstrationError, match="use the same settings, or another output folder"):
        collect_task(Job("libero_goal", 7, 2, collected, Settings(seed=4)), lambda: None)


def test_a_task_that_fails_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    tried = []

    def fail(job: Job, _: object) -> dict:
        tried.append(job.index)
        raise CollectError("the expert is lost")

    monkeypatch.setattr(collect, "collect_task", fail)
    options = ["--suite", "libero_goal", "--tasks", "0,7", "--output", str(tmp_path), "--processes", "1"]
    assert collect.run(arguments(*options)) == 1
    assert tried == [0, 7]
    assert "not collected: the expert is lost" in capsys.readouterr().out


def test_overlong_episodes_are_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = []

    def fail(*_: object, longest: int, **__: object) -> None:
        limits.append(longest)
        raise StopIteration

    monkeypatch.setattr("dmpel_core.simulation.episodes.record_episode", fail)
    monkeypatch.setattr("dmpel_core.simulation.episodes._start", lambda *_: (np.zeros(1), 0.0))
    environment = argparse.Namespace(task=load_task("libero_goal", 7))
    for kept in ([], [{"num_samples": 60 + number, "way": 0} for number in range(5)]):
        with pytest.raises(StopIteration):
            try_episode(environment, SETTINGS, 5, kept)
    assert limits == [LONGEST, 99]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--tasks", "0,ten"], "neither `all` nor numbers"),
        (["--tasks", "0,10"], "has tasks 0 to 9, not"),
        (["--states", "35"], "not FIRST:END"),
        (["--states", "9:9"], "FIRST below END"),
    ],
)
def test_options_are_checked(tmp_path: Path, options: list[str], words: str) -> None:
    with pytest.raises(CollectError, match=words):
        collect.run(arguments("--suite", "libero_goal", "--output", str(tmp_path), *options))


def test_a_terminated_run_leaves_no_worker_and_goes_on(tmp_path: Path) -> None:
    """All of a run's processes hold the pipe that the run complains into: it is at its end when none is left."""
    command = [sys.executable, "-m", "dmpel_core.cli", "collect", "--suite", "libero_goal", "--tasks", "7,8", "--demonstrations", "2"]
    command += ["--output", str(tmp_path), "--processes", "2", "--reach", "0.05"]
    place = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as run:
        assert run.stderr is not None
        said = b""
        while not re.search(rb" [1-3]/4 ", said):
            said += (heard := os.read(run.stderr.fileno(), 4096))
            assert heard, said.decode()
        run.terminate()
        _, last = run.communicate(timeout=60)
    assert run.returncode == 143
    assert last.endswith(b"\ndmpel collect: terminated\n")
    assert subprocess.run(command, check=False, cwd=place, timeout=580).returncode == 0
    tasks = json.loads((tmp_path / "libero_goal" / "collect.json").read_text())["tasks"].values()
    assert [task["demonstrations"] for task in tasks] == [2, 2]
    assert 0 < sum(task["made_in_this_run"] for task in tasks) < 4
