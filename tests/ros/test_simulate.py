"""What `dmpel simulate` and `dmpel demo` plan and report; the episodes themselves are made up."""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dmpel_core.errors import DmpelError
from dmpel_ros import demo, report, simulate
from dmpel_ros.evaluator import Frame, Outcome, Trial
from dmpel_ros.locations import config_file, find_library
from dmpel_ros.session import parse_states, ros_arguments
from dmpel_ros.video import HEIGHT, WIDTH, draw

TRIAL = Trial("libero_goal", 8, "put the bowl on the plate", 40)
OUTCOME = Outcome(TRIAL, True, 100, 1, (20.0, 30.0, 60.0), (1.0, 2.0, 3.0), 1, (3,), 0.98)


def options(module: Any, *given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    return parser.parse_args(given)


@pytest.mark.parametrize(("text", "states"), [("40:43", [40, 41, 42]), ("7", [7]), ("0,1,8", [0, 1, 8])])
def test_states_are_written_as_range_or_list(text: str, states: list[int]) -> None:
    assert list(parse_states(text)) == states


def test_conditions_change_what_they_say_and_nothing_else() -> None:
    given = options(
        simulate, "--tasks", "8,1", "--episodes", "2", "--states", "40:42", "--conditions", ",".join(simulate.CONDITIONS), "--seed", "5"
    )
    plans = {(condition, trials[0].task): trials for _, condition, trials in simulate._plans(given)}
    normal = plans["normal", 8]
    assert [trial.state for trial in normal] == [40, 41]
    assert plans["blank", 8] == [replace(trial, blank=True) for trial in normal]
    assert plans["wrong", 8] == [replace(trial, instruction="put the bowl on the stove") for trial in normal]
    assert plans["wrong", 1][0].instruction == "put the bowl on the plate"
    assert plans["wide", 8] == [replace(trial, reach=0.07, seed=5) for trial in normal]
    assert plans["wide_blank", 8] == [replace(trial, reach=0.07, seed=5, blank=True) for trial in normal]


@pytest.mark.parametrize(
    ("given", "fault"), [(("--conditions", "dark"), "valid conditions: normal, blank"), (("--episodes", "11"), "11 episodes need")]
)
def test_what_cannot_be_run_is_refused_before_anything_starts(given: tuple[str, ...], fault: str) -> None:
    with pytest.raises(DmpelError, match=fault):
        list(simulate._plans(options(simulate, *given)))


class MadeUp:
    """In the place of the evaluator: the loaded generation solves its task, the first one does not."""

    def __init__(self) -> None:
        self.generation = 3

    def load(self, generation: int) -> None:
        self.generation = generation

    def run(self, trial: Trial) -> Outcome:
        frame = Frame(np.zeros((128, 128, 3), np.uint8), np.full((6, 3), 0.5), ("a", "b", "c"))
        return replace(OUTCOME, trial=trial, success=trial.task != 7 or self.generation == 4, frames=(frame, frame))


def test_the_demo_shows_three_tasks_and_one_before_and_after_its_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = replace(demo.read_plan(config_file("demo.yaml")), first_tasks=[0, 1, 8], loaded_task=7, loaded_generation=4)
    groups = demo.Show(plan, 2, MadeUp(), tmp_path).groups()
    written = report.summary(groups, 4)
    assert [(task["phase"], task["successes"], task["episodes"]) for task in written["tasks"]] == [
        ("first", 2, 2),
        ("first", 2, 2),
        ("first", 2, 2),
        ("before_load", 0, 2),
        ("after_load", 2, 2),
    ]
    assert written["tasks"][3]["instruction"] == "turn on the stove"
    assert len(list(tmp_path.glob("*.mp4"))) == 5
    assert "[ 10/10]" in capsys.readouterr().out


def test_the_shipped_plan_uses_different_unseen_states() -> None:
    plan = demo.read_plan(config_file("demo.yaml"))
    assert len(plan.first_tasks) >= 3
    assert plan.episodes >= 5
    assert min(parse_states(plan.states)) >= 40


def test_a_plan_with_a_wrong_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("librari: x\n")
    with pytest.raises(DmpelError, match="does not hold the keys library, suite"):
        demo.read_plan(path)


def test_the_summary_holds_what_was_agreed(tmp_path: Path) -> None:
    groups = [report.Group(TRIAL.instruction, "first", (OUTCOME, replace(OUTCOME, success=False)))]
    report.write(tmp_path / "runs" / "summary.json", report.summary(groups, 4))
    written = json.loads((tmp_path / "runs" / "summary.json").read_text())
    task = written["tasks"][0]
    assert {key: task[key] for key in ("instruction", "phase", "episodes", "successes")} == {
        "instruction": "put the bowl on the plate", "phase": "first", "episodes": 2, "successes": 1,
    }  # fmt: skip
    assert task["interval"] == pytest.approx([0.0945, 0.9055], abs=1e-4)
    assert written["tick_ms"] == {"p50": 30.0, "p95": 60.0, "max": 60.0}
    assert (written["overruns"], written["missed_actions"], written["library_generation"]) == (2, 2, 4)
    assert "numpy" in written["versions"]


def test_the_table_lines_up() -> None:
    lines = report.table(
        [report.Group("put the bowl on the plate", "first", (OUTCOME,)), report.Group("go", "before_load", (OUTCOME,))]
    ).splitlines()
    assert [line.index("1/1") for line in lines[1:]] == [lines[0].index("success")] * 2


def test_a_frame_shows_picture_and_bars() -> None:
    frame = Frame(np.full((128, 128, 3), 200, np.uint8), np.full((6, 2), 1.0), ("a", "b"))
    pixels = draw(frame, "put the bowl on the plate", "success", good=True)
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    assert (pixels[100, 100] == 200).all()
    empty = draw(replace(frame, coefficients=np.zeros((6, 2))), "put the bowl on the plate", "success", good=True)
    assert np.abs(pixels.astype(int) - empty).sum() > 0


def test_nodes_get_their_file_and_single_parameters_above_it() -> None:
    assert ros_arguments("policy.yaml", generation=3) == [
        "--ros-args",
        "--params-file",
        str(config_file("policy.yaml")),
        "-p",
        "generation:=3",
    ]


@pytest.mark.parametrize(("name", "fault"), [("", "no library is named"), ("models/nowhere", "no library 'models/nowhere'")])
def test_a_library_that_is_not_there_is_named(name: str, fault: str) -> None:
    with pytest.raises(DmpelError, match=fault):
        find_library(name)
