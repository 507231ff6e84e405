"""The alarm: what is strange, how limits come from episodes, and what the figures mean."""

import json
from pathlib import Path

import numpy as np
import pytest

from dmpel_core.errors import DmpelError
from dmpel_core.experts.keeping import keep_beside
from dmpel_core.experts.library import Library, read_library
from dmpel_core.json_file import write_json
from dmpel_core.skills import alarm_command
from dmpel_core.skills.alarm import Alarm, Debounce, familiar, library_alarm, limit_name, text_limit
from dmpel_core.skills.alarm_command import FalseAlarms, Run, calibrate, familiar_in, measure
from dmpel_core.skills.calibration import Familiar, alarms_in, auroc, detect, limit_for, worst
from tests.skills.arguments import run
from tests.skills.small import WIDTH, context


def task(number: int) -> dict[str, np.ndarray]:
    queries = context(number, 400).numpy()
    return {"text": queries[0, :WIDTH], "features": queries[:, WIDTH:]}


def test_what_a_task_stored_is_familiar_and_another_scene_or_instruction_is_strange() -> None:
    alarm = Alarm([familiar(f"task {number}", task(number)) for number in range(2)])
    for number in range(2):
        for query in context(number, 20, seed=1).numpy():
            reading = alarm.read(query)
            assert reading.task == f"task {number}"
            assert reading.strangeness < 1
    known, other = context(0).numpy()[0], context(1).numpy()[0]
    scene = alarm.read(np.concatenate([known[:WIDTH], other[WIDTH:]]))
    assert scene.scene > 1 > scene.instruction
    words = alarm.read(np.concatenate([context(7).numpy()[0, :WIDTH], known[WIDTH:]]))
    assert words.instruction > 1


def test_the_distance_does_not_depend_on_units() -> None:
    plain = familiar("task", task(0))
    stretched = familiar("task", {**task(0), "features": task(0)["features"] * 3.0})
    query = context(0, 1, seed=2).numpy()[0, WIDTH:]
    assert stretched.distance(3.0 * query) == pytest.approx(plain.distance(query), rel=1e-3)


def test_instructions_may_differ_by_half_the_way_to_the_next_one() -> None:
    texts = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 10.0], [0.0, 10.0]])
    assert text_limit(texts) == 2.0
    assert text_limit(texts[1:2]) == pytest.approx(1.2)


def test_a_library_without_memories_has_no_alarm_and_a_memory_of_next_to_none_no_statistics() -> None:
    assert familiar("task", {"queries": np.zeros((50, 4))}) is None
    assert familiar("task", {**task(0), "features": task(0)["features"][:5]}) is None


def test_a_second_generation_computes_only_what_is_new(taught: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    known: dict = {}
    library_alarm(read_library(taught.path, 1), known)
    read, replay = [], Library.replay
    monkeypatch.setattr(Library, "replay", lambda library, index: (read.append(index), replay(library, index))[1])
    assert [task.name for task in library_alarm(taught, known).tasks] == ["task 0", "task 1", "task 2"]
    assert read == [1, 2]
    library_alarm(read_library(taught.path, 1), known)
    assert len(known) == 1


def test_the_alarm_is_raised_and_cleared_after_some_ticks_in_a_row() -> None:
    debounce = Debounce(3)
    strange = [1, 1, 0, 1, 1, 1, 0, 0, 1, 0, 0, 0]
    assert [debounce(bool(tick)) for tick in strange] == [False] * 5 + [True] * 6 + [False]
    debounce(True)
    debounce(True)
    debounce.reset()
    assert not debounce(True)


def test_the_worst_is_what_some_ticks_in_a_row_exceed() -> None:
    scores = np.array([0.0, 5.0, 1.0, 2.0, 3.0, 0.0])
    assert (worst(scores, 1), worst(scores, 2), worst(scores, 3), worst(scores, 9)) == (5.0, 2.0, 1.0, 0.0)


def test_a_limit_holds_the_rate_that_was_asked_for() -> None:
    rng = np.random.default_rng(0)
    scores = [np.exp(0.2 * rng.normal(size=200)) for _ in range(400)]
    episodes = [Familiar(worst(one, 1), len(one)) for one in scores]
    hours = 400 * 200 / 20.0 / 3600
    for per_hour in (5.0, 20.0):
        limit = limit_for(episodes[:200], per_hour, 20.0)
        alarms = alarms_in([one / limit for one in scores[200:]], 1)
        assert alarms / (hours / 2) < 2 * per_hour
    assert limit_for(episodes[:10], 0.01, 20.0) > limit_for(episodes[:10], 1.0, 20.0)
    assert limit_for([Familiar(1.0, 5)], 1.0, 20.0) == pytest.approx(1.5)


def test_auroc_is_the_chance_that_the_strange_scores_higher_ties_half() -> None:
    assert auroc(np.array([1.0, 2.0]), np.array([3.0, 4.0])) == 1.0
    assert auroc(np.array([3.0, 4.0]), np.array([1.0, 2.0])) == 0.0
    assert auroc(np.array([1.0, 1.0]), np.array([1.0])) == 0.5
    assert auroc(np.array([1.0, 3.0]), np.array([2.0, 3.0])) == pytest.approx(0.625)


def test_detection_counts_from_the_first_strange_tick() -> None:
    found = detect([np.array([0.0, 2.0, 2.0, 2.0]), np.array([2.0, 2.0, 0.0]), np.zeros(4)], 2)
    assert (found.episodes, found.raised, found.delay) == (3, 2, 2.5)
    assert alarms_in([np.array([2.0, 2.0, 0.0, 0.0, 2.0, 2.0])], 2) == 2


def runs_of(number: int, count: int, instruction: str, seed: int) -> list[Run]:
    text = context(number).numpy()[0, :WIDTH]
    return [Run(instruction, text, context(number, 60, seed + one).numpy()[:, WIDTH:]) for one in range(count)]


def test_calibrated_limits_go_into_the_library_and_the_figures_tell_strange_from_known(own: Library) -> None:
    known = [run for number in range(3) for run in runs_of(number, 12, f"put the bowl on plate {number}", 50)]
    before = library_alarm(own)
    assert before is not None
    limits = calibrate(own, familiar_in(own, before, known[::2], 5), 1.0)
    assert limits.keys() == {limit_name(expert.factors.sha256) for expert in own.experts}
    alarm = library_alarm(keep_beside(own, "alarm", limits))
    assert alarm is not None
    assert [task.limit for task in alarm.tasks] == pytest.approx([float(limit[0]) for limit in limits.values()])
    figures, familiar = measure(alarm, known[1::2], runs_of(5, 3, "sing", 90), 5)
    assert familiar == FalseAlarms(0, sum(len(one.features) for one in known[1::2]))
    assert figures["alarm_auroc_task"] == figures["alarm_auroc_scene"] == 1.0
    assert figures["alarm_detection_scene"] == {"episodes": 3, "raised": 3, "delay": 5.0}


def test_demonstrations_of_no_known_task_cannot_calibrate(taught: Library) -> None:
    library = read_library(taught.path, 1)
    alarm = library_alarm(library)
    assert alarm is not None
    with pytest.raises(DmpelError, match=r"none of the episodes is of a task of .*it knows 'put the bowl on plate 0'"):
        calibrate(library, familiar_in(library, alarm, runs_of(5, 3, "sing", 0), 5), 1.0)


def evaluation_of(library: Library, path: Path, *strangeness: float, **changes: object) -> Path:
    """Write what `dmpel evaluate` would of so strange successes of the first task, and of a failure four times as strange as the last."""
    outcomes = [{"state": 0, "success": True, "ticks": 100, "alarms": 0, "strangeness": one} for one in strangeness]
    failure = {"state": 0, "success": False, "ticks": 100, "alarms": 1, "strangeness": 4 * strangeness[-1]}
    row = {"task": 0, "told": 0, "condition": "normal", "instruction": "put the bowl on plate 0", "outcomes": [*outcomes, failure]}
    blank = {**row, "condition": "blank", "outcomes": [{**failure, "success": True}]}
    settings = {"files": library.manifest.what_acts(), "limits": library.manifest.alarm_limits(), **changes}
    write_json(path, {"settings": settings, "tasks": [row, blank]})
    return path


def test_the_librarys_own_successes_set_the_limits_of_their_tasks(tmp_path: Path, own: Library) -> None:
    before = library_alarm(own)
    assert before is not None
    path = evaluation_of(own, tmp_path / "evaluation.json", *(1.5 + 0.001 * np.arange(40)), 1.8)
    results = tmp_path / "skills.json"
    assert run(alarm_command, str(own.path), "--evaluation", str(path), "--results", str(results)) == 0
    after = library_alarm(read_library(own.path))
    assert after is not None
    first, *others = (new.limit / old.limit for old, new in zip(before.tasks, after.tasks, strict=True))
    assert 1.8 <= first < 3, "beyond the strangest success; neither the failure nor the blank pictures set it"
    assert others == [1, 1]
    figures = json.loads(results.read_text())
    assert figures["own_false_alarms"] == 1, "the strangest success is one for the limit that the half without it would have set"
    assert figures["own_hours_measured"] == figures["hours_measured"] == round(41 * 100 / 20 / 3600, 3)
    assert figures["own_false_alarms_per_hour"] == figures["false_alarms_per_hour"] == pytest.approx(1 / (41 * 100 / 20 / 3600), abs=1e-3)
    assert figures["alarm_in_failures"] == {"episodes": 1, "raised": 1}


def test_an_evaluation_of_something_else_sets_no_limit(tmp_path: Path, own: Library) -> None:
    path, before = tmp_path / "evaluation.json", (own.path / "manifest.json").read_bytes()
    for changes, fault in (({"files": "00"}, "another generation"), ({"limits": "11"}, "other limits, {'limits': ..11., None")):
        evaluation_of(own, path, 0.5, **changes)
        with pytest.raises(DmpelError, match=fault):
            run(alarm_command, str(own.path), "--evaluation", str(path))
    path.write_text(evaluation_of(own, path, 0.5).read_text().replace('"strangeness": 0.5', '"strangeness": null'))
    with pytest.raises(DmpelError, match="does not say how strange its episodes were: evaluate with ONNX graphs"):
        run(alarm_command, str(own.path), "--evaluation", str(path))
    with pytest.raises(DmpelError, match="evaluations tell what 20 ticks in a row exceed, not 5"):
        run(alarm_command, str(own.path), "--evaluation", str(path), "--ticks", "5")
    path.write_text("[]")
    with pytest.raises(DmpelError, match="not what this version of `dmpel evaluate` writes"):
        run(alarm_command, str(own.path), "--evaluation", str(path))
    assert (own.path / "manifest.json").read_bytes() == before


def test_the_command_reads_demonstrations_with_the_librarys_own_eyes(tmp_path: Path, own: Library) -> None:
    from tests.core.conftest import write_noise

    path = write_noise(tmp_path / "noise_demo.hdf5", "put the bowl on plate 0", 0, (24, 24, 24, 24))
    results = tmp_path / "skills.json"
    assert run(alarm_command, str(own.path), "--data", str(path), "--foreign", str(path), "--results", str(results)) == 0
    assert '"alarm_auroc_scene"' in results.read_text()
    assert read_library(own.path).alarm()
