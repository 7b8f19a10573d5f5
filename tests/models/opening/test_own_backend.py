"""The page on backends (docs/own-backend.md): its two files, installed as it says, answer a run from a real server."""

import json
import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from judgebench.models.opening import backends
from tests.commands import judgebench
from tests.installed import install

PAGE = (Path(__file__).parents[3] / "docs" / "own-backend.md").read_text()


class Answer(BaseHTTPRequestHandler):
    """The in-house interface of the page's client."""

    def do_POST(self) -> None:
        """Say how many turns came, or refuse the model's name."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if asked["model"] == "nobody":
            self.send_error(404)
            return
        text = f"turns: {len(asked['turns'])}, at most {asked['limit']}"
        body = json.dumps({"text": text, "read": 5, "written": 4, "cut": False}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    """Of a server that answers."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture
def _brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mine", "mine.backend", "mine.client"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    (entry,) = re.findall(r'^mine = "(.*)"$', PAGE, re.MULTILINE)
    install(tmp_path, "mine", backends.ENTRY_POINTS, f"mine = {entry}", "")
    (tmp_path / "mine").mkdir()
    for name, text in re.findall(r"^```python\n# mine/(\w+\.py)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        (tmp_path / "mine" / name).write_text(text)


@pytest.mark.usefixtures("_brought")
def test_the_backend_of_the_page_answers_a_run(tmp_path: Path, port: int) -> None:
    """Each item has the server's answer and its tokens; a model that it refuses has failures, which are counted."""
    common = ("eval", "--tasks", "gsm8k", "--starter", "--limit", "2", "--model-arg", f"port={port}")
    judgebench((*common, "--model", "mine:echo", "--out", tmp_path / "echo"))
    found = (tmp_path / "echo" / "gsm8k" / "generations.jsonl").read_text()
    assert len(re.findall("turns: 1, at most [0-9]+", found)) == 2
    ended = judgebench((*common, "--model", "mine:nobody", "--out", tmp_path / "nobody"), code=4)
    assert "HTTPError: HTTP Error 404" in ended.stderr
    said = judgebench((*common, "--model", "mine:echo", "--model-arg", "port=x", "--out", tmp_path / "x"), code=2)
    assert "port=x of mine:echo is not valid" in said.stderr
