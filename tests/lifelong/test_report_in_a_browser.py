"""The report in a real browser: what a person sees on a laptop and on a telephone, in light and in dark surroundings."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from dmpel_core.lifelong.player import routing
from tests.lifelong.records import FIGURES, record, write, write_report

DEBIANS = Path("/usr/bin/chromium")  # elsewhere it is Playwright's own, see scripts/install_system_packages.sh
SIZES = {"laptop": (1280, 800), "telephone": (390, 844)}
SCHEMES = ("light", "dark")
LEAST_CONTRAST = 4.5  # WCAG 2.1, level AA, for text of ordinary size

INSTRUCTIONS = (
    "open the middle drawer of the cabinet", "open the top drawer and put the bowl inside", "turn on the stove",
    "push the plate to the front of the stove", "put the wine bottle on the rack", "put the bowl on the plate",
)  # fmt: skip

PICTURES = "all => all.map(one => [one.naturalWidth, one.naturalHeight, one.clientWidth, one.clientHeight])"
BOXES = "all => all.map(one => one.getBoundingClientRect()).map(box => [box.left, box.right, box.width, box.height])"
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
HIDDEN_CELLS = """all => all.filter(cell => {
    cell.scrollIntoView({block: "center", inline: "nearest"});
    const box = cell.getBoundingClientRect();
    const seen = document.elementFromPoint((box.left + box.right) / 2, (box.top + box.bottom) / 2);
    return !cell.contains(seen) || box.left < 0 || box.right > innerWidth || cell.scrollWidth > cell.clientWidth;
}).map(cell => cell.innerText)"""


@dataclass
class Opened:
    """A page, everything that it complained of, and every address that it asked for."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


def show(browser: Browser, path: Path, size: str = "laptop", scheme: Any = "light") -> Opened:
    width, height = SIZES[size]
    opened = Opened(browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme, device_scale_factor=2))
    opened.page.on("console", lambda message: opened.said.append(message.text))
    opened.page.on("pageerror", lambda error: opened.said.append(str(error)))
    opened.page.on("request", lambda request: opened.asked.append(request.url))
    opened.page.goto(path.as_uri())
    return opened


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return headless Chromium."""
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=DEBIANS if DEBIANS.exists() else None)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of several runs of six tasks."""
    tasks = [{"number": n, "instruction": text, "frames": 9, "demonstrations": 50, "data": "ab"} for n, text in enumerate(INSTRUCTIONS)]
    names = ("blank", "wrong instruction", "wide", "wide_blank", "object", "swap", "paraphrase", "task")
    shared: dict[str, Any] = {"tasks": tasks, "controls": {name: [0.2] * len(tasks) for name in names}}
    learned = shared | {
        "success_matrix": [[0.9 - 0.1 * (row - task) for task in range(row + 1)] for row in range(len(tasks))],
        "learning_curves": [[0.0, 0.8] for _ in tasks],
        "curve_steps": [[0, 10 * (1 + n)] for n in range(len(tasks))],
    }
    routes = [routing(list(np.random.default_rng(task).random((20, 6, len(tasks))))) for task in range(len(tasks))]
    pruned = {"after": 3, "experts": [0, 2], "success_before": [0.75] * 4, "stored_bytes_before": 3000000}
    told = {
        "routing_figures": FIGURES,
        "pruned": [pruned],
        "experts": list(range(len(tasks))),
        "stored_bytes_by_task": [2000000] * len(tasks),
    }
    runs = [record("dmpel", 0, routing=routes, **learned, **told), record("dmpel", 1, **learned), record("dmpel", 2, **learned)]
    runs += [record("sequential", **learned), record("dmpel", name="dmpel, coefficient replay at a ratio of 0.05", **learned)]
    runs.append(record("multitask", **shared, success_matrix=[[0.9] * len(tasks)]))
    folder = tmp_path_factory.mktemp("report")
    return write_report(folder / "report", write(folder / "runs", *runs))


@pytest.fixture(scope="module", params=list(product(SIZES, SCHEMES)), ids="-".join)
def opened(request: pytest.FixtureRequest, browser: Browser, report: Path) -> Iterator[Opened]:
    """Return the report, opened."""
    opened = show(browser, report, *request.param)
    yield opened
    opened.page.close()


def contrast(picture: bytes) -> float:
    """Return the contrast of the darkest to the lightest pixel as WCAG defines it."""
    values = np.asarray(Image.open(BytesIO(picture)).convert("RGB")) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    luminance = linear @ np.array([0.2126, 0.7152, 0.0722])
    return (luminance.max() + 0.05) / (luminance.min() + 0.05)


def test_it_complains_of_nothing_and_asks_for_nothing_but_itself(opened: Opened, report: Path) -> None:
    assert opened.said == []
    assert opened.asked == [report.as_uri()]


def test_every_picture_is_there_in_its_own_proportions(opened: Opened) -> None:
    pictures = opened.page.locator("img").evaluate_all(PICTURES)
    assert len(pictures) == 9  # forgetting, curves, six matrices, one routing
    for natural_width, natural_height, width, height in pictures:
        assert min(natural_width, natural_height) > 100
        assert width > 300
        assert width / height == pytest.approx(natural_width / natural_height, rel=0.02)


def test_nothing_is_without_extent_or_wider_than_the_window(opened: Opened) -> None:
    for name in ("h1", "h2", "h3", "p", "table", "th", "td"):
        boxes = np.array(opened.page.locator(name).evaluate_all(BOXES))
        assert len(boxes), name
        assert boxes[:, 2:].min() > 5, f"a {name} that nobody can see"
    assert opened.page.evaluate(TOO_WIDE) == 0
    left, right = np.array(opened.page.locator("h1, h2, h3, p, .tasks, .wide, .matrices img").evaluate_all(BOXES))[:, :2].T
    assert left.min() >= 0
    assert right.max() <= opened.page.evaluate("innerWidth")


def test_every_cell_of_every_table_can_be_brought_into_view(opened: Opened) -> None:
    assert opened.page.locator(".comparison td").count() == 4 * 10
    for name in (".comparison", ".controls", ".pruned", ".routing", ".tasks"):
        assert opened.page.locator(f"{name} tr > *").evaluate_all(HIDDEN_CELLS) == []
    last = opened.page.locator(".comparison tbody tr").first.locator("td").last
    last.scroll_into_view_if_needed()
    name = opened.page.locator(".comparison td").first.bounding_box()
    assert name is not None
    assert name["x"] >= 0, "the name of a row leaves the window while its figures are read"


def test_text_stands_out_from_its_ground(opened: Opened) -> None:
    for name in ("h1", "h3", ".comparison th", ".comparison td", ".comparison small", ".controls td", "p small", ".tasks td"):
        assert contrast(opened.page.locator(name).first.screenshot()) >= LEAST_CONTRAST, name


def test_a_page_with_these_faults_would_be_noticed(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "faulty.html"
    path.write_text(
        '<!doctype html><p style="color: #999">grey</p><img src="elsewhere.png"><script>throw new Error("broken")</script>'
        '<div style="width: 600px; overflow: hidden"><table style="width: 2000px"><td>seen</td><td>cut off</td></table></div>'
        '<p style="width: 3000px">long</p>'
    )
    opened = show(browser, path)
    page = opened.page
    assert [text for text in opened.said if "broken" in text]
    assert opened.asked[1:] == [(tmp_path / "elsewhere.png").as_uri()]
    assert page.locator("img").evaluate_all(PICTURES)[0][:2] == [0, 0]
    assert page.evaluate(TOO_WIDE) > 1000
    assert contrast(page.locator("p").first.screenshot()) < LEAST_CONTRAST
    page.close()
