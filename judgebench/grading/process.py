"""A process that can be killed, whatever it is doing: it reads messages, answers each, and ends when they end.

:class:`WorkerProcess` is the side that asks, :func:`requests` the side that answers. What a message means is the
business of the program that runs there.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

PATIENCE_SECONDS = 60
"""Added to twice a worker's own limit on wall time before it counts as hung: its own timers come first."""


class WorkerProcess:
    """A process that runs a module of this package, seen from outside."""

    def __init__(self, module: str, *arguments: str) -> None:
        paths = [str(Path(path).resolve()) if path else os.getcwd() for path in sys.path]
        inbox, self._requests = Pipe(duplex=False)
        self._replies, outbox = Pipe(duplex=False)
        with inbox, outbox:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=inbox.fileno(),
                stdout=outbox.fileno(),
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"},
                process_group=0,  # Ctrl-C is this process's business
            )

    def send(self, message: bytes) -> None:
        """Send a message; raise ``BrokenPipeError`` if the process is gone."""
        self._requests.send_bytes(message)

    def receive(self, wall_seconds: float) -> bytes | None:
        """Wait for an answer; return ``None`` if the process is gone, and raise ``TimeoutError`` if it hangs."""
        if not self._replies.poll(2 * wall_seconds + PATIENCE_SECONDS):
            raise TimeoutError
        try:
            return self._replies.recv_bytes()
        except (EOFError, OSError):
            return None

    def exit_status(self, timeout: float | None = None) -> int:
        """Wait for the end of the process, and return its status."""
        return self._process.wait(timeout)

    def kill(self) -> None:
        """Stop the process and those that it started, whatever they are doing; its thread cleans up."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def end(self) -> None:
        """Stop the process and free what belongs to it."""
        self.kill()
        self._process.wait()
        self._requests.close()
        self._replies.close()


def requests() -> tuple[Iterator[bytes], Callable[[bytes], None]]:
    """Take over standard input and output: return the messages that come, and what sends an answer.

    Whatever else this process writes, such as a parser's complaints about an answer, is dropped.
    """
    inbox, outbox = Connection(os.dup(0), writable=False), Connection(os.dup(1), readable=False)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    return _received(inbox), outbox.send_bytes


def _received(inbox: Connection) -> Iterator[bytes]:
    with suppress(EOFError):
        while True:
            yield inbox.recv_bytes()
