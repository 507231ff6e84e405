"""The report: what it says, that nothing is missing in it, and what it refuses."""

import base64
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from dmpel_core.errors import DmpelError
from dmpel_core.lifelong import figures, peak, report
from dmpel_core.lifelong.intervals import Counts, draws
from dmpel_core.lifelong.player import routing
from dmpel_core.lifelong.summary import controls_of, row_of, rows
from dmpel_core.lifelong.table import tables
from tests.lifelong.records import FIGURES, ROUTES, TASKS, record, write, write_report


class Page(HTMLParser):
    """Collects what a page shows and what it would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures: dict[str, bytes] = {}
        self.rows: list[list[str]] = []
        self.fetched: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "img":
            kind, content = str(named["src"]).split(",", 1)
            assert kind == "data:image/png;base64"
            self.pictures[str(named["alt"])] = base64.b64decode(content, validate=True)
        self.fetched += [str(named[key]) for key in ("href", "src") if key in named and not str(named[key]).startswith("data:")]
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")
        if tag not in {"img", "meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "tr" in self.open:
            self.rows[-1][-1] += data + " "


def made(folder: Path, places: list[Path]) -> Page:
    page = Page()
    page.feed(write_report(folder, places).read_text(encoding="utf-8"))
    page.close()
    assert not page.open, "a tag that is never closed"
    return page


def test_the_page_shows_every_run_and_needs_nothing_beside_it(tmp_path: Path) -> None:
    runs = write(tmp_path, record("dmpel", routing=ROUTES, routing_figures=FIGURES), record("sequential"), record("multitask"))
    page = made(tmp_path / "report", runs)
    assert page.fetched == []
    names = {"Success on all tasks learned so far", "Success while each task is learned", "Routing of dmpel, seed 0"}
    told = next(row for row in page.rows if row[0].strip() == "dmpel, seed 0" and len(row) == 5)
    assert [cell.strip() for cell in told[1:]] == ["0.7500", "2.0000", "0.3000", "\N{EN DASH}"]
    names |= {f"Success matrix of {name}, seed 0" for name in ("dmpel", "sequential", "multitask")}
    assert page.pictures.keys() == names
    for name, content in page.pictures.items():
        pixels = np.asarray(Image.open(BytesIO(content)).convert("RGB"))
        assert min(pixels.shape[:2]) > 100, name
        assert pixels.std() > 10, f"{name} is blank"
    assert {path.name for path in (tmp_path / "report").glob("*.png")} >= {"libero_goal-forgetting.png", "libero_goal-matrix-dmpel-0.png"}
    assert len(list((tmp_path / "report").glob("*.png"))) == len(names)
    comparison = {row[0].strip(): row for row in page.rows}
    assert comparison["dmpel"][3].startswith("0.400 ")  # the mean of both curves' means
    assert comparison["multitask"][5].strip() == "\N{EN DASH}"
    assert "2.5 MB" in comparison["sequential"][8]


def test_seeds_share_a_look_and_names_keep_theirs_in_every_figure() -> None:
    records = [record("multitask"), record("dmpel"), record("dmpel", 1), *(record("er", name=f"er {number}") for number in range(12))]

    def seen(figure: Figure) -> dict[str, set[tuple[object, str]]]:
        lines = [line for line in figure.axes[0].lines if line.get_label() != "multitask"]  # which has no curve
        return {line.get_label(): {(other.get_color(), other.get_linestyle()) for other in lines if other.get_label() == line.get_label()}
                for line in lines}  # fmt: skip

    found = seen(figures.forgetting(records))
    assert found == seen(figures.learning_curves(records))
    looks = [look for kinds in found.values() for look in kinds]
    assert len(looks) == len(set(looks)) == 13


@pytest.mark.parametrize("name", ["dmpel", "dmpel, coefficient replay at a ratio of 0.05 and routers that start from names"])
def test_the_title_of_a_matrix_stays_in_its_picture(name: str) -> None:
    figure = figures.success_matrix(record("dmpel", name=name))
    figure.draw_without_rendering()
    title, picture = figure.texts[0].get_window_extent(), figure.bbox
    assert picture.x0 <= title.x0 < title.x1 <= picture.x1
    assert title.y1 <= picture.y1


def test_instructions_cannot_break_the_page(tmp_path: Path) -> None:
    page = made(tmp_path / "report", write(tmp_path, record("dmpel")))
    assert "put it on &lt;3&gt;" in (tmp_path / "report" / "index.html").read_text()
    assert len(page.pictures) == 3


def test_tasks_of_several_suites_are_told_apart(tmp_path: Path) -> None:
    tasks = [{**TASKS[0], "suite": suite} for suite in ("libero_spatial", "libero_goal")]
    several = record("dmpel", suite="libero_spatial+libero_goal", tasks=tasks)
    titles = [axes.get_title() for axes in figures.learning_curves([several]).axes]
    assert titles == ["mean over tasks", "task spatial 3", "task goal 3"]
    page = made(tmp_path / "report", write(tmp_path, several))
    assert [row[0].strip() for row in page.rows[-2:]] == ["spatial 3", "goal 3"]


def test_what_was_pruned_stands_beside_what_it_cost(tmp_path: Path) -> None:
    told = {"after": 1, "experts": [0], "success_before": [0.75, 1.0], "stored_bytes_before": 3000000}
    two = [routing([np.eye(2)[[0] * 6]])] * 2
    page = made(tmp_path / "report", write(tmp_path, record(
        "dmpel", pruned=[told], routing=two, experts=[1, 0], stored_bytes_by_task=[3000000, 2000000])))  # fmt: skip
    line = next(row for row in page.rows if "after task" in row[1])
    cells = page.rows[page.rows.index(line) + 1]
    assert [cell.strip() for cell in cells] == ["dmpel, seed 0", "5", "3", "0.875", "0.750", "3.0 MB", "2.0 MB"]


def test_several_seeds_are_one_row_with_a_narrower_interval() -> None:
    one, three = row_of([record("dmpel")]), row_of([record("dmpel", seed) for seed in range(3)])
    assert three.seeds == (0, 1, 2)
    assert three.values == pytest.approx(one.values)
    for name, (low, high) in three.intervals.items():
        wide = one.intervals[name]
        assert high - low < wide[1] - wide[0]


def test_an_interval_holds_what_was_measured() -> None:
    """After total forgetting the draws of every cell lie on one side of its rate."""
    row = row_of([record("tail", success_matrix=[[1.0], [0.0, 1.0]])])
    assert row.values["nbt"] == 1.0
    assert row.intervals["nbt"][1] == 1.0


@pytest.mark.parametrize("rates", [[0.3, 0.7], [0.5] * 10, [0.9] * 10, [0.95] * 10, [0.05] * 10], ids=str)
def test_the_interval_holds_its_promise(rates: list[float]) -> None:
    """Of many runs whose true rates are known, more than nine in ten have the true final success in their interval."""
    rng, held = np.random.default_rng(0), 0
    for number in range(200):
        counts = Counts([[0], rng.binomial(20, rates).tolist()], [], 20, 5)
        low, high = np.percentile(draws(counts, 200, number)["final_success"], (2.5, 97.5))
        held += low <= np.mean(rates) <= high
    assert 172 <= held <= 199


def test_routing_counts_what_is_strongest() -> None:
    first, second = ROUTES
    assert first["share"][0] == [1, 0, 0]
    assert first["share"][5] == [0, 0, 1]
    assert first["entropy"] == [0] * 6
    assert second["entropy"][0] == pytest.approx(np.log2(3), abs=1e-3)
    assert second["mean"][2] == [0.5] * 3


def test_what_is_no_record_is_refused(tmp_path: Path) -> None:
    same = write(tmp_path / "same", record("dmpel"), record("dmpel"))
    with pytest.raises(DmpelError, match="several records of the same run"):
        report.read_records(same)
    with pytest.raises(DmpelError, match="no record of a run"):
        report.read_records([tmp_path / "nothing"])
    damaged = record("dmpel")
    del damaged["nbt"]
    with pytest.raises(DmpelError, match=r"lacks \['nbt'\]"):
        report.read_records(write(tmp_path / "damaged", damaged))
    with pytest.raises(DmpelError, match="not those of 10 episodes"):
        report.read_records(write(tmp_path / "odd", {**record("dmpel"), "success_matrix": [[0.33], [0.5, 1.0]]}))


def test_runs_with_other_options_are_rows_of_their_own(tmp_path: Path) -> None:
    found = report.read_records(write(tmp_path, record("dmpel"), record("dmpel", name="dmpel ratio 0.05"), record("dmpel", 1)))
    assert [(row.name, row.seeds) for row in rows(found)] == [("dmpel", (0, 1)), ("dmpel ratio 0.05", (0,))]


def test_the_peak_is_what_the_system_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peak, "STATUS", tmp_path / "status")
    monkeypatch.setattr(peak, "CLEAR", tmp_path)
    assert peak.peak_bytes() == 0
    (tmp_path / "status").write_text("Name:\tpython\nVmHWM:\t  2048 kB\nVmRSS:\t  100 kB\n")
    peak.forget_peak()  # a folder cannot be written to, and that is no fault
    assert peak.peak_bytes() == 2 * 1024 * 1024


def test_the_comparison_is_printed_as_markdown(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    write_report(tmp_path / "report", write(tmp_path, record("dmpel"), record("dmpel", seed=1, controls={}), record("multitask")))
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    heads, _, *compared = lines[:4]
    assert heads[:3] == ["algorithm", "seeds", "FWT"]
    assert [line[:2] for line in compared] == [["dmpel", "0, 1"], ["multitask", "0"]]
    assert compared[0][2].startswith("0.400 (")
    assert compared[1][2] == "-", "all tasks at once have no curve"
    assert lines[4:] == [
        ["solved at the end (when learned)", "dmpel", "multitask"], ["---"] * 3,
        ["3 put it on <3>", "10 / 20 (20)", "5 / 10"], ["5 put it on <5>", "20 / 20", "10 / 10"], ["together", "30 / 40 (40)", "15 / 20"],
        ["on solved tasks", "normal", "blank"], ["---"] * 3, ["dmpel", "30 / 40", "2 / 40"], ["multitask", "15 / 20", "2 / 40"],
    ]  # fmt: skip


def test_runs_of_other_tasks_share_the_lines_of_those_that_both_have(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    first = record("single_task", tasks=TASKS[:1], success_matrix=[[0.9]], learning_curves=[[0.0, 1.0]], curve_steps=[[0, 10]], controls={})
    write_report(tmp_path / "report", write(tmp_path, record("dmpel", controls={}), first))
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("| 3 ", "| 5 "))]
    assert lines == ["| 3 put it on <3> | 9 / 10 | 5 / 10 (10) |", "| 5 put it on <5> | - | 10 / 10 |"]


@pytest.mark.parametrize(("page", "folder", "tables_of"), [("results.md", "compared", 3), ("lifelong_results.md", "three", 1)])
def test_the_published_comparisons_are_what_the_records_say(page: str, folder: str, tables_of: int) -> None:
    root = Path(__file__).parents[2]
    published = (root / "docs" / page).read_text(encoding="utf-8")
    printed = tables(report.read_records([root / "results" / "lifelong" / folder])).split("\n\n")[1:]
    assert [table for table in printed[:tables_of] if table not in published] == []


def test_controls_are_compared_on_the_tasks_that_are_solved_at_times() -> None:
    forgot = record("sequential", success_matrix=[[1.0], [0.0, 0.8]], controls={"blank": [None, 0.2], "wide": [0.0, 0.6]})
    nothing = record("tail", success_matrix=[[0.0], [0.0, 0.0]], controls={"blank": [None, None]})
    names, lines = controls_of([forgot, nothing])
    assert (names, [list(map(str, tallies)) for _, tallies in lines]) == (["blank", "wide"], [["8 / 10", "4 / 20", "12 / 20"], ["-"] * 3])
