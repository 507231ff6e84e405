"""What plays: the same experts as `dmpel learn` makes, the same actions as the engine of a library."""

import argparse
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dmpel_core.admission.prune import prune
from dmpel_core.errors import DmpelError
from dmpel_core.evaluation import rollout
from dmpel_core.evaluation.rollout import Condition
from dmpel_core.experts.library import Library, generations, read_library
from dmpel_core.inference.torch_engine import TorchEngine
from dmpel_core.lifelong import command, rollouts
from dmpel_core.lifelong.batch import act, gather
from dmpel_core.lifelong.player import StudentEngine
from dmpel_core.lifelong.scoring import Score, ScoreBook, Trial
from dmpel_core.lifelong.student import load_student, save_student
from dmpel_core.lifelong.tasks import TaskData
from dmpel_core.observation import Observation
from dmpel_core.policy.policy import Policy
from dmpel_core.simulation import environment
from dmpel_core.simulation import tasks as simulation_tasks
from dmpel_core.training import skill_routing
from dmpel_core.training.learn import learn
from dmpel_core.training.run import Run
from tests.core.test_evaluate import TASK, Notebook
from tests.lifelong.conftest import OPTIONS, begun, coins
from tests.lifelong.test_laws import teach, teach_next


def seen(number: int) -> Observation:
    rng = np.random.default_rng(number)
    return Observation(*rng.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8), rng.normal(size=7), rng.uniform(0, 0.04, 2))


@pytest.mark.parametrize("names", ["none", "annotated", "shuffled"])
def test_a_run_learns_what_dmpel_learn_does_and_plays_as_its_library(
    names: str, library: Library, files: list, backbone: Policy, tasks: list[TaskData], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(skill_routing, "STEPS", 3)
    algorithm, states = begun("dmpel", backbone, learning_rate=0.05, skills=names), []
    for number in range(2):
        teach_next(algorithm, number, tasks, tmp_path)
        states.append(algorithm.tensors())
    algorithm.finish(tmp_path, library, tasks[:2], states)
    mine = read_library(tmp_path / "library")
    theirs = read_library(shutil.copytree(library.path, tmp_path / "theirs"))
    for number in range(2):
        run = Run(tmp_path / f"learn-{number}", "learn")
        theirs = learn(theirs, files[number], algorithm.settings, run, OPTIONS.replay_ratio, OPTIONS.replay_epochs)
    assert [expert.name for expert in mine.experts] == [expert.name for expert in theirs.experts]
    assert generations(mine.path) == generations(theirs.path) == (0, 1, 2)
    pairs = [(mine.factors(0), theirs.factors(0)), (mine.factors(1), theirs.factors(1))]
    pairs += [(read_library(mine.path, number).router(), read_library(theirs.path, number).router()) for number in (1, 2)]
    for first, second in pairs:
        assert all(np.array_equal(first[name], second[name]) for name in second)
    student, engine = StudentEngine(algorithm.student(1)), TorchEngine(mine.path)
    for one in (student, engine):
        one.set_instruction("turn on the stove")
        one.reset()
    for number in range(12):
        ours, reference = student.tick(seen(number)), engine.tick(seen(number))
        assert np.array_equal(ours.action, reference.action), number
        assert np.array_equal(ours.coefficients, reference.coefficients)
    before = (tmp_path / "library" / "manifest.json").read_bytes()
    algorithm.finish(tmp_path, library, tasks[:2], states)
    assert (tmp_path / "library" / "manifest.json").read_bytes() == before, "finishing twice adds nothing"


def test_a_run_that_prunes_learns_on_as_a_pruned_library_does(
    library: Library, files: list[list[Path]], backbone: Policy, tasks: list[TaskData], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(skill_routing, "STEPS", 3)
    options = replace(OPTIONS, prune_below=0.99)
    algorithm, states = begun("dmpel", backbone, options, learning_rate=0.05, skills="annotated"), []
    for number in range(3):
        teach_next(algorithm, number, tasks, tmp_path / "taught")
        states.append(algorithm.tensors())
        if number:
            assert algorithm.under_used() == [0], "the newest stays, however little it is used"
            algorithm.drop([0])
    assert algorithm.slot_tasks() == [2]
    begun("dmpel", backbone, options).finish(tmp_path, library, tasks, states)
    mine, theirs = read_library(tmp_path / "library"), read_library(shutil.copytree(library.path, tmp_path / "theirs"))
    for number in range(3):
        run = Run(tmp_path / f"learn-{number}", "learn")
        theirs = learn(theirs, files[number], algorithm.settings, run, OPTIONS.replay_ratio, OPTIONS.replay_epochs)
        theirs = prune(theirs, [1]) if number else theirs
    assert generations(mine.path) == generations(theirs.path) == (0, 1, 2, 3, 4, 5)
    assert [expert.name for expert in mine.experts] == [expert.name for expert in theirs.experts]
    pairs = [(mine.factors(0), theirs.factors(0))]
    for number in range(1, 6):
        ours, reference = read_library(mine.path, number), read_library(theirs.path, number)
        pairs += [(ours.router(), reference.router()), (ours.replay(0), reference.replay(0))]
    assert all(np.array_equal(first[name], second[name]) for first, second in pairs for name in second)


@pytest.mark.parametrize("name", ["frozen", "iscil", "lotus"])
def test_a_student_plays_tick_by_tick_what_it_was_trained_to_do_on_sequences(
    name: str, backbone: Policy, tasks: list[TaskData], tmp_path: Path
) -> None:
    """The last tick of a window is the same either way, for these choose by what the whole window shows."""
    algorithm = teach(begun(name, backbone, learning_rate=0.05), 2, tasks, tmp_path)
    student, data = algorithm.student(1), tasks[1]
    part = data.timeline.sequences(np.array([0]), 5, backbone.sizes.chunk)
    batch = gather([data], [part], [np.zeros(1, int)], backbone, looks=False, device=torch.device("cpu"))
    coefficients = student.coefficients(backbone.sequence_query(batch.features), 1)
    policy = student.policies[int(student.owner(coefficients))]
    with torch.inference_mode():
        whole, _ = act(policy, batch, student.mixture(coefficients))
        mixture, text = student.mixture(coefficients), policy.text.encode(data.words, student.mixture(coefficients))
        apart = [policy.tokens(type(batch.frames)(*(value[:, tick : tick + 1] for value in vars(batch.frames).values())), text, mixture)
                 for tick in range(5)]  # fmt: skip
        stepped = policy.act(torch.cat(apart, 1), mixture)
    torch.testing.assert_close(stepped.mean[:, -1], whole.mean[:, -1])


@pytest.mark.parametrize("name", ["sequential", "tail"])
def test_the_instruction_is_read_once_where_the_same_weights_go_on_acting(
    name: str, backbone: Policy, tasks: list[TaskData], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = StudentEngine(teach(begun(name, backbone), 1, tasks, tmp_path).student(0))
    read, encode = [], type(backbone.text).encode

    def counted(*given: object) -> torch.Tensor:
        read.append(given)
        return encode(*given)

    monkeypatch.setattr(type(backbone.text), "encode", counted)
    engine.set_instruction("open the drawer")
    before = len(read)
    told = [engine.tick(seen(number)).action for number in range(3)]
    assert len(read) == before + 1
    engine.set_instruction("turn on the stove")
    engine.reset()
    other = [engine.tick(seen(number)).action for number in range(3)]
    assert not np.array_equal(told, other)
    engine.set_instruction("open the drawer")
    engine.reset()
    np.testing.assert_array_equal([engine.tick(seen(number)).action for number in range(3)], told)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> type[Notebook]:
    monkeypatch.setattr(rollout, "settle", lambda environment: 0)
    monkeypatch.setattr(environment, "Environment", Notebook)
    monkeypatch.setattr(rollout, "load_task", lambda suite, index: SimpleNamespace(**vars(TASK), suite=suite, index=index))
    monkeypatch.setattr(rollouts, "KEPT", rollouts.KeptEnvironment())
    Notebook.actions = []
    return Notebook


def test_a_trial_is_played_from_its_file(
    library: Library, backbone: Policy, tasks: list[TaskData], tmp_path: Path, notebook: type[Notebook]
) -> None:
    algorithm = teach(begun("dmpel", backbone), 1, tasks, tmp_path)
    path = save_student(algorithm.student(0), tmp_path / "students")
    trial = Trial(path, library.path, "libero_goal", 4, 4, Condition("normal"), (1, 3), 3, 0)
    score = rollouts.play(trial)
    assert score.successes == (False, False)
    assert score.ticks == (3, 3)
    assert score.routing is not None
    assert score.routing["share"] == [[1.0]] * 6
    assert score.routing["first"] == [[0] * 6] * 2
    assert score.routing["switches"] == [0] * 6
    assert score.routing["jerk_ticks"] == [0, 2], "the third ticks of both episodes"
    alone = StudentEngine(load_student(path, backbone))
    alone.set_instruction(TASK.instruction)
    alone.reset()
    pictures = np.random.default_rng(1).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    first = alone.tick(Observation(*pictures, np.full(7, 0.1), np.full(2, 0.02))).action
    np.testing.assert_array_equal(notebook.actions[0], first)


def test_an_environment_stays_for_the_next_trial_on_the_same_task(
    library: Library, backbone: Policy, tasks: list[TaskData], tmp_path: Path, notebook: type[Notebook], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, int]] = []
    monkeypatch.setattr(notebook, "__init__", lambda self, task: (setattr(self, "task", task), told.append(("built", task.index)))[0])
    monkeypatch.setattr(notebook, "close", lambda self: told.append(("closed", self.task.index)))
    algorithm = teach(begun("dmpel", backbone), 1, tasks, tmp_path)
    path = save_student(algorithm.student(0), tmp_path / "students")
    first = Trial(path, library.path, "libero_goal", 4, 4, Condition("normal"), (1, 3), 3, 0)
    scores = [rollouts.play(replace(first, task=task)) for task in (4, 4, 7, 4)]
    assert told == [("built", 4), ("closed", 4), ("built", 7), ("closed", 7), ("built", 4)]
    assert scores[0].routing == scores[1].routing == scores[3].routing


def test_a_score_is_played_once(tmp_path: Path) -> None:
    played: list[Trial] = []

    def scorer(trials: list[Trial]):  # noqa: ANN202
        played.extend(trials)
        return coins(trials)

    trial = Trial(Path("a.safetensors"), Path("x"), "libero_goal", 0, 0, Condition("normal"), (1, 2), 10, 0)
    other = Trial(Path("b.safetensors"), Path("x"), "libero_goal", 0, 0, Condition("normal"), (1, 2), 10, 0)
    book = ScoreBook(tmp_path, scorer)
    first = book.score([trial, other, trial])
    assert played == [trial, other]
    assert first[0] == first[2]
    assert ScoreBook(tmp_path, scorer).score([other, trial]) == [first[1], first[0]]
    assert len(played) == 2
    moved = Trial(tmp_path / "a.safetensors", Path("y"), "libero_goal", 0, 0, Condition("normal"), (1, 2), 10, 0)
    assert moved.key() == trial.key(), "where files are must not matter"
    assert Score((True, False), (1, 2)).rate == 0.5


class Here:
    """Rollouts that are none."""

    def __init__(self, processes: int, engine: str) -> None:
        pass

    def __enter__(self) -> Callable:
        return coins

    def __exit__(self, *exception: object) -> None:
        pass


def test_the_command_runs_a_plan_and_says_what_came_of_it(
    library: Library, files: list[list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "Rollouts", Here)
    monkeypatch.setattr(simulation_tasks, "load_task", lambda suite, index: SimpleNamespace(name=f"task{index}"))
    (tmp_path / "data" / "libero_goal").mkdir(parents=True)
    shutil.copy(files[0][0], tmp_path / "data" / "libero_goal" / "task3_demo.hdf5")
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    given = [
        str(library.path),
        "--algorithm",
        "frozen",
        "multitask",
        "--data",
        str(tmp_path / "data"),
        "--runs",
        str(tmp_path),
        "--steps",
        "1",
    ]
    given += [
        "--batch",
        "2",
        "--views",
        "1",
        "--threads",
        "1",
        "--curve-points",
        "2",
        "--states",
        "7,9",
        "--memory",
        "5",
        "--loss-samples",
        "2",
    ]
    assert command.run(parser.parse_args([*given, "--tasks", "3", "--controls", "blank,wide_blank"])) == 0
    printed = capsys.readouterr().out
    assert "auc" in printed
    record = json.loads((tmp_path / "libero_goal-frozen-0" / "result.json").read_text())
    assert record["configuration"]["options"]["memory"] == 5
    assert record["configuration"]["learn"]["steps"] == 1
    assert record["configuration"]["protocol"]["states"] == [7, 9]
    assert json.loads((tmp_path / "libero_goal-multitask-0" / "result.json").read_text())["auc"] is None
    assert record["controls"].keys() == {"blank", "wide_blank"}
    with pytest.raises(DmpelError, match=r"no demonstrations of task4_demo\.hdf5.*dmpel collect --suite libero_goal"):
        command.run(parser.parse_args([*given, "--tasks", "4"]))


def test_only_what_has_a_router_is_told_names() -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    named = parser.parse_args(["library", "--data", "data", "--names", "true"])
    assert [command.plan_of(named, name).record()["learn"].get("skills") for name in ("dmpel", "lotus")] == ["true", None]


def test_files_are_those_of_each_suite_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation_tasks, "load_task", lambda suite, index: SimpleNamespace(name=f"{suite[-4:]}{index}"))
    suites = ["libero_goal", "libero_spatial"]
    made = [tmp_path / suite / f"{suite[-4:]}{number}_demo.hdf5" for suite in suites for number in (2, 1)]
    for path in made:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    plan = command.plan_of(parser.parse_args(["x", "--data", "x", "--suite", *suites, "--tasks", "2,1"]), "dmpel")
    assert command.task_files([tmp_path], plan) == [[path] for path in made]
    made[2].unlink()
    with pytest.raises(DmpelError, match=r"tial2_demo\.hdf5.*collect --suite libero_spatial"):
        command.task_files([tmp_path], plan)
