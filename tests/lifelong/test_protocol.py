"""A whole run of every algorithm, and what killing it does."""

import json
import re
import shutil
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dmpel_core.errors import DmpelError
from dmpel_core.experts.library import Library, read_library
from dmpel_core.lifelong.algorithms import ALGORITHMS
from dmpel_core.lifelong.protocol import run_lifelong
from dmpel_core.lifelong.result import TIMES
from dmpel_core.lifelong.scoring import Score, Trial
from dmpel_core.lifelong.settings import Plan
from dmpel_core.lifelong.stage import Stage
from dmpel_core.skills.vocabulary import SkillError
from dmpel_core.training.run import Run
from tests.conftest import ROOT
from tests.core.conftest import write_noise
from tests.lifelong.conftest import OPTIONS, PROTOCOL, SENTENCES, coins, plan, strolls


def lasting(record: dict) -> dict:
    return {name: value for name, value in record.items() if name not in TIMES}


def short(name: str, count: int = 2, **learn: object) -> Plan:
    """Return a plan of the first tasks."""
    return replace(plan(name, **learn), tasks=(4, 7, 8)[:count])


def pruning(name: str, below: float) -> Plan:
    """Return a plan of two tasks that takes out the expert of the first after the second, or nothing where `below` is 0."""
    return replace(short(name), options=replace(OPTIONS, prune_below=below))


def documented(section: str = "The record") -> set[str]:
    """Return the keys that a section of the page about lifelong runs explains."""
    page = (ROOT / "docs" / "lifelong.md").read_text(encoding="utf-8").split(f"## {section}")[1].split("\n## ")[0]
    return {key for line in page.splitlines() if line.startswith("| `") for key in re.findall("`([a-z_]+)`", line.split("|")[1])}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_runs_the_sequence_and_leaves_one_record(
    name: str, library: Library, files: list[list[Path]], tmp_path: Path
) -> None:
    record = run_lifelong(short(name), library, files[:2], tmp_path, coins)
    assert json.loads((tmp_path / "result.json").read_text()) == record
    joint = ALGORITHMS[name].joint
    assert [len(row) for row in record["success_matrix"]] == ([2] if joint else [1, 2])
    assert [len(row) for row in record["loss_matrix"]] == ([2] if joint else [1, 2])
    assert all(0 < loss < 50 for row in record["loss_matrix"] for loss in row)
    assert record["trainable_parameters"] > 0
    assert record["stored_bytes"] > 0
    assert (record["auc"] is None) == joint
    assert record.keys() == documented()
    low, high = record["intervals"]["final_success"]
    assert 0 <= low <= record["final_success"] <= high <= 1
    assert high - low > 0.2  # of two episodes a task


class KilledError(Exception):
    """The end of a process."""


class Fuse:
    """Blows after so many moments at which a process may be killed: every step of a training and every score."""

    def __init__(self, left: float) -> None:
        self.left = left

    def burn(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise KilledError

    def score(self, trials: Sequence[Trial]) -> Iterator[Score]:
        for trial, score in zip(trials, coins(trials), strict=True):
            self.burn()
            yield replace(score, routing=strolls(trial))


@pytest.mark.parametrize(("name", "below"), [("dmpel", 0.99), ("packnet", 0.0)])
def test_a_run_killed_again_and_again_ends_with_the_same_record(
    name: str, below: float, library: Library, files: list[list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dmpel_core.lifelong.stage.CHECKPOINT_EVERY", 1)
    unbroken, fuse, wanted_plan = Fuse(float("inf")), Fuse(float("inf")), pruning(name, below)
    steps = Run.steps

    def fused(self: Run, done: int, total: int) -> Iterator:
        for step in steps(self, done, total):
            fuse.burn()
            yield step

    monkeypatch.setattr(Run, "steps", fused)
    wanted = run_lifelong(wanted_plan, library, files[:2], tmp_path / "one", unbroken.score)
    deaths = 0
    for left in (1, 2, 1, 3, 2, float("inf")):
        fuse.left = left
        try:
            found = run_lifelong(wanted_plan, library, files[:2], tmp_path / "two", fuse.score)
        except KilledError:
            deaths += 1
            for thread in threading.enumerate():  # a process that ends takes them along
                if thread.name.startswith("playing"):
                    thread.join()
    assert deaths == 5
    assert lasting(found) == lasting(wanted)
    assert all(told.keys() == documented("What is told of routing") for told in wanted["routing"])
    assert wanted["routing_figures"]["switches_per_episode"] > 0
    assert (wanted["routing_figures"]["accuracy_at_start"] is None) == (name == "packnet"), "whose slots are whole policies"
    assert [told["experts"] for told in wanted["pruned"]] == ([[0]] if below else [])
    assert not [path for path in (tmp_path / "two").rglob("*") if path.name.startswith("weights-") or path.suffix == ".checkpoint"]


def test_what_was_trained_on_another_machine_is_only_played(
    library: Library, files: list[list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted_plan, run = replace(short("frozen"), protocol=replace(PROTOCOL, keep="last")), tmp_path / "run"
    wanted = run_lifelong(wanted_plan, library, files[:2], tmp_path / "here", coins)

    def killed(_: Stage) -> dict:
        raise KilledError

    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(Stage, "figures", killed)
        with pytest.raises(KilledError):
            run_lifelong(wanted_plan, library, files[:2], run, coins)
    copied = shutil.copytree(run, tmp_path / "copied", ignore=shutil.ignore_patterns("scores"))
    monkeypatch.setenv("DMPEL_CACHE", str(tmp_path / "cache"))
    assert lasting(run_lifelong(wanted_plan, library, files[:2], copied, coins)) == lasting(wanted)
    assert list((tmp_path / "cache").iterdir()) == [], "features that nothing is trained on were computed"


def test_what_selects_nothing_is_played_beside_the_training_of_the_next_task(
    library: Library, files: list[list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last_lesson_begins, steps = threading.Event(), Run.steps

    def told(self: Run, done: int, total: int) -> Iterator:
        if self.folder.parent.name == "task-01":
            last_lesson_begins.set()
        return steps(self, done, total)

    def scorer(trials: Sequence[Trial]) -> Iterator[Score]:
        assert last_lesson_begins.wait(60), "the second task was not begun before the first was played"
        return coins(trials)

    monkeypatch.setattr(Run, "steps", told)
    beside = replace(short("frozen"), protocol=replace(PROTOCOL, keep="last"))
    record = run_lifelong(beside, library, files[:2], tmp_path / "beside", scorer)
    assert [len(row) for row in record["success_matrix"]] == [1, 2]
    assert record["kept_steps"] == [2, 2]


def test_playing_that_fails_ends_the_run(library: Library, files: list[list[Path]], tmp_path: Path) -> None:
    def scorer(trials: Sequence[Trial]) -> Iterator[Score]:
        raise DmpelError(f"nobody plays these {len(trials)}")

    with pytest.raises(DmpelError, match="nobody plays these"):
        run_lifelong(replace(short("frozen"), protocol=replace(PROTOCOL, keep="last")), library, files[:2], tmp_path, scorer)


def test_controls_have_states_of_their_own_and_leave_out_what_is_never_solved(
    library: Library, files: list[list[Path]], tmp_path: Path
) -> None:
    played: list[Trial] = []

    def scorer(trials: Sequence[Trial]) -> Iterator[Score]:
        played.extend(trials)
        yield from (Score((trial.task == 7,) * len(trial.states), (9,) * len(trial.states)) for trial in trials)

    own = replace(short("frozen"), protocol=replace(PROTOCOL, controls=("blank",), control_states=(5,)))
    record = run_lifelong(own, library, files[:2], tmp_path, scorer)
    assert [(trial.task, trial.states) for trial in played if trial.condition.blank] == [(7, (5,))]
    assert (record["episodes"], record["control_episodes"]) == (2, 1)
    assert (record["success_matrix"][-1], record["controls"]) == ([0.0, 1.0], {"blank": [None, 1.0]})


def test_a_run_of_another_plan_is_not_taken_up(library: Library, files: list[list[Path]], tmp_path: Path) -> None:
    run_lifelong(short("frozen", 1), library, files[:1], tmp_path, coins)
    with pytest.raises(DmpelError, match=r"plan\.learn\.steps.*remove it or use another --runs"):
        run_lifelong(short("frozen", 1, steps=3), library, files[:1], tmp_path, coins)


def test_suites_are_learned_one_after_another_and_each_task_is_played_in_its_own(
    library: Library, files: list[list[Path]], tmp_path: Path
) -> None:
    played: list[Trial] = []

    def scorer(trials: Sequence[Trial]) -> Iterator[Score]:
        played.extend(trials)
        return coins(trials)

    several = replace(
        plan("frozen"), suite="libero_spatial+libero_goal", tasks=(7, 4), protocol=replace(PROTOCOL, controls=("wrong",), keep="last")
    )
    record = run_lifelong(several, library, [*files, files[0]], tmp_path, scorer)
    wanted = [("libero_spatial", 7), ("libero_spatial", 4), ("libero_goal", 7), ("libero_goal", 4)]
    assert [(task["suite"], task["number"]) for task in record["tasks"]] == wanted
    assert record["suite"] == record["configuration"]["suite"] == "libero_spatial+libero_goal"
    wrong = [(trial.suite, trial.task, trial.told) for trial in played if trial.condition.wrong]
    solved = [task for task, rate in zip(wanted, record["success_matrix"][-1], strict=True) if rate]
    assert wrong == [(suite, number, 11 - number) for suite, number in solved] != [], "the other task's instruction, of the same suite"
    assert all(trial.told == trial.task for trial in played if not trial.condition.wrong)
    assert [(trial.suite, trial.task) for trial in played if trial.states == PROTOCOL.states and not trial.condition.wrong] == [
        wanted[task] for row in range(4) for task in range(row + 1)
    ]


def test_a_task_whose_expert_has_gone_is_still_played_and_counted(library: Library, files: list[list[Path]], tmp_path: Path) -> None:
    whole, pruned = (run_lifelong(pruning("dmpel", below), library, files[:2], tmp_path / f"{below}", coins) for below in (0.0, 0.99))
    assert [len(row) for row in pruned["success_matrix"]] == [1, 2]
    (told,) = pruned["pruned"]
    assert (told["after"], told["experts"], pruned["experts"], whole["experts"]) == (1, [0], [1], [0, 1])
    assert told["success_before"] == whole["success_matrix"][1], "what it costs is told by the same row of a run that keeps all"
    assert told["stored_bytes_before"] == whole["stored_bytes"] > pruned["stored_bytes"]
    assert [expert.name for expert in read_library(tmp_path / "0.99" / "library").experts] == [pruned["tasks"][1]["instruction"]]


@pytest.mark.parametrize("name", ["dmpel", "packnet", "multitask"])
def test_longer_tasks_are_trained_for_more_steps(
    name: str, library: Library, files: list[list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[int] = []
    monkeypatch.setattr(Run, "steps", lambda run, done, steps, plain=Run.steps: trained.append(steps) or plain(run, done, steps))
    longer = [files[1][0], write_noise(tmp_path / "longer.hdf5", SENTENCES[1], 99, (25,))]
    record = run_lifelong(short(name, steps=8, epochs=3.0), library, [files[0], longer], tmp_path / "run", coins)
    assert [task["frames"] for task in record["tasks"]] == [37, 62]
    wanted = {"dmpel": [8, 10], "packnet": [8, 8, 10, 10], "multitask": [18]}[
        name
    ]  # a step shows 20 ticks; what is pruned is trained twice
    assert trained == wanted
    assert record["curve_steps"] == ([] if name == "multitask" else [[0, 8], [0, 10]])


def test_a_suite_given_twice_is_refused(library: Library, files: list[list[Path]], tmp_path: Path) -> None:
    twice = replace(plan("frozen"), suite="libero_goal+libero_goal", tasks=(4,))
    with pytest.raises(DmpelError, match="each task once"):
        run_lifelong(twice, library, files[:2], tmp_path, coins)


def test_labels_that_are_missing_are_missed_before_anything_is_learned(library: Library, files: list, tmp_path: Path) -> None:
    nameless = write_noise(tmp_path / "noise.hdf5", "turn on the stove", 0)
    with pytest.raises(SkillError, match=r"noise.*no phases of the scripted expert"):
        run_lifelong(short("dmpel", skills="shuffled"), library, [files[0], [nameless]], tmp_path / "run", coins)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [({"states": (1, 5)}, r"initial states \[1\]"), ({"curve_points": 1}, "1 points"), ({"selection_states": ()}, "0 of selection")],
)
def test_a_plan_that_would_waste_hours_is_refused(changes: dict, complaint: str, library: Library, files: list, tmp_path: Path) -> None:
    wrong = replace(plan("frozen"), protocol=replace(PROTOCOL, **changes))
    with pytest.raises(DmpelError, match=complaint):
        run_lifelong(wrong, library, files, tmp_path, coins)
    assert not (tmp_path / "plan.json").exists()
