"""The page as a server shows it: to whoever knows the path, on this machine, as the runs are now."""

import json
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from judgebench.errors import UsageError
from judgebench.report.collect import collect
from judgebench.report.page import write_page
from judgebench.report.serving import PAUSES, WRITER, Pages, PageServer
from judgebench.run.reading import read_run
from tests.commands import judgebench
from tests.patience import wait_for
from tests.processes import command
from tests.report.looking import READY, chromium

WORDS = "48 rolls"
"""Of one of the samples, past what the index has of it."""
ADDRESS = re.compile(rb"http://127\.0\.0\.1:(\d+)(/[\w-]+/)")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the tiny model on a starter set."""
    folder = tmp_path_factory.mktemp("served")
    words = ["eval", "-q", "--model", "builtin:tiny", "--tasks", "gsm8k", "--starter", "--limit", 3, "--out", "run"]
    judgebench(words, cwd=folder)
    return folder / "run"


@contextmanager
def serving(run: Path) -> Iterator[PageServer]:
    """A server of the page of one run."""

    def write(folder: Path, state: str) -> str:
        return write_page(collect([read_run(run)], None), folder, overwrite=True, live=state).hash

    pages = Pages([run], write)
    try:
        with PageServer(pages) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            try:
                yield server
            finally:
                server.shutdown()
    finally:
        pages.close()


def answer(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, str, dict[str, str]]:
    """Status, text and headers of what a server answers."""
    connection = HTTPConnection("127.0.0.1", port)
    connection.request(method, path, headers=headers)
    found = connection.getresponse()
    return found.status, found.read().decode(), dict(found.getheaders())


def test_the_page_is_shown_to_whoever_knows_the_path(run: Path) -> None:
    """Another path, host or method, and anything that is no part of a page, gets nothing; nothing is kept or framed."""
    with serving(run) as server:
        port, own = server.server_port, f"/{server.token}/"
        status, page, headers = answer(port, own)
        assert (status, headers["Cache-Control"]) == (200, "no-store")
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        hashed = re.findall(r'name="jb-slices" content="slices:(\w+)"', page)[0]
        status, text, _ = answer(port, f"{own}slices/s0.js?{hashed[:16]}")
        assert (status, text.startswith(f'jb("{hashed}",0,"')) == (200, True)
        for path in ("/", "/index.html", f"{own}index.html", f"{own}slices/", f"{own}slices/s0.js", f"{own}../run"):
            assert answer(port, path)[0] == 404, path
        assert answer(port, f"{own}slices/s99.js?{hashed[:16]}")[0] == 404
        assert answer(port, "/" + "x" * len(server.token) + "/")[0] == 404
        assert answer(port, own, Host="evil.example")[0] == 421
        assert answer(port, own, method="POST")[0] == 501


def test_the_page_is_written_again_when_a_run_changed(run: Path) -> None:
    """Not when nothing did; samples of the page before are still there for a browser that shows it."""
    with serving(run) as server:
        port, own = server.server_port, f"/{server.token}/"
        page, version = answer(port, own)[1], answer(port, f"{own}version.js")[1]
        assert answer(port, own)[1] == page
        assert f'name="jb-live" content="{version.split(chr(34))[1]}"' in page
        place = run / "gsm8k" / "generations.jsonl"
        rows = [json.loads(line) for line in place.read_text().splitlines()]
        rows[0]["outputs"] = ["another answer"]
        place.write_text("".join(json.dumps(row) + "\n" for row in rows))
        assert answer(port, f"{own}version.js")[1] != version
        again = answer(port, own)[1]
        hashes = [re.findall(r'content="slices:(\w+)"', text)[0] for text in (page, again)]
        assert hashes[0] != hashes[1]
        assert [answer(port, f"{own}slices/s0.js?{one[:16]}")[1][4:68] for one in hashes] == hashes


def rewritten(path: Path, **fields: object) -> None:
    """Change fields of a JSON file, or add a row to a file of rows."""
    if path.suffix == ".json":
        path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    else:
        with path.open("a") as file:
            file.write(json.dumps(json.loads(path.read_text().splitlines()[0]) | fields) + "\n")


def test_pages_of_a_run_that_goes_on_take_a_twentieth_of_the_time(run: Path, tmp_path: Path) -> None:
    """Whoever asks gets the page that there is, and hears of a newer one when that is written; at the end, at once."""
    shutil.copytree(run, tmp_path / "run")
    rewritten(tmp_path / "run" / "manifest.json", status="running")
    now, written = [0.0], list[str]()

    def write(folder: Path, state: str) -> str:
        now[0] += 3
        written.append(state)
        (folder / "index.html").write_text(state)
        return state

    pages = Pages([tmp_path / "run"], write, clock=lambda: now[0], spent=lambda: now[0])
    shown = pages.newest()
    for number in range(300):
        rewritten(tmp_path / "run" / "gsm8k" / "generations.jsonl", example_id=f"new-{number}")
        now[0] += 1
        pages.state()
        wait_for(lambda: all(thread.name != WRITER for thread in threading.enumerate()))
        assert (pages.newest() / "index.html").read_text() == pages.state() == written[-1]
    assert 4 < len(written) < 2 + now[0] / (PAUSES * 3)
    assert pages.newest() != shown
    rewritten(tmp_path / "run" / "gsm8k" / "generations.jsonl", example_id="last")
    rewritten(tmp_path / "run" / "manifest.json", status="complete")
    assert pages.state() not in written
    assert (pages.newest() / "index.html").read_text() == pages.state() == written[-1]
    pages.close()


def test_a_page_that_could_not_be_written_is_asked_for_again(run: Path, tmp_path: Path) -> None:
    """What went wrong in the background is said to whoever asks next."""
    shutil.copytree(run, tmp_path / "run")
    rewritten(tmp_path / "run" / "manifest.json", status="running")
    trouble, now = list[str](), [0.0]

    def write(folder: Path, state: str) -> str:
        if trouble:
            raise UsageError(trouble[0])
        return state

    pages = Pages([tmp_path / "run"], write, clock=lambda: now[0])
    pages.newest()
    trouble.append("the disk is full")
    rewritten(tmp_path / "run" / "gsm8k" / "generations.jsonl", example_id="new")
    now[0] = 1e9
    before = pages.state()
    wait_for(lambda: all(thread.name != WRITER for thread in threading.enumerate()))
    assert pages.state() != before
    with pytest.raises(UsageError, match="full"):
        pages.newest()
    pages.close()


def test_a_run_that_has_no_scores_yet_is_shown(run: Path, tmp_path: Path) -> None:
    """``judgebench view`` says where it is shown, shows what is there, and ends by Ctrl+C as it should.

    While the run goes on, the page that there is will do.
    """
    words = ["eval", "-q", "--model", "builtin:tiny", "--tasks", "gsm8k", "--starter", "--limit", 3, "--out", "run"]
    judgebench(words, cwd=tmp_path)
    for name in ("results.json", "gsm8k/scores.json", "gsm8k/example_scores.jsonl"):
        (tmp_path / "run" / name).unlink()
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    (tmp_path / "run" / "manifest.json").write_text(json.dumps(manifest | {"status": "running"}))
    asked = command(["view", str(tmp_path / "run"), "--no-open"])
    # A shell starts its background jobs with SIGINT ignored, and so would this be.
    heard = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731
    process = subprocess.Popen(asked, stdout=subprocess.PIPE, preexec_fn=heard)
    try:
        assert process.stdout is not None
        found = ADDRESS.search(process.stdout.readline())
        assert found is not None
        status, page, _ = answer(int(found[1]), found[2].decode())
        assert status == 200
        assert "all 3 items have ended" in page
        assert "exact_match_strict" in page
        rewritten(tmp_path / "run" / "gsm8k" / "generations.jsonl", example_id="new")
        assert answer(int(found[1]), found[2].decode())[1] == page
        rewritten(tmp_path / "run" / "manifest.json", status="failed")
        assert answer(int(found[1]), found[2].decode())[1] != page
        os.kill(process.pid, signal.SIGINT)
        assert process.wait() == 0
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@pytest.mark.requires_chromium
def test_samples_beside_the_page_are_shown_and_news_is_offered(run: Path, tmp_path: Path) -> None:
    """From a disk and from the server; a browser that shows the page hears of a change and offers to reload."""
    write_page(collect([read_run(run)], None), tmp_path)
    with serving(run) as server, chromium() as browser:
        page = browser.new_page()
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        for start in (f"file://{tmp_path}/index.html", server.url):
            page.goto(start)
            wait_for(lambda: page.evaluate(READY))
            page.goto(f"{start}#/samples/")
            wait_for(lambda: page.locator(".samples .row .id a").count() == 3)
            page.locator(".samples .row .id a").first.click()
            wait_for(lambda: "characters" in page.locator("section.answer").first.inner_text())
            page.goto(f"{start}#/samples/?q={WORDS}")
            wait_for(lambda: page.locator(".count").inner_text() == "1 of 3 samples")
            page.locator(".samples .row .id a").first.click()
            wait_for(lambda: WORDS in page.locator("article.sample").inner_text())
        address = page.url
        os.utime(run / "manifest.json", (1, 1))
        # Whoever comes back to the page need not wait.
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        wait_for(lambda: page.locator("#news").count() == 1)
        page.locator("#news").click()
        wait_for(lambda: page.locator("#news").count() == 0 and page.evaluate(READY))
        assert page.url == address
        assert complaints == []
        (tmp_path / "slices" / "s0.js").unlink()
        page.goto(f"file://{tmp_path}/index.html")
        wait_for(lambda: page.evaluate(READY))
        page.goto(f"file://{tmp_path}/index.html{address[address.index('#') :]}")
        wait_for(lambda: "It belongs beside this page" in page.locator("main").inner_text())
        page.goto(f"file://{tmp_path}/index.html#/samples/?q={WORDS}")
        wait_for(lambda: "slices/s0.js is missing" in page.locator(".count").inner_text())
