"""The record of a run: one JSON that tables, figures and readers need nothing beside."""

from collections.abc import Mapping, Sequence
from typing import Any

from dmpel_core.evaluation.metrics import lifelong_metrics
from dmpel_core.lifelong.algorithms import ALGORITHMS
from dmpel_core.lifelong.intervals import Counts, intervals
from dmpel_core.lifelong.scoring import Score
from dmpel_core.lifelong.settings import Plan
from dmpel_core.lifelong.switching import own_first, routing_figures
from dmpel_core.lifelong.tasks import TaskData
from dmpel_core.training.run import machine, versions

TIMES = ("minutes", "minutes_training", "minutes_playing", "peak_bytes", "trained_on", "machine", "versions")
"""What differs between two runs that learn and score the same."""
FORMAT = 2


def result(
    plan: Plan,
    backbone: str,
    tasks: Sequence[TaskData],
    figures: Sequence[Mapping[str, Any]],
    controls: Mapping[str, Sequence[Score | None]],
) -> dict[str, Any]:
    """Return the record; `docs/lifelong.md` lists its keys.

    Args:
        plan: The run.
        backbone: Names the backbone's weights.
        tasks: What was learned.
        figures: Of each stage.
        controls: Scores of the final policy under other conditions, for each task that it solves at times.
    """
    joint, protocol = ALGORITHMS[plan.algorithm].joint, plan.protocol
    training = [part["minutes_training"] for part in figures]
    playing = [part["minutes_playing"] for part in figures]
    experts = figures[-1]["experts"]
    own = {place: slot for slot, place in enumerate(experts or [])}
    routing = [own_first(part, own.get(place)) for place, part in enumerate(figures[-1]["routing"])]
    record = {
        "format": FORMAT,
        "algorithm": plan.algorithm,
        "name": plan.name,
        "suite": plan.suite,
        "seed": plan.learn.seed,
        "tasks": [
            {"suite": suite, "number": number, "instruction": data.instruction, "frames": len(data.timeline),
             "demonstrations": len(data.timeline.lengths), "data": data.digest, "horizon": protocol.ticks(data.timeline.lengths),
             "still_pictures": 0 if data.stills is None else len(data.stills.timeline)}
            for (suite, number), data in zip(plan.sequence, tasks, strict=True)
        ],
        "success_matrix": [part["row"] for part in figures],
        "learning_curves": [] if joint else [part["curve"] for part in figures],
        "curve_steps": [] if joint else [part["steps"] for part in figures],
        "kept_steps": [part["kept_step"] for part in figures],
        "episodes": len(protocol.states),
        "selection_episodes": len(protocol.selection_states),
        "control_episodes": len(protocol.control_states or protocol.states),
        "loss_matrix": [part["losses"] for part in figures],
        "routing": routing,
        "routing_figures": routing_figures(routing),
        "experts": experts,
        "pruned": [part["pruned"] for part in figures if "pruned" in part],
        "trainable_parameters": figures[-1]["trainable_parameters"],
        "trainable_parameters_by_task": [part["trainable_parameters"] for part in figures],
        "stored_bytes": figures[-1]["stored_bytes"],
        "stored_bytes_by_task": [part["stored_bytes"] for part in figures],
        "controls": {name: [None if score is None else score.rate for score in scores] for name, scores in controls.items()},
        "minutes": sum(training) + sum(playing),
        "minutes_training": training,
        "minutes_playing": playing,
        "peak_bytes": [part["peak_bytes"] for part in figures],
        "configuration": plan.record(),
        "backbone": backbone,
        "trained_on": sorted({part["trained_on"] for part in figures}),
        "machine": machine(),
        "versions": versions(),
    }  # fmt: skip
    counts = Counts.of(record)
    return {**record, **figures_of(counts), "intervals": intervals(counts)}


def figures_of(counts: Counts) -> dict[str, float | None]:
    """Return forward transfer, forgetting, area and final success; the first three are None where all tasks were learned at once."""
    if not counts.curves:
        row = counts.matrix[-1]
        return {"fwt": None, "nbt": None, "auc": None, "final_success": sum(row) / len(row) / counts.episodes}
    found = lifelong_metrics(*counts.rates())
    return {"fwt": found.fwt, "nbt": found.nbt, "auc": found.auc, "final_success": found.final_success}
