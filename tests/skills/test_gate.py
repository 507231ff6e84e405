"""The gate, and the commands around it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dmpel_core.admission import coverage, diff, prune, verify
from dmpel_core.admission.contexts import contexts_of, places_in
from dmpel_core.admission.gate import Drift, GateError, Limits, admit, answers, examine
from dmpel_core.admission.probe import lazily
from dmpel_core.errors import DmpelError
from dmpel_core.experts.library import Library, add_expert, generations, read_library, select_generation
from tests.skills.arguments import run
from tests.skills.small import grow, memory, router_for, spoil


def test_what_coefficient_replay_made_is_admitted_with_little_drift(taught: Library) -> None:
    report = admit(read_library(taught.path, 2), taught, actions=lazily(taught))
    assert [(drift.task, drift.note) for drift in report.drifts] == [("task 0", ""), ("task 1", ""), ("task 2", "new")]
    assert all(drift.coefficient < 0.25 and drift.switched == 0 and drift.action < 0.03 for drift in report.drifts)


def test_a_router_trained_on_wrong_labels_is_refused_with_the_table(own: Library) -> None:
    spoilt = spoil(own)
    with pytest.raises(GateError, match=r"'task 0', 'task 1'.*is done: learn it again with coefficient replay") as refusal:
        admit(read_library(own.path, 2), spoilt)
    assert "too much: coefficient, switched" in str(refusal.value)


def test_wild_factors_of_a_new_expert_are_refused_for_what_they_do_to_old_actions(own: Library) -> None:
    parent = select_generation(own.path, 2)
    router = router_for([memory(task, 3) for task in range(3)], 3, exact=0.1)  # the new expert is mixed in everywhere
    wild = grow(parent, router, "wild", strength=30.0)
    report = examine(parent, wild, Limits(coefficient=9.0, switched=1.0), lazily(wild))
    assert "action" in report.refused[0].exceeds(report.limits)


def test_the_drift_of_actions_is_none_where_coefficients_are_the_stored_ones(taught: Library) -> None:
    probe, contexts = lazily(taught), contexts_of(taught, 1, taught)
    assert probe is not None
    assert contexts is not None
    assert probe(contexts, contexts.targets) == 0.0


def test_what_is_not_a_number_breaks_every_limit() -> None:
    assert Drift("task", 1, float("nan"), 0.0, float("nan")).exceeds(Limits()) == ["coefficient", "action"]


def test_experts_are_found_by_what_they_are_not_by_where_they_stand(own: Library) -> None:
    pruned = prune.prune(own, [2, 0])
    np.testing.assert_array_equal(places_in(pruned, own), [1, -1, 0])
    contexts = contexts_of(own, 2, pruned)
    assert contexts is not None
    np.testing.assert_allclose(contexts.targets[:, :, 0], 1.0)
    assert contexts.lost == pytest.approx(0.1)


def test_a_generation_without_an_old_task_says_so_and_is_admitted(own: Library) -> None:
    report = admit(own, read_library(own.path, 1))
    assert [drift.note for drift in report.drifts] == ["", "not in this generation", "not in this generation"]


def test_an_expert_without_replay_memory_is_named_as_unchecked(own: Library) -> None:
    bare = add_expert(
        own, name="imported", instructions=("sing",), skill="none", factors=own.factors(0), router=own.router(),
        replay={"text": np.zeros(3, np.float32)}, provenance={"dataset": "00" * 32, "seed": 0, "metrics": {}},
    )  # fmt: skip
    assert contexts_of(bare, 3, bare) is None


def test_pruning_keeps_what_the_others_answer_and_no_file_changes(own: Library) -> None:
    files = {place: place.read_bytes() for place in own.path.rglob("*.safetensors")}
    before = answers(own, contexts_of(own, 0, own).queries)
    pruned = prune.prune(own, [0, 2])
    assert [expert.name for expert in pruned.experts] == ["task 0", "task 2"]
    assert (pruned.generation, pruned.parent, generations(own.path)) == (4, 3, (0, 1, 2, 3, 4))
    np.testing.assert_allclose(answers(pruned, contexts_of(own, 0, own).queries), before[:, :, [0, 2]], atol=1e-6)
    np.testing.assert_allclose(contexts_of(pruned, 1, pruned).targets[:, :, 1], 1.0)
    assert all(place.read_bytes() == content for place, content in files.items())


def test_prune_prints_uses_and_cost(own: Library, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(prune, str(own.path)) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert generations(own.path)[-1] == 3
    assert run(prune, str(own.path), "--expert", "task 1") == 0
    out = capsys.readouterr().out
    assert "not in this generation" in out
    assert "generation 4 has 2 experts" in out
    with pytest.raises(DmpelError, match="no expert 'task 1'; it has 'task 0', 'task 2'"):
        run(prune, str(own.path), "--expert", "task 1")
    with pytest.raises(DmpelError, match="all 2 experts"):
        run(prune, str(own.path), "--below", "2.0")


def test_verify_says_admitted_or_refused_by_its_exit_status(own: Library, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(verify, str(own.path)) == 0
    assert capsys.readouterr().out.rstrip().endswith("admitted")
    spoil(own)
    assert run(verify, str(own.path)) == 1
    assert "refused: 3 tasks" in capsys.readouterr().out or "refused: 2 tasks" in capsys.readouterr().out
    assert run(verify, f"{own.path}@3") == 0


def test_diff_names_what_is_another_and_what_it_does_to_the_tasks(taught: Library, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(diff, f"{taught.path}@2", str(taught.path)) == 0
    out = capsys.readouterr().out
    assert "expert 'task 2': only in the second" in out
    assert "router: " in out
    assert "backbone: " not in out
    assert "task 0" in out


def test_coverage_counts_experts_demonstrations_and_success(taught: Library, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured = tmp_path / "evaluation.json"
    row = '{"instruction": "put the bowl on plate 1", "condition": "%s", "successes": %d, "episodes": 10}'
    measured.write_text('{"tasks": [' + row % ("normal", 7) + "," + row % ("blank", 0) + "]}")
    assert run(coverage, str(taught.path), "--evaluation", str(measured)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-3:] for line in lines if "task 1" in line] == [["7", "/", "10"]]
    assert sum("not measured" in line for line in lines) == 2
    assert [line.split()[0] for line in lines if line.endswith("no expert")] == ["open", "close", "push", "turn"]
    measured.write_text("{}")
    with pytest.raises(DmpelError, match="is not what `dmpel evaluate --output` writes"):
        run(coverage, str(taught.path), "--evaluation", str(measured))


def test_a_report_is_told_with_its_limits(taught: Library) -> None:
    report = replace(examine(taught, taught), limits=Limits(0.0, 0.0, 0.0))
    lines = list(report.table())
    assert lines[-1].split() == ["at", "most", "0.000", "0.000", "0.000"]
    assert all("too much: coefficient" in line for line in lines[1:-1])
