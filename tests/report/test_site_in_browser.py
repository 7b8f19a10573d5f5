"""A site in a real browser: tables are filtered, sorted and pinned by mouse and by keys, and nothing is asked for."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.commands import judgebench
from tests.made_runs import write_run
from tests.patience import wait_for
from tests.report.hostile import write_hostile
from tests.report.looking import PHONE, READY, WIDE, Look, chromium, looking
from tests.report.test_in_browser import axe_script, serious
from tests.report.test_site import HOSTILE, write_all

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.requires_chromium

ROWS = """number => [...document.querySelectorAll("table.board")[number].tBodies[0].rows]
    .filter((row) => !row.hidden).map((row) => row.dataset.model)"""
SPOILT = """() => {
    const bad = window.ran === undefined ? [] : ["a script ran"];
    if (document.documentElement.scrollWidth > innerWidth) bad.push("wider than the window");
    const forbidden = /^(script|img|iframe|style|object|embed|base|link|meta|video|math|use)$/;
    for (const one of document.querySelectorAll("main *")) {
        if (forbidden.test(one.localName)) bad.push(one.localName);
        for (const { name, value } of one.attributes) {
            if (/^on|^(srcdoc|src|action|formaction|ping)$/.test(name)) bad.push(name);
            if (name === "href" && !/^(#|[\\w./%-]+(#|$))/.test(value)) bad.push(value);
        }
    }
    return bad;
}"""
FIRST = """model => [...document.querySelectorAll("table.board")]
    .findIndex((table) => table.tBodies[0].rows[0].dataset.model === model)"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of a few runs, with a comparison."""
    folder = tmp_path_factory.mktemp("looked-at")
    write_all(folder)
    judgebench(["report", "runs", "--html", "site/"], cwd=folder)
    return folder / "site"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of a run that was made to break it, in a folder with such a name, beside a harmless one."""
    folder = tmp_path_factory.mktemp("hostile")
    write_hostile(folder / "runs" / HOSTILE, 0)
    write_run(folder / "runs" / "mine", [1.0, 0], model="mine", answers=["a", "b"])
    judgebench(["report", "runs", "--html", "site/"], cwd=folder)
    return folder / "site"


@pytest.fixture(scope="module")
def browser(site: Path, hostile: Path) -> "Iterator[Browser]":
    """A browser, which is started when all is there."""
    with chromium() as started:
        yield started


@pytest.fixture
def look(browser: "Browser", site: Path) -> Iterator[Look]:
    """The leaderboards."""
    with looking(browser, site) as found:
        opened(found, "index.html")
        yield found


def opened(look: Look, page: str) -> Look:
    """Open a page of the site."""
    look.page.goto("about:blank")
    look.page.goto(f"file://{look.file}/{page}")
    wait_for(lambda: look.page.evaluate(READY))
    return look


def models(look: Look, number: int) -> list[str]:
    """The models that a table shows, in their order."""
    found: list[str] = look.page.evaluate(ROWS, number)
    return found


def table(look: Look, model: str) -> int:
    """Which table has this model first."""
    found: int = look.page.evaluate(FIRST, model)
    return found


def test_models_are_filtered(look: Look) -> None:
    """What is typed hides other rows and tables, is counted and stands in the address, which shows the same again."""
    look.press("/")
    look.page.keyboard.type("MIN")
    wait_for(lambda: "of" in look.words("#count"))
    shown = look.page.locator("table.board tbody tr:visible").all_inner_texts()
    assert shown
    assert all("mine" in row for row in shown)
    assert "q=MIN" in look.address
    same = look.page.url
    look.page.goto("about:blank")
    look.page.goto(same)
    wait_for(lambda: look.page.evaluate(READY))
    assert look.page.locator("#search").input_value() == "MIN"
    assert look.page.locator("table.board tbody tr:visible").all_inner_texts() == shown


def test_a_heading_sorts_and_the_address_says_so(look: Look) -> None:
    """Once one way, twice the other, a third time back to the ranks; back and forward go through them."""
    number = table(look, "mine")
    heads = look.page.locator("table.board").nth(number).locator("thead button")
    by_rank = models(look, number)
    model = heads.filter(has_text="model")
    model.click()
    assert models(look, number) == sorted(by_rank)
    model.click()
    assert models(look, number) == sorted(by_rank, reverse=True)
    model.click()
    assert models(look, number) == by_rank
    look.page.go_back()
    wait_for(lambda: models(look, number) == sorted(by_rank, reverse=True))
    heads.filter(has_text="exact_match_strict").focus()
    look.page.keyboard.press("Enter")
    assert models(look, number)[0] == "mine"
    assert look.page.locator("th[aria-sort=descending]").count() == 1


def test_a_pinned_model_comes_first(look: Look) -> None:
    """In each table that has it, whatever is typed; a second click takes it away."""
    number = table(look, "mine")
    pin = look.page.locator("table.board").nth(number).locator("button[aria-label='pin base']").first
    pin.click()
    assert models(look, number)[0] == "base"
    look.page.locator("#search").fill("mine")
    assert models(look, number)[0] == "base"
    assert "pin=base" in look.address
    look.page.locator("table.board").nth(number).locator("button[aria-label='pin base']").first.click()
    assert models(look, number) == ["mine"]


def test_pages_are_reached_by_keys_and_lead_to_samples_and_back(look: Look) -> None:
    """Digits go to the pages; a row leads to the run's page, whose samples lie beside it, and that back to the site."""
    look.page.keyboard.press("2")
    look.page.wait_for_url("**/runs.html*")
    wait_for(lambda: look.page.evaluate(READY))
    look.page.locator("th a", has_text="mine").click()
    wait_for(lambda: look.page.evaluate(READY))
    assert look.settled().heading == "mine"
    look.page.locator("nav.views a", has_text="Samples").click()
    look.settled().page.locator(".samples .row .id a").first.click()
    look.settled()
    wait_for(lambda: "Not here" not in look.heading)
    look.page.locator("header a", has_text="All runs").click()
    wait_for(lambda: look.page.evaluate(READY))
    assert look.heading == "Leaderboards"


def test_the_theme_turns(look: Look) -> None:
    """By its key and by its button."""
    dark = "getComputedStyle(document.body).backgroundColor"
    before = look.page.evaluate(dark)
    look.page.keyboard.press("t")
    assert look.page.evaluate(dark) != before
    look.page.locator("#theme").click()
    assert look.page.evaluate(dark) == before


@pytest.mark.parametrize(("theme", "size"), [("light", WIDE), ("dark", PHONE)], ids=["wide", "phone"])
def test_every_page_can_be_used_by_everybody(theme: str, size: dict[str, int], browser: "Browser", site: Path) -> None:
    """Nothing that axe calls serious or critical, and nothing wider than the window."""
    kinds = [*site.glob("*.html"), next(site.glob("tasks/*.html")), next(site.glob("judges/*.html"))]
    kinds += [next(site.glob("runs/*/index.html")), next(site.glob("comparisons/*/index.html"))]
    with looking(browser, site, size=size, color_scheme=theme) as look:
        for page in kinds:
            opened(look, page.relative_to(site).as_posix())
            look.page.evaluate(axe_script())
            assert serious(look) == [], page
            assert look.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page


def visible(look: Look, selector: str) -> bool:
    """Whether some of it is on the paper."""
    return any(one.is_visible() for one in look.page.locator(selector).all())


def sheets(look: Look) -> int:
    """How many sheets of paper a page takes."""
    return look.page.pdf(format="A4").count(b"/Type /Page\n")


def test_what_is_open_is_printed(look: Look, site: Path) -> None:
    """On paper stands the open view, in dark letters: no other view, no button or filter, nothing that is folded."""
    page = next(site.glob("runs/mine-*/index.html")).relative_to(site).as_posix()
    opened(look, f"{page}#/s/gsm8k%40chat/item-0001")
    look.settled()
    look.page.emulate_media(media="print", color_scheme="dark")
    assert visible(look, "#made article")
    assert "gsm8k@chat" in look.words("article header")
    assert not any(visible(look, own) for own in ("header.top", ".trail", ".tools", "#view-summary", "#view-cost"))
    assert not visible(look, "details:not([open])")
    assert look.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert sheets(look) <= 3
    opened(look, f"{page}#/runs")
    assert visible(look, "#view-runs")


def test_nothing_is_cut_off_on_paper(look: Look, site: Path) -> None:
    """Numbers of an axis, hashes and intervals lie within a sheet of A4, in every view of numbers."""
    look.page.set_viewport_size({"width": 688, "height": 1000})
    page = next(one for one in site.rglob("index.html") if 'id="view-compare"' in one.read_text())
    look.page.emulate_media(media="print")
    for view in ("#/", "#/task/gsm8k%40chat", "#/compare", "#/runs"):
        opened(look, f"{page.relative_to(site)}{view}")
        cut = "all => all.filter(one => one.getBoundingClientRect().right > 688).map(one => one.textContent)"
        assert look.page.locator("main :is(td, th, svg text, dd, p):visible").evaluate_all(cut) == [], view


def test_leaderboards_are_printed_whole(look: Look) -> None:
    """On sheets that lie on their side, without what only a screen needs."""
    look.page.emulate_media(media="print")
    assert visible(look, "table.board")
    assert not any(visible(look, own) for own in ("#search", "button.pin", "header.top"))
    width, height = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", look.page.pdf(format="A4"))[0]
    assert float(width) > float(height)


def test_runs_that_were_made_to_break_it_break_nothing(browser: "Browser", hostile: Path) -> None:
    """Names of models, tasks, judges, metrics and folders are text on every page, and nothing in them runs."""
    pages = sorted(hostile.rglob("*.html"))
    assert len(pages) > 8
    with looking(browser, hostile) as look:
        for page in pages:
            opened(look, page.relative_to(hostile).as_posix())
            assert look.page.evaluate(SPOILT) == [], page
            assert look.page.locator("main h1:visible").count() == 1, page
