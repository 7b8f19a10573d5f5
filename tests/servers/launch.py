"""Starts ``chat_server.py`` as a process of its own and reads its log."""

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).with_name("chat_server.py")


class Server:
    """A running chat server."""

    def __init__(self, port: int, log: Path) -> None:
        self.port = port
        self.log = log

    @property
    def base_url(self) -> str:
        """What a client is given."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def root_url(self) -> str:
        """What a client of Anthropic's protocol is given."""
        return f"http://127.0.0.1:{self.port}"

    def events(self) -> list[dict[str, Any]]:
        """The log so far: ``time``, ``key``, ``event``, ``in_flight``."""
        whole, _, _ = self.log.read_text().rpartition("\n")  # the last line may be on its way
        return [json.loads(line) for line in whole.splitlines()]

    def bodies(self) -> list[dict[str, Any]]:
        """What was sent, with ``log_bodies=1``."""
        return [event["body"] for event in self.events() if event["event"] == "start"]

    def counts(self) -> Counter[str]:
        """How often each event happened."""
        return Counter(event["event"] for event in self.events())

    def seen(self) -> Counter[str]:
        """How often each request was seen, by the hash of its messages."""
        return Counter(event["key"] for event in self.events() if event["event"] == "start")

    def set(self, **settings: Any) -> None:
        """Change attributes of the server (``max_in_flight``, ``rates``, ``key``) while it runs."""
        address = f"http://127.0.0.1:{self.port}/settings"
        headers = {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(address, json.dumps(settings).encode(), headers)):
            pass


@contextmanager
def chat_server(*, environment: dict[str, str] | None = None, **options: Any) -> Iterator[Server]:
    """A server with the program's options (``delay_ms=5``, ``faults="500=0.1"``, …), ended on leaving."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(options.pop("log", Path(folder) / "requests.jsonl"))
        log.touch()
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        process = subprocess.Popen(
            [sys.executable, str(PROGRAM), f"--log={log}", *flags],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"the chat server ended with {process.wait()} before it listened")
            yield Server(int(line), log)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
