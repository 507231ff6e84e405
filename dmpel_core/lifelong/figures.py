"""The figures of the report, drawn with matplotlib."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dmpel_core.evaluation.statistics import wilson_interval
from dmpel_core.groups import GROUPS

Record = Mapping[str, Any]
COLOURS = mpl.color_sequences["tab10"]
DASHES = ("-", ":", "-.")


def label(record: Record) -> str:
    """Return a run's name above its own figures; where several are drawn, seeds of one name share a colour."""
    return f"{record['name']}, seed {record['seed']}"


def task_names(record: Record) -> list[str]:
    """Return what each task is called on an axis: its number, with its suite where there are several."""
    several = "+" in record["suite"]
    return [f"{task['suite'].removeprefix('libero_')} {task['number']}" if several else str(task["number"]) for task in record["tasks"]]


def looks(records: Sequence[Record]) -> dict[str, dict[str, Any]]:
    """Return colour and line style by name: the same in each figure that is given all records."""
    names = sorted({record["name"] for record in records})
    count = len(COLOURS)
    return {name: {"color": COLOURS[place % count], "linestyle": DASHES[place // count % len(DASHES)]} for place, name in enumerate(names)}


def success_matrix(record: Record) -> Figure:
    """Draw success on each task (columns) after each one was learned (rows)."""
    matrix, count = record["success_matrix"], len(record["tasks"])
    width = 1.4 + 0.42 * count  # [inch], of which a letter of a title takes a tenth at most
    figure = Figure(figsize=(width, 1.4 + 0.36 * len(matrix)), layout="constrained")
    axes = figure.subplots()
    values = np.full((len(matrix), count), np.nan)
    for place, row in enumerate(matrix):
        values[place, : len(row)] = row
    axes.imshow(values, vmin=0, vmax=1, cmap="viridis", aspect="auto")
    for (place, task), value in np.ndenumerate(values):
        if not np.isnan(value):
            axes.text(task, place, f"{100 * value:.0f}", ha="center", va="center", color="white" if value < 0.6 else "black", fontsize=8)
    names = task_names(record)
    figure.suptitle(fill(f"{label(record)}: success [%]", int(10 * width)))
    axes.set(xlabel="task", ylabel="after learning task")
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
    look = looks(records)
    for record in shown:
        own = look[record["name"]]
        _mean_curve(panels[0], record, own)
        for task, steps, curve in zip(task_names(record), record["curve_steps"], record["learning_curves"], strict=True):
            panels[1 + tasks.index(task)].plot(steps, curve, marker=".", **own)
    for axes, name in zip(panels, ["mean over tasks", *(f"task {task}" for task in tasks)], strict=False):
        axes.set(title=name, ylim=(-0.03, 1.03), xlabel="step")
    for axes in panels[1 + len(tasks) :]:
        axes.set_visible(False)
    _legend(figure)
    return figure


def _mean_curve(axes: Axes, record: Record, look: Mapping[str, Any]) -> None:
    curves, steps = np.array(record["learning_curves"]), np.mean(record["curve_steps"], 0)
    episodes = record["selection_episodes"] * len(curves)
    bounds = np.array([wilson_interval(round(rate * episodes), episodes) for rate in curves.mean(0)])
    axes.plot(steps, curves.mean(0), marker=".", label=record["name"], **look)
    axes.fill_between(steps, bounds[:, 0], bounds[:, 1], color=look["color"], alpha=0.1, linewidth=0)


def forgetting(records: Sequence[Record]) -> Figure:
    """Draw the mean success on all tasks learned so far, after each task."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    look = looks(records)
    for record in records:
        matrix, own = record["success_matrix"], look[record["name"]]
        if len(matrix) == len(record["tasks"]):
            means = [np.mean(row[: index + 1]) for index, row in enumerate(matrix)]
            axes.plot(range(1, len(means) + 1), means, marker=".", label=record["name"], **own)
        else:
            axes.axhline(float(np.mean(matrix[-1])), label=record["name"], **{**own, "linestyle": "--"})
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
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if record.get("pruned"):  # then experts are called by their tasks
            axes.set_xticks(range(shares.shape[-1]), [task_names(record)[place] for place in record["experts"]], rotation=90)
    figure.colorbar(picture, ax=list(figure.axes), label="share of ticks")
    figure.suptitle(f"{label(record)}: strongest expert")
    return figure


def _legend(figure: Figure) -> None:
    """Put one legend for all panels below them, with each name once."""
    found = {name: line for axes in figure.axes for line, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    if found:
        figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=4, fontsize=8)
