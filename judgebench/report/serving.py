"""Serves the page of some runs on this machine, written again when the runs have changed.

Whoever opens the page must know its path, which is drawn at random; a page of another site cannot ask for it through a
name of its own, because the host that is asked for must be this one.
"""

import gzip
import hashlib
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from judgebench.codec import read_json
from judgebench.errors import UsageError
from judgebench.report.page import policy
from judgebench.run.folder import PASSING

HOST = "127.0.0.1"
KEPT = 3
"""So many pages are kept: a browser may still show an earlier one and ask for its samples."""
PAUSES = 20
"""While runs go on, a page is written again when so many times what the last one took has passed: at most a twentieth
of a core is spent on pages, however large they are and however often somebody looks."""
WRITER = "judgebench-view"
SLICE = re.compile(r"slices/(s\d{1,9}\.js)")


def state_of(folders: Sequence[Path]) -> str:
    """What changes whenever a file of a run does: a hash of their sizes and times."""
    found = hashlib.sha256()
    for folder in folders:
        files = sorted(folder.rglob("*.json*")) if folder.is_dir() else [folder]
        for file in files:
            if file.name in PASSING:
                continue
            try:
                seen = file.stat()
            except OSError:
                continue
            found.update(f"{file}\n{seen.st_size}\n{seen.st_mtime_ns}\n".encode("utf-8", "replace"))
    return found.hexdigest()[:16]


def time_spent() -> float:
    """Seconds of a core that this process took, with those that checked answers for it and have ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


class _Manifest(msgspec.Struct):
    """What is asked of a manifest."""

    status: str = ""


def go_on(folders: Sequence[Path]) -> bool:
    """Whether one of the runs says that it is not at its end."""
    manifests = [file for folder in folders if folder.is_dir() for file in folder.rglob("manifest.json")]
    return any(map(_goes_on, manifests))


def _goes_on(manifest: Path) -> bool:
    try:
        return bool(read_json(manifest, _Manifest).status == "running")
    except (OSError, ValueError, UsageError):
        return False


class Pages:
    """The pages of some runs, the newest last, each in a folder that is gone when this is closed.

    The page of runs that have ended is written when somebody asks for it. Of runs that go on, whoever asks gets the
    page that there is, at once, and a newer one is written meanwhile, from time to time.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        write: Callable[[Path, str], str],
        *,
        clock: Callable[[], float] = time.monotonic,
        spent: Callable[[], float] = time_spent,
    ) -> None:
        """``write`` writes the page into a folder, given the runs' state, and returns the hash of its samples.

        ``clock`` says when it is, and ``spent`` what has been spent on pages, both in seconds.
        """
        self._folders, self._write, self._clock, self._spent = folders, write, clock, spent
        self._root = TemporaryDirectory(prefix="judgebench-view-", ignore_cleanup_errors=True)
        self._made: list[tuple[str, str, Path]] = []
        self._lock = threading.Lock()
        self._wait_until = 0.0
        self._background: threading.Thread | None = None
        self._failed = False

    def state(self) -> str:
        """The state of the runs in the page that whoever asks for it now gets."""
        state = state_of(self._folders)
        return self._made[-1][0] if self._made and self._in_background(state) else state

    def newest(self) -> Path:
        """The folder of the page for whoever asks now."""
        if not self._made or not self._in_background(state_of(self._folders)):
            self._make()
        return self._made[-1][2]

    def _in_background(self, state: str) -> bool:
        """Whether the runs go on, so that the page there is will do; a newer one is begun if it is time for that."""
        if self._failed or not go_on(self._folders):
            return False
        idle = self._background is None or not self._background.is_alive()
        if state != self._made[-1][0] and idle and self._clock() >= self._wait_until:
            self._background = threading.Thread(target=self._try, name=WRITER, daemon=True)
            self._background.start()
        return True

    def _try(self) -> None:
        try:
            self._make()
        except (UsageError, OSError):
            # Whoever asks next is told.
            self._failed = True

    def _make(self) -> None:
        """Write the page of the runs as they are, unless there is one."""
        with self._lock:
            state = state_of(self._folders)
            if self._made and self._made[-1][0] == state:
                return
            begun = self._spent()
            folder = Path(self._root.name) / f"{len(self._made)}-{state}"
            folder.mkdir(exist_ok=True)
            try:
                self._made.append((state, self._write(folder, state), folder))
            finally:
                self._wait_until = self._clock() + PAUSES * (self._spent() - begun)
            self._failed = False
            for _, _, old in self._made[:-KEPT]:
                for file in [*old.rglob("*.*")]:
                    file.unlink(missing_ok=True)

    def slice(self, name: str, asked: str) -> bytes | None:
        """A file of samples of the page whose samples have the hash that starts so."""
        for _, hashed, folder in reversed(self._made[-KEPT:]):
            if asked and hashed.startswith(asked) and (folder / "slices" / name).is_file():
                return (folder / "slices" / name).read_bytes()
        return None

    def close(self) -> None:
        """Remove all pages."""
        self._root.cleanup()


class PageServer(ThreadingHTTPServer):
    """Answers whoever knows the path."""

    daemon_threads = True

    def __init__(self, pages: Pages, port: int = 0) -> None:
        """Listen on a port of this machine alone; 0 takes a free one."""
        self.pages, self.token = pages, secrets.token_urlsafe(16)
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise UsageError(
                f"--port {port}: nothing can listen there ({error.strerror}); without it a free one is taken"
            ) from error

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.server_port}/{self.token}/"


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    server_version, sys_version = "judgebench", ""
    timeout = 60

    def do_GET(self) -> None:  # the name that http.server calls
        """Send the page, a file of its samples, or the runs' state."""
        port = self.server.server_port
        if self.headers.get("Host") not in (f"{HOST}:{port}", f"localhost:{port}"):
            return self._refuse(HTTPStatus.MISDIRECTED_REQUEST)
        path, _, query = self.path.partition("?")
        _, token, rest = (*path.split("/", 2), "", "")[:3]
        if not secrets.compare_digest(token.encode("utf-8", "replace"), self.server.token.encode()):
            return self._refuse(HTTPStatus.NOT_FOUND)
        if rest == "version.js":
            return self._send(f'jbVersion("{self.server.pages.state()}")\n'.encode(), "text/javascript")
        if found := SLICE.fullmatch(rest):
            data = self.server.pages.slice(found[1], query)
            return self._refuse(HTTPStatus.NOT_FOUND) if data is None else self._send(data, "text/javascript")
        if rest:
            return self._refuse(HTTPStatus.NOT_FOUND)
        try:
            page = self.server.pages.newest() / "index.html"
        except UsageError as error:
            return self._send(f"{error}\n".encode("utf-8", "replace"), "text/plain", HTTPStatus.SERVICE_UNAVAILABLE)
        return self._send(page.read_bytes(), "text/html")

    def _send(self, data: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            data = gzip.compress(data, 1)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", f"{policy(apart=True)}; frame-ancestors 'none'")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        self.wfile.write(data)

    def _refuse(self, status: HTTPStatus) -> None:
        self._send(f"{status.phrase}\n".encode(), "text/plain", status)

    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""
