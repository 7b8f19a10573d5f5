"""A report in a real browser: no request leaves it, nothing in it throws or complains, and its words can be read."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.browser import PROGRAM
from tests.patience import PATIENCE_SECONDS, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
SETTLED = "document.documentElement.dataset.shown === location.hash && !document.querySelector('[aria-busy]')"
READY = "document.documentElement.classList.contains('ready')"


@contextmanager
def chromium() -> "Iterator[Browser]":
    """The browser. While it runs, this thread has an event loop: nothing that starts one can be called."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, headless=True, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Look:
    """A report that is looked at, from the first view on."""

    def __init__(self, page: "Page", file: Path) -> None:
        self.page, self.file = page, file

    def open(self, address: str = "#/") -> "Look":
        """Open the file at a view, as a link from elsewhere does, and wait until its samples can be looked at."""
        self.page.goto("about:blank")
        self.page.goto(f"file://{self.file}{address}")
        wait_for(lambda: self.page.evaluate(READY))
        return self.settled()

    def go(self, address: str) -> "Look":
        """Follow an address within the page."""
        self.page.evaluate("to => { location.hash = to; }", address)
        return self.settled()

    def press(self, *keys: str) -> "Look":
        """Press keys one after the other."""
        for key in keys:
            self.page.keyboard.press(key)
            self.settled()
        return self

    def settled(self) -> "Look":
        """Wait until the view that the address names is shown and drawn."""
        self.page.wait_for_function(
            "() => new Promise(done => setTimeout(() => requestAnimationFrame(() => done(true)), 20))"
        )
        wait_for(lambda: self.page.evaluate(SETTLED))
        return self

    @property
    def address(self) -> str:
        """The view that is shown."""
        return str(self.page.evaluate("location.hash"))

    @property
    def heading(self) -> str:
        """The heading of what is in sight."""
        return self.page.locator("main h1:visible").inner_text()

    def until(self, words: str) -> "Look":
        """Wait until the page says so."""
        wait_for(lambda: words in self.words())
        return self

    def words(self, selector: str = "main") -> str:
        """What can be read there."""
        return str(self.page.locator(selector).inner_text())

    def rows(self) -> list[str]:
        """The ids of the samples that the list shows."""
        return [words.strip() for words in self.page.locator(".samples .row .id a").all_inner_texts()]


@contextmanager
def looking(browser: "Browser", file: Path, *, size: dict[str, int] = WIDE, **context: Any) -> Iterator[Look]:
    """A page with a profile of its own; afterwards nothing may have been asked for or complained about."""
    own = browser.new_context(viewport=size, offline=True, **context)  # type: ignore[arg-type]
    own.set_default_timeout(1000 * PATIENCE_SECONDS)
    page = own.new_page()
    requests: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("dialog", lambda dialog: (complaints.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on("popup", lambda popup: complaints.append(f"popup {popup.url}"))
    try:
        yield Look(page, file)
        assert [one for one in requests if not one.startswith((f"file://{file}", "about:blank", "data:"))] == []
        assert complaints == []
    finally:
        own.close()
