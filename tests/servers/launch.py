"""Starts ``chat_server.py`` as a process of its own and reads its log."""

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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

    def events_named(self, name: str) -> int:
        """How often a server of sums met a request with an oddity."""
        return sum(event["name"] == name for event in self.events())

    def set(self, **settings: Any) -> None:
        """Change attributes of the server (``max_in_flight``, ``rates``, ``key``) while it runs."""
        address = f"http://127.0.0.1:{self.port}/settings"
        headers = {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(address, json.dumps(settings).encode(), headers)):
            pass


@contextmanager
def odd_server(**options: Any) -> Iterator[Server]:
    """A server of sums that is odd, with its program's options (``rate=0.3``, ``refused="18,88"``)."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "requests.jsonl"
        log.touch()
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        program = PROGRAM.with_name("odd_server.py")
        with _started([sys.executable, str(program), f"--log={log}", *flags]) as port:
            yield Server(port, log)


@contextmanager
def mumbling_server(script: Path) -> Iterator[Server]:
    """A judge whose first reply to every prompt holds no verdict."""
    with _started([sys.executable, str(PROGRAM.with_name("mumbling_server.py")), f"--script={script}"]) as port:
        yield Server(port, script)


@contextmanager
def _started(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Iterator[int]:
    """A program whose first line of output is the port it listens on, ended on leaving."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})})
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the server ended with {process.wait()} before it listened")
        yield int(line)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextmanager
def chat_server(*, environment: dict[str, str] | None = None, **options: Any) -> Iterator[Server]:
    """A server with the program's options (``delay_ms=5``, ``faults="500=0.1"``, …), ended on leaving."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(options.pop("log", Path(folder) / "requests.jsonl"))
        log.touch()
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        with _started([sys.executable, str(PROGRAM), f"--log={log}", *flags], environment) as port:
            yield Server(port, log)


@contextmanager
def batch_server(**options: Any) -> Iterator[Server]:
    """A vendor with batches, with its program's options (``work_ms=50``, ``missing=0.1``, ``end="expired"``, …)."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "requests.jsonl"
        log.touch()
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        with _started([sys.executable, str(PROGRAM.with_name("batch_server.py")), f"--log={log}", *flags]) as port:
            yield Server(port, log)


@contextmanager
def rules_server(rules: Path) -> Iterator[Server]:
    """Models that answer by the rules of a file."""
    with _started([sys.executable, str(PROGRAM.with_name("rules_server.py")), f"--rules={rules}"]) as port:
        yield Server(port, rules)


@contextmanager
def echo_server(*, without: str = "", delay_ms: int = 0) -> Iterator[Server]:
    """A server of completions with known log-probabilities, or one that lacks ``echo`` or ``logprobs``."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "requests.jsonl"
        log.touch()
        program = PROGRAM.with_name("echo_server.py")
        flags = [f"--log={log}", f"--without={without}", f"--delay-ms={delay_ms}"]
        with _started([sys.executable, str(program), *flags]) as port:
            yield Server(port, log)
