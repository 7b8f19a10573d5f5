"""A report of runs that were made to break it: every text is shown as text, nothing of it runs, and no view fails."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from judgebench.report.address import address
from tests.commands import judgebench
from tests.patience import wait_for
from tests.report.hostile import TEXTS, write_hostile
from tests.report.looking import PHONE, Look, chromium, looking

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.requires_chromium

ARENA = "arenahard@v2.0"
WALK = """async ([addresses, allowed]) => {
    const found = [], errors = [], root = document.documentElement;
    const forbidden = /^on|^(srcdoc|src|action|formaction|ping|style)$/;
    // Nothing waits for a picture that nobody looks at.
    window.requestAnimationFrame = (done) => setTimeout(done);
    addEventListener("error", (event) => errors.push(String(event.message)));
    addEventListener("unhandledrejection", (event) => errors.push(String(event.reason)));
    for (const to of addresses) {
        const bad = (what) => found.length < 20 && found.push(`${what} at ${to}`);
        location.hash = to;
        const waits = to.endsWith("d=diff") ? "[aria-busy]" : "[none]";
        const busy = () => root.dataset.shown !== location.hash || document.querySelector(waits);
        while (busy()) await new Promise((done) => setTimeout(done, 1));
        const views = [...document.querySelectorAll("section.view")].filter((one) => !one.hidden);
        const heading = views[0]?.querySelector("h1")?.textContent;
        if (views.length !== 1 || !heading || heading === "Not here") bad(`${views.length} views, ${heading}`);
        for (const one of views[0].querySelectorAll("*")) {
            if (!allowed.includes(one.localName)) bad(one.localName);
            for (const { name, value } of one.attributes) {
                const placed = name === "style" && one.matches(".row, .sizer");
                if (forbidden.test(name) && !placed) bad(`${one.localName} ${name}`);
                if (name === "href" && !value.startsWith("#")) bad(`${one.localName} ${name}=${value}`);
            }
        }
        if (window.ran !== undefined || {}.polluted !== undefined) bad("a script ran");
        if (root.scrollWidth > innerWidth) bad("wider than the window");
        errors.splice(0).forEach(bad);
    }
    return found;
}"""
TAGS = [
    "a",
    "article",
    "aside",
    "bdi",
    "br",
    "button",
    "caption",
    "circle",
    "code",
    "dd",
    "desc",
    "details",
    "div",
    "dl",
    "dt",
    "ellipse",
    "em",
    "form",
    "g",
    "h1",
    "h2",
    "h3",
    "h4",
    "header",
    "input",
    "ins",
    "kbd",
    "label",
    "li",
    "line",
    "mark",
    "nav",
    "ol",
    "option",
    "p",
    "path",
    "polygon",
    "polyline",
    "pre",
    "rect",
    "section",
    "select",
    "small",
    "span",
    "strong",
    "summary",
    "svg",
    "table",
    "tbody",
    "td",
    "text",
    "tfoot",
    "th",
    "thead",
    "title",
    "tr",
    "ul",
    "use",
    "wbr",
]
"""What the page's own code makes."""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of two such runs, one of them in a folder whose name is no text."""
    folder = tmp_path_factory.mktemp("hostile")
    names = ["<img src=x onerror=window.ran=1>", os.fsdecode(b"half \xff\xed\xa0\xbd")]
    for seed, name in enumerate(names):
        write_hostile(folder / name, seed)
    judgebench(["report", *(folder / name for name in names), "--html", "report.html"], cwd=folder)
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser(file: Path) -> "Iterator[Browser]":
    """A browser, which is started when the report is there."""
    with chromium() as started:
        yield started


@pytest.fixture
def look(browser: "Browser", file: Path) -> Iterator[Look]:
    """The report, at its first view."""
    with looking(browser, file) as found:
        yield found.open()


def index(look: Look) -> dict[str, list[str]]:
    """The tasks of the report by their labels, with the ids of their samples."""
    found = look.page.evaluate(
        """async () => {
            const data = atob(document.getElementById("index").textContent.trim());
            const packed = new Blob([Uint8Array.from(data, (one) => one.charCodeAt(0))]).stream();
            const text = await new Response(packed.pipeThrough(new DecompressionStream("gzip"))).text();
            return JSON.parse(text).tasks.map((task) => [task.label, task.ids]);
        }"""
    )
    assert len(found) == 4
    return dict(found)


def walked(look: Look, addresses: list[str]) -> list[str]:
    """What is wrong in any of the views."""
    found: list[str] = look.page.evaluate(WALK, [addresses, TAGS])
    return found


@pytest.mark.parametrize("mode", ["formatted", "raw", "diff"])
def test_every_sample_in_every_mode(mode: str, look: Look) -> None:
    """At least 300 texts, each as id, prompt, answer, label, reply and more: no element and no script of theirs."""
    tasks = index(look)
    assert len(tasks[ARENA]) > 300
    addresses = [address("s", label, one, d=mode) for label, ids in tasks.items() for one in ids]
    assert walked(look, addresses) == []


def test_every_other_view(look: Look) -> None:
    """Views of numbers, lists with every group and search for every text."""
    labels = list(index(look))
    sections = look.page.locator("section.view[data-view]").evaluate_all(
        "all => all.map(one => [one.dataset.view, one.dataset.label || ''])"
    )
    numbers = [address(*filter(None, ("" if view == "summary" else view, label))) for view, label in sections]
    lists = [address("samples", label, cat=f"category={text}", v="flip") for label in labels for text in TEXTS[:15]]
    typed = [address("samples", ARENA, q=text[:200]) for text in TEXTS[::13]]
    assert walked(look, [*numbers, *lists, *typed]) == []


def test_what_is_shown_is_the_text_itself(look: Look) -> None:
    """Marks that are not seen, or turn a line round, are shown by their numbers; all else is as it was."""
    look.go(address("samples", ARENA, q="gnp.exe"))
    look.until("of ")
    assert any("⟨202E⟩gnp.exe" in row for row in look.rows())
    script = "<script>window.ran=1</script>"
    assert look.go(address("s", ARENA, script)).heading == script
    words = look.go(address("s", ARENA, "__proto__")).words()
    assert "__proto__" in words
    assert "(baseline)" in words
    assert "Checklist (2)" in words
    graded = index(look)["healthbench@all"][0]
    assert script in look.go(address("s", "healthbench@all", graded)).words("table.criteria >> nth=0")


def test_a_very_long_text_is_cut_until_all_is_wanted(look: Look) -> None:
    """A word of a million characters is shown in part, with a way to the rest."""
    text = next(text for text in TEXTS if text.startswith("wordword"))[:2000]
    look.go(address("s", ARENA, text))
    more = look.page.locator("button.more", has_text="1,000,000").first
    more.evaluate("one => one.closest('details')?.setAttribute('open', '')")
    before = len(look.page.content())
    more.evaluate("one => one.click()")
    wait_for(lambda: len(look.page.content()) > before + 900_000)


def test_no_text_makes_a_phone_wider(browser: "Browser", file: Path) -> None:
    """Long names and words break or scroll by themselves, in lists, samples and tables."""
    with looking(browser, file, size=PHONE) as look:
        ids = index(look.open())[ARENA]
        views = ["#/", "#/compare", "#/runs", address("task", ARENA), address("samples", ARENA)]
        assert walked(look, [*views, *(address("s", ARENA, one) for one in ids[::20] + ids[-40:])]) == []


def test_what_was_searched_is_kept_as_text(look: Look) -> None:
    """Regular expressions, quotes and half characters in the search field mean themselves."""
    look.go(address("samples", ARENA))
    for typed in ("(((", "[", "\\", '"', "*", "\ud83d", "<script>"):
        look.page.evaluate(
            """(text) => {
                const field = document.getElementById("search");
                field.value = JSON.parse(text);
                field.dispatchEvent(new InputEvent("input"));
            }""",
            json.dumps(typed),
        )
        wait_for(lambda: "q=" in look.address)
        look.settled()
        assert "samples" in look.words(".count")
