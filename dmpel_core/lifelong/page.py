"""The report as one HTML page: figures are in it as PNGs, nothing is fetched from anywhere."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from dmpel_core.experts.manifest import slug
from dmpel_core.lifelong.figures import forgetting, label, learning_curves, routing, success_matrix, task_names
from dmpel_core.lifelong.intervals import METRICS
from dmpel_core.lifelong.summary import Row, controls_of, rows
from dmpel_core.lifelong.switching import FIGURES

# What is wider than the page scrolls in a box of its own, so that a telephone shows figures and tables at a size that can be read.
STYLE = """
:root { color-scheme: light }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #222; background: #fff }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums }
th, td { padding: .3rem .7rem; border-bottom: 1px solid #ccc; text-align: right } th { vertical-align: bottom } td { white-space: nowrap }
th:first-child, td:first-child { text-align: left; white-space: normal; min-width: 6rem; position: sticky; left: 0; background: #fff }
.tasks td { text-align: left; white-space: normal } small { color: #555 } img { display: block; max-width: 100%; height: auto }
.wide { overflow-x: auto; scroll-padding-left: 11rem } .wide img { max-width: max(100%, 45rem) }
.matrices { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 30rem), 1fr)); gap: 1rem }
"""
NOTE = """<p><small>Success rates, and below each its 95 % interval by chance of the episodes; several seeds are averaged.
FWT: success while a task is learned. NBT: success lost on earlier tasks, less is better. AUC: success on each task while and after it is
learned. Final success: on all tasks at the end.</small></p>"""
HEADS = ("algorithm", "seeds", "tasks", "FWT", "NBT", "AUC", "final success", "trainable", "stored", "minutes")
SWITCHING = ("own expert first", "switches per episode", "jerk at switches", "jerk elsewhere")
"""What `FIGURES` are called in a table."""


def write_page(records: Sequence[Mapping[str, Any]], folder: Path) -> Path:
    """Write `index.html` and a PNG for each figure, and return the page."""
    folder.mkdir(parents=True, exist_ok=True)
    suites = list(dict.fromkeys(record["suite"] for record in records))
    body = "".join(_suite(suite, [record for record in records if record["suite"] == suite], folder) for suite in suites)
    page = folder / "index.html"
    page.write_text(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>Lifelong runs</title><style>{STYLE}</style></head>'
        f"<body><h1>Lifelong runs</h1>{body}</body></html>\n",
        encoding="utf-8",
    )
    return page


def _suite(suite: str, records: Sequence[Mapping[str, Any]], folder: Path) -> str:
    def show(figure: Figure, name: str, text: str) -> str:
        return _image(figure, folder / f"{suite}-{name}.png", text)

    named = [(record, slug(f"{record['name']}-{record['seed']}")) for record in records]
    parts = [
        f"<section><h2>{escape(suite)}</h2>",
        _table(rows(records)),
        _controls(records),
        "<h3>Forgetting</h3>",
        _wide(show(forgetting(records), "forgetting", "Success on all tasks learned so far")),
        _pruned(records),
    ]
    if any(record["learning_curves"] for record in records):
        curves = show(learning_curves(records), "learning-curves", "Success while each task is learned")
        parts += ["<h3>Learning curves</h3>", _wide(curves)]
    parts.append('<h3>Success matrices</h3><div class="matrices">')
    parts += [show(success_matrix(record), f"matrix-{name}", f"Success matrix of {label(record)}") for record, name in named]
    parts.append("</div>")
    drawn = [(record, name, routing(record)) for record, name in named]
    if any(figure for *_, figure in drawn):
        parts += ["<h3>Routing</h3>", _routing(records)]
        parts += [_wide(show(figure, f"routing-{name}", f"Routing of {label(record)}")) for record, name, figure in drawn if figure]
    return "".join([*parts, _tasks(records[0]), "</section>"])


def _table(found: Sequence[Row]) -> str:
    body = "".join(
        f"<tr><td>{escape(row.name)}</td><td>{', '.join(map(str, row.seeds))}</td><td>{row.tasks}</td>"
        + "".join(_metric(row, name) for name in METRICS)
        + f"<td>{row.trainable:,}</td><td>{row.stored / 1e6:.1f} MB</td><td>{row.minutes:.0f}</td></tr>"
        for row in found
    )
    return _framed("comparison", HEADS, body) + NOTE


def _metric(row: Row, name: str) -> str:
    value = row.values[name]
    if value is None:
        return "<td>&ndash;</td>"
    low, high = row.intervals[name]
    return f"<td>{value:.3f}<br><small>{low:.3f} to {high:.3f}</small></td>"


def _controls(records: Sequence[Mapping[str, Any]]) -> str:
    names, lines = controls_of(records)
    rates = [(record, [tally.rate for tally in tallies]) for record, tallies in lines]
    return "<h3>Controls, on solved tasks</h3>" + _sheet("controls", ("normal", *names), rates, 2) if rates else ""


def _routing(records: Sequence[Mapping[str, Any]]) -> str:
    figures = [(record, record["routing_figures"]) for record in records if record.get("routing_figures")]
    if not figures:
        return ""
    note = (
        "<p><small>Share of the first ticks whose strongest expert is the task's own; how often the strongest expert of a module group "
        "changes; mean jerk of the actions at ticks where one changed, and at all others.</small></p>"
    )
    return _sheet("routing", SWITCHING, [(run, [told[name] for name in FIGURES]) for run, told in figures], 4) + note


def _pruned(records: Sequence[Mapping[str, Any]]) -> str:
    lines = [_pruning(record, told) for record in records for told in record.get("pruned", [])]
    if not lines:
        return ""
    heads = ("run", "after task", "experts of tasks", "success before", "success after", "stored before", "stored after")
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>" for line in lines)
    return "<h3>Pruned</h3>" + _framed("pruned", heads, body)


def _pruning(record: Mapping[str, Any], told: Mapping[str, Any]) -> tuple[str, ...]:
    names, after = task_names(record), told["after"]
    rates = [f"{sum(row) / len(row):.3f}" for row in (told["success_before"], record["success_matrix"][after])]
    sizes = [f"{size / 1e6:.1f} MB" for size in (told["stored_bytes_before"], record["stored_bytes_by_task"][after])]
    return label(record), names[after], ", ".join(names[place] for place in told["experts"]), *rates, *sizes


def _sheet(kind: str, heads: Sequence[str], lines: Sequence[tuple[Mapping[str, Any], Sequence[float | None]]], digits: int) -> str:
    """Return a table with a line of figures for each run."""
    cells = [
        (label(record), "".join("<td>&ndash;</td>" if value is None else f"<td>{value:.{digits}f}</td>" for value in values))
        for record, values in lines
    ]
    body = "".join(f"<tr><td>{escape(name)}</td>{values}</tr>" for name, values in cells)
    return _framed(kind, ("run", *heads), body)


def _framed(kind: str, heads: Sequence[str], body: str) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    return _wide(f'<table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>')


def _tasks(record: Mapping[str, Any]) -> str:
    lines = zip(task_names(record), record["tasks"], strict=True)
    body = "".join(f"<tr><td>{escape(name)}</td><td>{escape(task['instruction'])}</td></tr>" for name, task in lines)
    return f'<h3>Tasks</h3><table class="tasks">{body}</table>'


def _wide(content: str) -> str:
    return f'<div class="wide">{content}</div>'


def _image(figure: Figure, path: Path, text: str) -> str:
    figure.savefig(path, dpi=110)
    content = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{escape(text)}" src="data:image/png;base64,{content}">'
