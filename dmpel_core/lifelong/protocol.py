"""A whole run: backbone, tasks one after another, evaluation as it goes, one JSON at the end."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from dmpel_core.errors import DmpelError
from dmpel_core.experts.library import Library
from dmpel_core.experts.restore import restore_policy
from dmpel_core.json_file import write_json
from dmpel_core.lifelong.algorithms import algorithm_called
from dmpel_core.lifelong.result import result
from dmpel_core.lifelong.scoring import Score, ScoreBook, Scorer
from dmpel_core.lifelong.settings import Plan
from dmpel_core.lifelong.stage import Stage, is_learned
from dmpel_core.lifelong.tasks import TaskData, load_task_data
from dmpel_core.paths import cache_directory
from dmpel_core.training.datasets import digest
from dmpel_core.training.losses import FORESEES_NOTHING
from dmpel_core.training.skill_routing import phases_for
from dmpel_core.training.workers import on_processor


def run_lifelong(
    plan: Plan,
    library: Library,
    files: Sequence[Sequence[Path]],
    folder: Path,
    scorer: Scorer,
    accelerator: Accelerator | None = None,
    stills: Sequence[Sequence[Path]] = (),
) -> dict[str, Any]:
    """Learn all tasks of a plan, or what of them is left to learn, and return the run's record.

    Killed at any moment and started again it ends with the same record, but for `dmpel_core.lifelong.result.TIMES`.

    Args:
        plan: What is learned and how it is measured.
        library: Its backbone is where everything starts; its experts, if any, are not used.
        files: HDF5 files of each task, in the plan's order.
        folder: Where the run keeps itself, and the record as `result.json`.
        scorer: Plays; episodes in simulation, or in tests a stand-in.
        accelerator: Device, precision and processes, one of which plays and writes; None for the processor.
        stills: Files of still pictures of each task, in the plan's order, none where a task has none; empty where no task has any.

    Raises:
        DmpelError: The plan contradicts itself, the folder holds a run of another one, or the policy can learn nothing from still pictures.
    """
    check(plan, files)
    kind = algorithm_called(plan.algorithm)
    accelerator = accelerator or on_processor()
    backbone = library.manifest.backbone.sha256
    policy = restore_policy(library)
    if stills and not policy.sizes.waypoint:
        raise DmpelError(FORESEES_NOTHING)
    glances = {"stills": [digest(part) for part in stills]} if stills else {}
    begin(folder, accelerator, {"plan": plan.record(), "backbone": backbone, "data": [digest(part) for part in files], **glances})
    algorithm = kind(policy, plan.learn, plan.options, accelerator)
    trained = all(is_learned(folder, number) for number in range(1 if kind.joint else len(files)))  # maybe on another machine
    tasks: list[TaskData] = []
    stages: list[Stage] = []
    with ScoreBook(folder / "scores", scorer, accelerator) as book:
        for number, part in enumerate(files):
            tasks.append(
                load_task_data(
                    policy, backbone, part, algorithm.settings, cache_directory(),
                    pictures=kind.looks and not trained, features=not kind.looks and not trained, limit=plan.demonstrations,
                    stills=stills[number] if stills else (), accelerator=accelerator,
                )
            )  # fmt: skip
            if kind.joint and number + 1 < len(files):
                continue
            stages.append(Stage(plan, library.path, folder, algorithm, 0 if kind.joint else number, tasks, book))
            stages[-1].learn()
            accelerator.print(f"{plan.algorithm}: learned {tasks[-1].instruction!r}")
        figures = []
        for stage in stages:
            figures.append(stage.figures())
            rates = ", ".join(f"{rate:.2f}" for rate in figures[-1]["row"])
            accelerator.print(f"{plan.algorithm}: success after {stage.tasks[-1].instruction!r}: {rates}")

        def kept(controls: Mapping[str, Sequence[Score | None]]) -> dict[str, Any]:
            record = result(plan, backbone, tasks, figures, controls)
            if accelerator.is_main_process:
                write_json(folder / "result.json", record)
            return record

        if accelerator.is_main_process:
            algorithm.finish(folder, library, tasks, (stage.state() for stage in stages))
        record = kept({})  # the controls take long
        if plan.protocol.controls:
            record = kept(stages[-1].controls(figures[-1]["row"]))
    accelerator.wait_for_everyone()
    return record


def begin(folder: Path, accelerator: Accelerator, identity: Mapping[str, Any]) -> None:
    """Note what a folder's run is, or make sure that it is the same one.

    Raises:
        DmpelError: It is another one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, wanted = folder / "plan.json", json.loads(json.dumps(identity))
    if accelerator.is_main_process and not path.exists():
        write_json(path, wanted)
    accelerator.wait_for_everyone()
    stored = json.loads(path.read_text(encoding="utf-8"))
    if stored != wanted:
        changed = {name: (flat(stored).get(name), flat(wanted).get(name)) for name in flat(stored).keys() | flat(wanted).keys()}
        changed = {name: pair for name, pair in changed.items() if pair[0] != pair[1]}
        raise DmpelError(f"{folder} holds a run of another plan, {changed} (stored, asked); remove it or use another --runs folder")


def flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return nested settings under dotted names."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{before}{name}.") if isinstance(value, dict) else {before + name: value}
    return found


def check(plan: Plan, files: Sequence[Sequence[Path]]) -> None:
    """Refuse a plan that would waste hours.

    Raises:
        DmpelError: It has no tasks, a task twice, tasks without files, states that select and are reported, too few points, or
            demonstrations without the labels that it asks for.
    """
    tasks, protocol = plan.sequence, plan.protocol
    if not tasks or len(set(tasks)) != len(tasks) or len(files) != len(tasks):
        raise DmpelError(
            f"tasks {list(plan.tasks)} of {plan.suite} with {len(files)} sets of demonstrations: expected one set for each task, and "
            "each task once"
        )
    both = sorted(set(protocol.states) & set(protocol.selection_states))
    if both:
        raise DmpelError(
            f"initial states {both} would select weights and be reported too: choose others with --states or --selection-states"
        )
    if not protocol.states or not protocol.selection_states or protocol.curve_points < 2:
        raise DmpelError(
            f"{len(protocol.states)} reported states, {len(protocol.selection_states)} of selection and {protocol.curve_points} points "
            "of a learning curve: expected at least one, one and two"
        )
    if plan.learn.skills in ("true", "shuffled"):
        for part in files:
            phases_for(part, plan.demonstrations, plan.learn.skills, plan.learn.seed)  # complains of what is missing
