"""`dmpel evaluate` in a world that only writes down what the policy does."""

import argparse
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import numpy as np
import pytest

from dmpel_core import inference
from dmpel_core.errors import DmpelError
from dmpel_core.evaluation import evaluate as command
from dmpel_core.evaluation import rollout
from dmpel_core.experts.library import Library, open_library
from dmpel_core.inference.engine import Engine, Tick
from dmpel_core.inference.options import Savings
from dmpel_core.observation import Observation
from dmpel_core.simulation import environment
from dmpel_core.skills.alarm import TICKS as TICKS_TO_ALARM
from dmpel_core.skills.alarm import Reading
from dmpel_core.skills.insight import Insight
from tests.core.engines import TINY_CLIP, make_exported
from tests.ros.small_library import make_small_library

TASK = SimpleNamespace(instruction="open the drawer", initial_states=np.arange(5.0))
TICKS = 4


class Notebook:
    """An environment in which nothing moves and nothing succeeds; `actions` is what every episode so far did."""

    actions: list[np.ndarray]

    def __init__(self, task: SimpleNamespace) -> None:
        self.task = task

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def reset(self, state: float) -> None:
        self.state = state

    def observe(self, *, blind: bool = False) -> Observation:
        pictures = np.random.default_rng(int(self.state)).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8) * (not blind)
        return Observation(*pictures, np.full(7, 0.1), np.full(2, 0.02))

    def step(self, action: np.ndarray) -> None:
        self.actions.append(action)

    def success(self) -> bool:
        return False

    def close(self) -> None:
        pass


class Here:
    """Runs the jobs of a process pool in this process."""

    def __init__(self, *given: object, **named: object) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def map(self, function: Callable, jobs: Iterable) -> Iterator:
        return map(function, jobs)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> type[Notebook]:
    monkeypatch.setattr(command, "crew", Here)
    monkeypatch.setattr(rollout, "settle", lambda environment: 0)
    monkeypatch.setattr(environment, "Environment", Notebook)
    monkeypatch.setattr(rollout, "load_task", lambda suite, index: TASK)
    return Notebook


def play(library: Library, notebook: type[Notebook], *options: str) -> np.ndarray:
    """Return the actions of two episodes of `dmpel evaluate`, (2 * TICKS, 7)."""
    notebook.actions = []
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    always = ["--tasks", "0", "--states", "1,3", "--horizon", str(TICKS), "--processes", "1"]
    assert command.run(parser.parse_args([str(library.path), *always, *options])) == 0
    return np.stack(notebook.actions)


def test_the_seed_alone_decides_which_actions_are_drawn(library: Library, notebook: type[Notebook], tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    drawn = play(library, notebook, "--actions", "sample", "--seed", "3", "--output", str(report))
    assert drawn.shape == (2 * TICKS, 7)
    np.testing.assert_array_equal(drawn, play(library, notebook, "--actions", "sample", "--seed", "3"))
    assert np.abs(drawn - play(library, notebook, "--actions", "sample", "--seed", "4")).max() > 1e-3
    assert '"successes": 0' in report.read_text()


def test_the_heaviest_gaussian_is_the_default_and_needs_no_seed(library: Library, notebook: type[Notebook]) -> None:
    plain = play(library, notebook, "--seed", "3")
    np.testing.assert_array_equal(plain, play(library, notebook, "--actions", "mode", "--seed", "4"))
    assert np.abs(plain - play(library, notebook, "--actions", "sample", "--seed", "3")).max() > 1e-3


def test_what_an_engine_may_leave_out_is_an_option_and_stands_in_the_file(
    notebook: type[Notebook], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, report, asked = make_exported(tmp_path / "library", TINY_CLIP, 2), tmp_path / "report.json", []
    load = inference.load_engine

    def noted(*given: Any, savings: Savings, **named: Any) -> Engine:
        asked.append(savings)
        return load(*given, savings=savings, **named)

    monkeypatch.setattr(inference, "load_engine", noted)
    play(library, notebook, "--route-every", "7", "--tolerance", "0.1", "--output", str(report))
    assert asked == [Savings(route_every=7, tolerance=0.1)]
    assert json.loads(report.read_text())["settings"]["savings"] == {"route_every": 7, "tolerance": 0.1}
    with pytest.raises(DmpelError, match=r"'savings': \(\{'route_every': 7, 'tolerance': 0.1\}, None\)"):
        play(library, notebook, "--output", str(report))


def test_an_evaluation_goes_on_with_what_its_file_lacks(library: Library, notebook: type[Notebook], tmp_path: Path) -> None:
    report = tmp_path / "new" / "report.json"
    play(library, notebook, "--output", str(report))
    assert len(play(library, notebook, "--output", str(report), "--conditions", "normal,blank")) == 2 * TICKS, "only what is missing"
    rows = json.loads(report.read_text())["tasks"]
    assert [(row["task"], row["condition"]) for row in rows] == [(0, "normal"), (0, "blank")]
    assert rows == list(command.known_rows(report, json.loads(report.read_text())["settings"]))
    with pytest.raises(DmpelError, match=r"other episodes, \{'seed': \(0, 5\)\} \(stored, asked\): remove it or name another"):
        play(library, notebook, "--output", str(report), "--seed", "5")
    report.write_text('{"tasks": []}')
    with pytest.raises(DmpelError, match="not what this version of `dmpel evaluate` writes"):
        play(library, notebook, "--output", str(report))


def test_what_acts_is_told_by_the_files_of_a_generation(tmp_path: Path) -> None:
    library, other = (make_small_library(tmp_path / str(seed), experts=2, seed=seed) for seed in (0, 1))
    assert open_library(library.path).manifest.what_acts() == open_library(library.path, 2).manifest.what_acts()
    assert (
        len({open_library(path, number).manifest.what_acts() for path, number in ((library.path, 1), (library.path, 2), (other.path, 2))})
        == 3
    )


@pytest.mark.parametrize(
    ("strange", "alarms", "worst"),
    [(TICKS_TO_ALARM - 1, 0, 0.5), (TICKS_TO_ALARM, 1, 2.0), (None, None, None)],
    ids=["short", "long", "silent"],
)
def test_an_episode_tells_how_strange_it_was(
    notebook: type[Notebook], strange: int | None, alarms: int | None, worst: float | None
) -> None:
    class Teller:
        """Finds the first ticks strange, the others familiar; or tells nothing."""

        ticks = 0

        def reset(self) -> None:
            pass

        def set_instruction(self, _: str) -> None:
            pass

        def tick(self, _: Observation) -> Tick:
            self.ticks += 1
            reading = None if strange is None else Reading("any", 0.0, 2.0 if self.ticks <= strange else 0.5)
            return Tick(np.zeros(7), np.zeros((6, 1)), 1, Insight(reading, None))

    notebook.actions = []
    horizon = 2 * TICKS_TO_ALARM
    episode = rollout.run_episode(notebook(TASK), Teller(), "go", 1, rollout.Condition("normal"), horizon, 0)
    assert episode == rollout.Episode(1, False, horizon, alarms, worst)


def test_totals_say_in_how_many_episodes_the_alarm_was_raised() -> None:
    def row(*alarms: int | None) -> dict[str, Any]:
        outcomes = [{"ticks": 36_000, "alarms": count} for count in alarms]
        return {"condition": "normal", "successes": 1, "episodes": len(alarms), "outcomes": outcomes}

    (total,) = command.totals([row(0, 3), row(1)])
    assert (total["alarmed"], total["hours"], total["successes"], total["episodes"]) == (2, 1.5, 2, 3)
    assert command.totals([row(0, None)])[0]["alarmed"] is None


def test_conditions_say_what_is_played_and_what_is_told() -> None:
    def stage(name: str) -> tuple[str, str]:
        task, told = rollout.staged("libero_goal", 8, 7, rollout.Condition.parse(name, 0.07))
        return task.suite, told

    assert stage("normal") == stage("wide_blank") == ("libero_goal", "put the bowl on the plate")
    assert stage("wrong") == ("libero_goal", "turn on the stove")
    assert stage("object") == ("libero_goal_object", "put the bowl on the plate")
    assert stage("swap_blank") == ("libero_goal_swap", "put the bowl on the plate")
    assert stage("paraphrase") == ("libero_goal_lan", "place the bowl on top of the plate")
    assert stage("task") == ("libero_goal_task", "put the wine bottle on the plate")
    assert rollout.Condition.parse("swap_blank", 0.07).blank
    with pytest.raises(DmpelError, match="unknown condition 'swop'"):
        stage("swop")
