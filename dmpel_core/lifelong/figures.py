"""The figures of the report, drawn with matplotlib."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dmpel_core.evaluation.statistics import wilson_interval
from dmpel_core.groups import GROUPS

Record = Mapping[str, Any]
COLOURS = mpl.colormaps["tab20"]


def label(record: Record) -> str:
    """Return a run's name in a legend."""
    return f"{record['name']}, seed {record['seed']}"


def task_names(record: Record) -> list[str]:
    """Return what each task is called on an axis: its number, with its suite where there are several."""
    several = "+" in record["suite"]
    return [f"{task['suite'].removeprefix('libero_')} {task['number']}" if several else str(task["number"]) for task in record["tasks"]]


def success_matrix(record: Record) -> Figure:
    """Draw success on each task (columns) after each one was learned (rows)."""
    matrix, count = record["success_matrix"], len(record["tasks"])
    figure = Figure(figsize=(1.6 + 0.55 * count, 1.4 + 0.45 * len(matrix)), layout="constrained")
    axes = figure.subplots()
    values = np.full((len(matrix), count), np.nan)
    for place, row in enumerate(matrix):
        values[place, : len(row)] = row
    axes.imshow(values, vmin=0, vmax=1, cmap="viridis", aspect="auto")
    for (place, task), value in np.ndenumerate(values):
        if not np.isnan(value):
            axes.text(task, place, f"{100 * value:.0f}", ha="center", va="center", color="white" if value < 0.6 else "black", fontsize=8)
    names = task_names(record)
    axes.set(title=f"{label(record)}: success [%]", xlabel="task", ylabel="after learning task")
    axes.set_xticks(range(count), names, rotation=90 if "+" in record["suite"] else 0)
    axes.set_yticks(range(len(matrix)), names if len(matrix) == count else ["all"])
    return figure


def learning_curves(records: Sequence[Record]) -> Figure:
    """Draw success while a task is learned: the mean over all tasks with 95 % intervals of its episodes, then a panel for each task."""
    shown = [record for record in records if record["learning_curves"]]
    tasks = list(dict.fromkeys(name for record in shown for name in task_names(record)))
    columns = min(4, 1 + len(tasks))
    lines = -(-(1 + len(tasks)) // columns)
    figure = Figure(figsize=(3.2 * columns, 2.4 * lines + 0.6), layout="constrained")
    panels = list(figure.subplots(lines, columns, squeeze=False, sharey=True).flat)
    for place, record in enumerate(shown):
        colour, curves = COLOURS(place % 20), record["learning_curves"]
        _mean_curve(panels[0], record, colour)
        for task, curve in zip(task_names(record), curves, strict=True):
            panels[1 + tasks.index(task)].plot(record["curve_steps"], curve, color=colour, marker=".")
    for axes, name in zip(panels, ["mean over tasks", *(f"task {task}" for task in tasks)], strict=False):
        axes.set(title=name, ylim=(-0.03, 1.03), xlabel="step")
    for axes in panels[1 + len(tasks) :]:
        axes.set_visible(False)
    _legend(figure)
    return figure


def _mean_curve(axes: Axes, record: Record, colour: Any) -> None:
    curves, steps = np.array(record["learning_curves"]), record["curve_steps"]
    episodes = record["selection_episodes"] * len(curves)
    bounds = np.array([wilson_interval(round(rate * episodes), episodes) for rate in curves.mean(0)])
    axes.plot(steps, curves.mean(0), color=colour, marker=".", label=label(record))
    axes.fill_between(steps, bounds[:, 0], bounds[:, 1], color=colour, alpha=0.15, linewidth=0)


def forgetting(records: Sequence[Record]) -> Figure:
    """Draw the mean success on all tasks learned so far, after each task."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for place, record in enumerate(records):
        matrix = record["success_matrix"]
        if len(matrix) == len(record["tasks"]):
            means = [np.mean(row[: index + 1]) for index, row in enumerate(matrix)]
            axes.plot(range(1, len(means) + 1), means, marker=".", color=COLOURS(place % 20), label=label(record))
        else:
            axes.axhline(float(np.mean(matrix[-1])), linestyle="--", color=COLOURS(place % 20), label=label(record))
    axes.set(title="success on all tasks learned so far", xlabel="tasks learned", ylim=(-0.03, 1.03))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(figure)
    return figure


def routing(record: Record) -> Figure | None:
    """Draw how often each slot was the strongest while the final policy played each task, a panel for each module group."""
    played = record["routing"]
    if any(part is None for part in played):
        return None
    shares = np.array([part["share"] for part in played])  # (tasks, groups, slots)
    alike = bool((shares == shares[:, :1]).all())  # what chooses one slot for all groups needs one panel
    panels = ["all groups"] if alike else list(GROUPS)
    figure = Figure(figsize=(max(5, 2.6 * min(3, len(panels)) + 0.8), 2.6 * -(-len(panels) // 3) + 0.4), layout="constrained")
    axes_list = figure.subplots(-(-len(panels) // 3), min(3, len(panels)), squeeze=False).flat
    for group, (axes, name) in enumerate(zip(axes_list, panels, strict=False)):
        picture = axes.imshow(shares[:, group], vmin=0, vmax=1, cmap="magma", aspect="auto")
        axes.set(title=name, xlabel="expert", ylabel="task played")
        axes.set_yticks(range(len(shares)), task_names(record))
        if record.get("pruned"):  # then experts are called by their tasks
            axes.set_xticks(range(shares.shape[-1]), [task_names(record)[place] for place in record["experts"]], rotation=90)
    figure.colorbar(picture, ax=list(figure.axes), label="share of ticks")
    figure.suptitle(f"{label(record)}: strongest expert")
    return figure


def _legend(figure: Figure) -> None:
    """Put one legend for all panels below them."""
    found = {name: line for axes in figure.axes for line, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    if found:
        figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=3, fontsize=8)
