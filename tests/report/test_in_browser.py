"""The report in a real browser: every view by mouse and by keys, addresses, filters, and what it must never do."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from judgebench.report import slices
from judgebench.report.address import address
from judgebench.report.collect import collect
from judgebench.report.page import write_page
from judgebench.run.reading import read_run
from tests.commands import judgebench
from tests.patience import wait_for
from tests.report.looking import PHONE, READY, WIDE, Look, chromium, looking
from tests.report.made_pages import write_runs

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.requires_chromium

COLOURS = ("color-contrast",)
GSM, ARENA = "gsm8k@cot8", "arenahard@v2.0"
VIEWS = [
    "#/",
    address("task", ARENA),
    address("task", GSM),
    "#/compare",
    address("samples", ARENA),
    address("samples", GSM),
    address("s", ARENA, "starter-02"),
    address("s", GSM, "starter-01"),
    address("s", "ifeval@1", "starter-01"),
    address("s", "mtbench@1", "starter-01"),
    address("s", "wildbench@v2.0625", "starter-01"),
    address("s", "healthbench@all", "starter-01"),
    address("judge", ARENA),
    "#/cost",
    "#/runs",
    "#/no/such/view",
]
ONE_OF_EACH = list({view.split("/")[1]: view for view in reversed(VIEWS)}.values())
"""The first of each kind."""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of two runs, which differ."""
    folder = tmp_path_factory.mktemp("looked-at")
    write_runs(folder)
    judgebench(["report", "one", "other", "--html", "report.html"], cwd=folder)
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser(file: Path) -> "Iterator[Browser]":
    """A browser, which is started when all runs are there."""
    with chromium() as started:
        yield started


@pytest.fixture
def look(browser: "Browser", file: Path) -> Iterator[Look]:
    """The report, at its first view."""
    with looking(browser, file) as found:
        yield found.open()


def axe_script() -> str:
    """The text of axe-core, which the package brings."""
    import axe_playwright_python

    return (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()


def serious(look: Look, *rules: str) -> list[tuple[str, str]]:
    """What axe finds serious or worse in the view: the rule, and the first element that breaks it.

    It says nothing of hidden views, but would take most of its time for them.
    """
    only = {"runOnly": {"type": "rule", "values": rules}} if rules else {}
    given = {"exclude": [["section.view[hidden]"]]}, {"resultTypes": ["violations"], **only}
    found = look.page.evaluate("([context, options]) => axe.run(context, options)", given)["violations"]
    return [(one["id"], one["nodes"][0]["html"][:200]) for one in found if one["impact"] in ("serious", "critical")]


# -- views


def test_every_view_is_reached_by_mouse(look: Look) -> None:
    """Each link of the head shows another view, says which it is, and back and forward go through them."""
    links = look.page.locator("nav.views a")
    seen = []
    for place in range(links.count()):
        links.nth(place).click()
        look.settled()
        assert look.page.locator("nav.views a[aria-current]").count() == 1
        assert look.page.locator("main h1:visible").count() == 1
        assert place == 0 or look.page.evaluate("document.activeElement.tagName") == "H1"
        assert look.page.title().endswith(" - judgebench")
        seen.append((look.address, look.heading))
    assert len(set(seen)) == links.count() >= 5
    for before in reversed(seen[:-1]):
        look.page.go_back()
        assert (look.settled().address, look.heading) == before
    look.page.go_forward()
    assert (look.settled().address, look.heading) == seen[1]


def test_every_view_is_reached_by_keys(look: Look) -> None:
    """Digits show the views from left to right, as the links do."""
    links = look.page.locator("nav.views a")
    for place in range(links.count()):
        look.press(str(place + 1))
        assert links.nth(place).get_attribute("aria-current") == "page"
        assert links.nth(place).get_attribute("href") == look.address


def test_a_number_leads_to_its_samples_and_they_to_it(look: Look) -> None:
    """One click from a score to the samples behind it, one more to a sample, and from that to the numbers it is in."""
    look.page.locator(f'a[href^="{address("samples", GSM, run=1)}"]:visible').first.click()
    assert look.settled().heading == f"Samples of {GSM}"
    look.page.locator(".samples .row .id a").first.click()
    assert look.settled().heading == "starter-01"
    look.page.locator("article a", has_text="all samples").first.click()
    assert look.settled().heading == GSM


def test_every_number_leads_to_as_many_samples_as_it_says(look: Look) -> None:
    """One click from any number of any view to a list that is not empty, and that has as many samples as are told."""
    links = look.page.locator('section.view:not(#made) a[href^="#/samples"]').evaluate_all(
        "all => all.map(one => [one.getAttribute('href'), one.dataset.n ? Number(one.dataset.n) : null])"
    )
    told = dict(sorted(links, key=lambda link: link[1] is not None))
    assert len(told) > 100
    assert sum(n is not None for n in told.values()) > 80
    counted = look.page.evaluate(
        """async addresses => {
            const found = [];
            for (const to of addresses) {
                location.hash = to;
                while (document.documentElement.dataset.shown !== to) await new Promise(done => setTimeout(done, 1));
                found.push(parseInt(document.querySelector("#made .count").textContent.replace(",", "")));
            }
            return found;
        }""",
        list(told),
    )
    wrong = {
        href: (n, is_n)
        for (href, n), is_n in zip(told.items(), counted, strict=True)
        if is_n != (n or is_n) or not is_n
    }
    assert wrong == {}


def test_a_sample_leads_to_the_numbers_it_is_in(look: Look) -> None:
    """To those of all samples, of its groups, and of the comparison; a group's row is marked."""
    look.go(address("s", "wildbench@v2.0625", "starter-01"))
    links = look.page.locator("article header a")
    targets = links.evaluate_all("all => all.map(one => one.getAttribute('href'))")
    for target in targets:
        look.go(target)
        assert look.heading != "Not here"
        if "cat=" in target and not target.startswith("#/samples"):
            assert look.page.locator("tr.found:visible").count() >= 1, target
    assert {target.split("/")[1] for target in targets} >= {"task", "samples", "compare"}


def test_an_address_names_a_metric(look: Look) -> None:
    """The row of that metric, and of that group if one is named, is marked and in sight."""
    look.go(address("compare", GSM, metric="numeric"))
    assert look.page.locator("tr.found").evaluate_all("all => all.map(one => one.dataset.metric)") == ["numeric"]
    assert look.page.locator("tr.found").evaluate("one => one.getBoundingClientRect().top") < WIDE["height"]


def test_the_skip_link_leads_to_the_content(look: Look) -> None:
    """The first key of the tabulator shows it; it leaves the view as it is."""
    look.go(address("task", GSM)).page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    look.page.locator("a.skip").focus()
    look.press("Enter")
    assert look.heading == GSM
    assert look.page.evaluate("document.activeElement.id") == "main"


# -- keys


def test_keys_walk_through_the_samples_of_a_list(look: Look) -> None:
    """``j`` and ``k`` along the rows, Enter opens one, then along the samples of that list, and ``u`` back to it."""
    look.go(address("samples", GSM, v="passed", run=0))
    listed = look.rows()
    assert len(listed) >= 2
    look.press("j", "j", "k", "j", "Enter")
    assert look.heading == listed[1]
    assert f"2 of {len(listed)}" in look.words(".trail")
    look.press("k")
    assert look.heading == listed[0]
    look.press("k")
    assert look.heading == listed[0]
    look.press("j", "u")
    assert look.heading == f"Samples of {GSM}"
    assert look.rows() == listed
    assert look.page.locator(".samples [aria-current] a:focus").inner_text() == listed[1]
    assert "v=passed" in look.address


def test_keys_change_how_answers_are_shown(look: Look) -> None:
    """``d`` word diff, ``r`` raw, again each back to formatted; ``x`` swaps sides; ``]`` goes to the other run."""
    look.go(address("s", GSM, "starter-01"))
    look.press("r")
    assert look.page.locator('button[aria-pressed="true"]').inner_text() == "Raw"
    assert "## Steps" in look.words(".sides")
    look.press("r")
    assert "## Steps" not in look.words(".sides")
    look.press("d")
    assert look.page.locator(".sides ins").count() > 0
    look.press("d")
    assert look.page.locator(".sides ins").count() == 0
    names = look.page.locator(".answer h3 bdi").all_inner_texts()
    look.press("x")
    assert look.page.locator(".answer h3 bdi").all_inner_texts() == names[::-1]
    look.press("x", "]")
    assert "run=1" in look.address
    look.press("[")
    assert "run=0" in look.address


def test_keys_of_the_theme_and_of_the_keys(look: Look) -> None:
    """``t`` turns light to dark and back; ``?`` lists every key and view, and Escape closes the list."""
    dark = "getComputedStyle(document.body).backgroundColor"
    before = look.page.evaluate(dark)
    look.press("t")
    assert look.page.evaluate(dark) != before
    look.press("t")
    assert look.page.evaluate(dark) == before
    look.press("?")
    shown = look.words("#keys")
    assert all(f"\n{key}" in f"\n{shown}" for key in "jud/x[t?")
    views = [words.split()[0] for words in look.page.locator("nav.views a").all_inner_texts()]
    assert all(f"\n{number}\n{view}\n" in f"{shown}\n" for number, view in enumerate(views, 1)), shown
    assert "Enter" in shown
    look.press("Escape")
    assert look.page.locator("#keys").is_hidden()


def test_the_search_key_works_from_every_view(look: Look) -> None:
    """``/`` puts the cursor into the search of the list, whose keys are then letters; Escape leaves it."""
    for view in ("#/", address("task", GSM), address("s", GSM, "starter-01"), address("samples", GSM)):
        look.go(view).press("/")
        wait_for(lambda: look.page.evaluate("document.activeElement.id") == "search")
        if view != "#/":
            assert look.heading == f"Samples of {GSM}"
        look.press("Escape")
    look.press("/")
    look.page.keyboard.type("ut2")
    look.settled()
    assert look.page.locator("#search").input_value() == "ut2"
    look.press("Escape")
    assert look.page.evaluate("document.activeElement.id") != "search"


def test_keys_with_control_belong_to_the_browser(look: Look) -> None:
    """Ctrl, Alt and Meta with a key of the page do nothing on it."""
    for key in ("Control+k", "Alt+2", "Control+Shift+t", "Meta+j"):
        look.page.keyboard.press(key)
    assert look.settled().address == "#/"


# -- addresses


@pytest.mark.parametrize("view", VIEWS)
def test_every_address_can_be_opened(view: str, browser: "Browser", file: Path) -> None:
    """A link to a view, with its settings, shows that view from a fresh start."""
    with looking(browser, file) as look:
        look.open(view)
        assert look.address == view
        assert look.page.locator("main h1:visible").count() == 1
        assert look.heading != "Not here" or view == VIEWS[-1]


@pytest.mark.parametrize(
    ("view", "words"),
    [
        ("#/no/such/view", "no view no/such/view"),
        ("#/samples/nothing", "no task nothing"),
        ("#/task/nothing", "no view task/nothing"),
        (address("s", GSM, "nothing"), "no sample nothing"),
        ("#/s", "no sample"),
        ("#/%E0%A4%A", "no view %E0%A4%A"),
        ("#/samples/__proto__", "no task __proto__"),
        (address("s", GSM, "constructor"), "no sample constructor"),
    ],
)
def test_an_unknown_address_says_what_is_missing(view: str, words: str, browser: "Browser", file: Path) -> None:
    """There is a way back, and never an empty page."""
    with looking(browser, file) as look:
        assert words in look.open(view).words()
        look.page.locator("#made a", has_text="Summary").click()
        assert look.settled().heading.startswith("builtin:tiny")


@pytest.mark.parametrize(
    "settings",
    [
        {"run": "9", "vs": "-1"},
        {"v": "constructor", "s": "__proto__", "cat": "no such group"},
        {"l": "99", "m": ">>>>"},
        {"q": "\\u0000(["},
        {"m": "passed>failed", "run": "1", "vs": "1"},
    ],
)
def test_settings_that_mean_nothing_break_nothing(settings: dict[str, str], look: Look) -> None:
    """An address that somebody changed by hand shows what it can."""
    look.go(address("samples", GSM, **settings))
    assert look.heading == f"Samples of {GSM}"
    assert "of 4 samples" in look.words(".count")
    look.go(address("s", GSM, "starter-01", **settings, a="none", b="none", d="none"))
    assert look.heading == "starter-01"


# -- the list


def test_filters_stand_in_the_address(look: Look) -> None:
    """A choice shows its samples and changes the address, which opens the same list again; it can be cleared."""
    look.go(address("samples", GSM))
    look.page.select_option('select[name="v"]', "flip")
    flips = look.settled().rows()
    assert flips == ["starter-01"]
    assert "v=flip" in look.address
    assert look.words(".count") == "1 of 4 samples"
    same = look.address
    assert look.open(same).rows() == flips
    assert look.page.locator('select[name="v"]').input_value() == "flip"
    look.page.locator("a.clear").click()
    assert len(look.settled().rows()) == 4


@pytest.mark.parametrize(
    ("settings", "run", "found"),
    [
        ({"f": "orders"}, 0, 4),
        ({"f": "orders"}, 1, 1),
        ({"f": "pairs"}, 1, 3),
        ({"f": "reversed"}, 1, 1),
        ({"f": "tied"}, 1, 0),
        ({"f": "unread"}, 1, 1),
        ({"f": "error"}, 1, 0),
        ({"v": "win"}, 1, 1),
        ({"v": "win", "f": "orders"}, 1, 0),
        ({"lab": "A>>B"}, 1, 1),
    ],
)
def test_samples_by_how_they_ended(settings: dict[str, str], run: int, found: int, look: Look) -> None:
    """Contradictions, unread verdicts, outcomes and labels of either run can be listed, alone and together."""
    look.go(address("samples", ARENA, **settings, run=run))
    assert len(look.rows()) == found


def test_a_contradiction_shows_both_verdicts(look: Look) -> None:
    """A list of verdicts that depend on the order says how each ended when shown first, and when second."""
    look.go(address("samples", ARENA, f="orders", run=1))
    assert look.page.locator(".samples .row .orders").all_inner_texts() == ["shown first → second", "win → loss"]
    look.go(address("samples", ARENA, f="unread", run=1))
    assert look.page.locator(".samples .orders").count() == 0


def test_orders_of_the_list(look: Look) -> None:
    """By value, by change, by length of the answer; the same samples stand in every one."""
    found = {}
    for order in ("", "value", "best", "delta", "up", "down", "length"):
        found[order] = look.go(address("samples", GSM, s=order, run=1)).rows()
    assert {tuple(sorted(rows)) for rows in found.values()} == {tuple(sorted(found[""]))}
    assert found["delta"][0] == "starter-01"
    assert found["length"] == ["starter-01", *[row for row in found["length"] if row != "starter-01"]]
    assert found["value"] != found["best"]


def test_search_finds_prompts_answers_and_words_of_judges(look: Look) -> None:
    """What is typed is looked for in everything; what was found stays when one comes back from a sample."""
    look.go(address("samples", ARENA))
    before = look.page.evaluate("history.length")
    look.page.locator("#search").click()
    look.page.keyboard.type("have their merits", delay=5)
    wait_for(lambda: look.page.evaluate("location.hash").endswith("merits"))
    look.until("4 of 4 samples")
    look.page.locator("#search").fill("final verdict is: [[A>>B")
    look.until("1 of 4 samples")
    assert look.rows() == ["starter-04"]
    assert look.page.evaluate("history.length") == before
    look.page.locator(".samples .row .id a").click()
    assert look.settled().heading == "starter-04"
    assert "1 of 1" in look.words(".trail")
    look.page.go_back()
    look.until("1 of 4 samples")
    assert look.page.locator("#search").input_value() == "final verdict is: [[A>>B"
    look.page.locator("#search").fill("no such words anywhere")
    look.until("0 of 4 samples")


def test_search_in_one_part_of_the_samples(look: Look) -> None:
    """A search of the words of judges finds no prompts, or the other way round, and none finds names of fields."""
    for scope, found in (("judge", 4), ("prompt", 0), ("answers", 0), ("", 4)):
        look.go(address("samples", ARENA, q="have their merits", run=1, **{"in": scope}))
        look.until(f"{found} of 4 samples")
        wait_for(lambda: "searching" not in look.words(".count"))
    for scope in ("", "details"):
        look.go(address("samples", ARENA, q="judge_model", **{"in": scope})).until("0 of 4 samples")
    look.go(address("samples", ARENA, q="orders", **{"in": "prompt"})).until("2 of 4 samples")
    look.page.locator(".samples .row .id a").first.click()
    assert "1 of 2" in look.settled().words(".trail")


def test_numbers_of_a_phone_are_in_sight(browser: "Browser", file: Path) -> None:
    """Each value of a sample and the change, and each difference; no row's name runs into its numbers."""
    with looking(browser, file, size=PHONE) as look:
        look.open(address("samples", GSM, s="delta"))
        cut = "all => all.filter(one => one.scrollWidth > one.clientWidth || one.getBoundingClientRect().right > 390)"
        assert look.page.locator(".samples .head .number").all_inner_texts()[-1] == "change"
        assert look.page.locator(".samples .sizer .number").evaluate_all(f"{cut}.length") == 0
        for view in (address("task", ARENA), "#/compare"):
            look.go(view)
            wide = "all => all.filter(one => one.scrollWidth > one.clientWidth).map(one => one.textContent)"
            assert look.page.locator('section:not([hidden]) th[scope="row"]').evaluate_all(wide) == []
        assert look.page.locator("#view-compare td.number").first.bounding_box()["x"] < 200  # type: ignore[index]


def test_every_tab_of_a_phone_is_in_sight(browser: "Browser", file: Path) -> None:
    """The views' links wrap, so that none is cut at the edge."""
    with looking(browser, file, size=PHONE) as look:
        links = look.open().page.locator("nav.views a").all()
        boxes = [box for link in links if (box := link.bounding_box()) is not None]
        assert len(boxes) == len(links) > 5
        assert max(box["x"] + box["width"] for box in boxes) <= PHONE["width"]


def test_the_filters_of_a_phone_fold(browser: "Browser", file: Path) -> None:
    """They take one line until they are wanted; what is chosen is said on it."""
    with looking(browser, file, size=PHONE) as look:
        look.open(address("samples", GSM, v="flip"))
        assert look.page.locator('select[name="v"]').is_hidden()
        assert look.page.locator(".samples").bounding_box()["y"] < 420  # type: ignore[index]
        look.page.locator(".filters summary").click()
        assert look.page.locator('select[name="v"]').is_visible()


def test_a_search_shows_what_it_has_found_so_far(
    browser: "Browser", file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first samples stand in the list while most texts are still to be searched; in the end all do, in order."""
    monkeypatch.setattr(slices, "SLICE_BYTES", 1)
    runs = [read_run(file.parent / name) for name in ("one", "other")]
    page = write_page(collect(runs, None), tmp_path / "page.html")
    assert page.slices > 4
    with looking(browser, page.path) as look:
        look.open(address("samples", ARENA)).page.evaluate(
            """() => {
                window.seen = [];
                const rows = document.getElementsByClassName("row"), count = document.getElementsByClassName("count");
                const note = () => window.seen.push([count[0].textContent, rows.length - 1]);
                new MutationObserver(note).observe(document.getElementById("made"), { childList: true, subtree: true });
            }"""
        )
        look.go(address("samples", ARENA, q="have their merits")).until("4 of 4 samples")
        assert any(rows == 1 and "searching" in count for count, rows in look.page.evaluate("window.seen"))
        assert look.rows() == [f"starter-0{number}" for number in (1, 2, 3, 4)]


def test_what_is_searched_for_is_in_the_address_and_marked(look: Look) -> None:
    """Typed words stand in the address, which shows the same marks again; what is markup or a pattern is a text."""
    look.go(address("samples", ARENA)).page.locator("#search").fill("my sql")
    wait_for(lambda: look.settled().address == address("samples", ARENA, q="my sql"))
    assert look.until("1 of 4 samples").page.locator(".samples mark").all_inner_texts() == ["My SQL"]
    assert look.open(look.address).page.locator(".samples mark").all_inner_texts() == ["My SQL"]
    look.page.locator(".samples .row .id a").first.click()
    assert "My SQL" in look.settled().page.locator("article .turn mark").all_inner_texts()
    look.go(address("s", ARENA, "starter-02", run=1, q="THEIR merits"))
    assert look.page.locator("article .game mark").all_inner_texts() == ["their merits"] * 2
    for hostile in ("<img src=x onerror=alert(1)>", "(.*)[", "\\", "\u202e\ud800", "$&"):
        assert look.go(address("s", ARENA, "starter-02", q=hostile)).page.locator("article mark").count() == 0
        look.go(address("samples", ARENA, q=hostile)).until("0 of 4 samples")


# -- samples


def test_answers_can_be_read_before_they_are_compared(look: Look) -> None:
    """Both stand there as they are, and how much they have in common is said when that is known."""
    look.page.evaluate("() => { window.held = []; window.requestAnimationFrame = (done) => window.held.push(done); }")
    look.page.evaluate("to => { location.hash = to; }", address("s", GSM, "starter-01", d="diff"))
    wait_for(lambda: look.page.locator("section.answer").count() == 2)
    assert "## Steps" in look.words(".sides")
    assert "comparing words" in look.words(".tools")
    assert look.page.locator(".sides ins").count() == 0
    look.page.evaluate("() => window.held.forEach((done) => done())")
    wait_for(lambda: look.page.locator(".sides ins").count() > 0)
    assert "of the words in common" in look.words(".tools")


def test_both_orders_of_a_comparison_are_beside_each_other(look: Look) -> None:
    """Each game says whether the candidate was shown first, who wins, the judge's words, and whether they agree."""
    words = look.go(address("s", ARENA, "starter-02", run=1)).words()
    assert "contradict each other: the winner is reversed: " in words
    assert "candidate shown first" in words
    assert "candidate shown second" in words
    for shown in ("A = builtin:tiny, B = ", ", B = builtin:tiny · candidate shown second"):
        assert shown in words
    assert look.page.locator("details.run[open] .game").count() >= 2
    assert look.page.locator(".game strong", has_text="Both").count() > 0


def test_a_sample_says_how_it_enters_the_numbers(look: Look) -> None:
    """The rule of each metric in words, and the weight and covariates of this very sample."""
    assert "win_rate: each game is a battle" in look.go(address("s", ARENA, "starter-04", run=1)).words(".rules")
    look.page.locator("details.run[open] details.entered summary").last.click()
    told = look.words("details.entered[open]")
    assert "win_rate\t0.0000\t6\tlength " in told
    assert ", lost 6," in told
    assert "exact_match_strict: the mean of the samples' values" in look.go(address("s", GSM, "starter-01")).words()


def test_what_the_judge_was_sent_is_the_whole_prompt(look: Look) -> None:
    """Pieces are put together again: the question and both answers are in it, in the order of the game."""
    look.go(address("s", ARENA, "starter-02"))
    sent = look.page.locator("details.asked")
    assert sent.count() >= 2
    sent.first.locator("summary").click()
    words = sent.first.inner_text()
    assert "My SQL query joins orders" in words
    assert len(words) > 1000


def test_what_verifiers_found(look: Look) -> None:
    """The rules of a verified sample, what they wanted and what they found, and an answer that is not there."""
    words = look.go(address("s", GSM, "starter-01", run=1)).words()
    assert "wanted" in words
    assert "✗ no" in words
    assert "the server said 500" in look.go(address("s", GSM, "starter-04", run=1)).words()


# -- what it must never do


def test_the_policy_lets_nothing_else_run(browser: "Browser", file: Path) -> None:
    """A handler, a script and a picture of the network that got into the page by a fault would do nothing."""
    context = browser.new_context(offline=True)
    page, refused = context.new_page(), list[tuple[str, str | None]]()
    page.on("requestfailed", lambda request: refused.append((request.url, request.failure)))
    page.goto(f"file://{file}")
    wait_for(lambda: page.evaluate(READY))
    page.evaluate(
        """() => {
            const image = document.createElement("img");
            image.src = "http://example.invalid/pixel";
            const link = document.createElement("a");
            link.href = "javascript:window.ran = 2";
            document.body.append(image, link);
            link.click();
        }"""
    )
    for spoilt in (
        "document.body.setAttribute('onclick', 'window.ran = 1')",
        "document.body.innerHTML = '<b>x</b>'",
        "document.createElement('script').text = 'window.ran = 3'",
    ):
        with pytest.raises(Exception, match="Trusted"):
            page.evaluate(f"() => {{ {spoilt} }}")
    wait_for(lambda: refused)
    assert refused == [("http://example.invalid/pixel", "csp")]
    assert page.evaluate("window.ran") is None
    context.close()


@pytest.mark.parametrize("place", [0.3, 0.6, 0.9, 0.999])
def test_a_file_that_is_cut_off_says_so(place: float, browser: "Browser", file: Path, tmp_path: Path) -> None:
    """Wherever it ends: what is there is shown, what is not there is named."""
    whole = file.read_bytes()
    start = whole.index(b'id="index"')
    (tmp_path / "cut.html").write_bytes(whole[: start + int(place * (len(whole) - start))])
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto(f"file://{tmp_path}/cut.html")
    needs = ("cut off", "Single samples need JavaScript, and the whole file")
    wait_for(lambda: any(words in page.locator("body").inner_text() for words in needs))
    assert "gsm8k" in page.locator("main").inner_text()
    context.close()


@pytest.mark.parametrize(
    "locale", [{"locale": "ar-EG", "timezone_id": "Africa/Cairo"}, {"locale": "de-DE", "timezone_id": "Asia/Tokyo"}]
)
def test_clock_and_locale_change_nothing(locale: dict[str, str], look: Look, browser: "Browser", file: Path) -> None:
    """Numbers, dates and orders are those of the file, whatever the reader's machine is set to."""
    views = ["#/", address("samples", GSM, s="value"), address("s", ARENA, "starter-02"), "#/runs"]
    words = {view: look.go(view).words() for view in views}
    with looking(browser, file, **locale) as other:
        other.page.clock.install(time=0)
        other.page.clock.resume()
        other.open()
        assert {view: other.go(view).words() for view in views} == words


@pytest.mark.parametrize(
    ("theme", "size", "views", "rules"),
    [
        ("light", WIDE, VIEWS, ()),
        ("dark", PHONE, VIEWS, ()),
        ("dark", WIDE, ONE_OF_EACH, COLOURS),
        ("light", PHONE, ONE_OF_EACH, COLOURS),
    ],
    ids=["light-wide", "dark-phone", "dark-wide", "light-phone"],
)
def test_nothing_serious_for_those_who_do_not_see(
    theme: Any, size: dict[str, int], views: list[str], rules: tuple[str, ...], browser: "Browser", file: Path
) -> None:
    """The accessibility checker finds no serious violation in any view, in either theme, on a screen or a phone.

    What is not about colours is the same in both themes, and widths change no colour (test_assets.py): the other two
    ways round are looked at once for each kind of view.
    """
    with looking(browser, file, size=size, color_scheme=theme) as look:
        look.open().page.evaluate(axe_script())
        assert {view: found for view in views if (found := serious(look.go(view), *rules))} == {}


def test_no_view_is_wider_than_a_small_phone(browser: "Browser", file: Path) -> None:
    """At 320 pixels only tables scroll sideways, each by itself."""
    with looking(browser, file, size={"width": 320, "height": 640}) as look:
        look.open()
        wide = {view: look.go(view).page.evaluate("document.documentElement.scrollWidth") for view in VIEWS}
        assert {view: width for view, width in wide.items() if width > 320} == {}
