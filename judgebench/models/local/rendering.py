"""Chat templates, rendered where they can be stopped: one process for all templates, started by the first."""

import atexit
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from judgebench.grading.worker import read_message, write_message
from judgebench.models.local.rendering_worker import CPU_SECONDS, WALL_SECONDS, Conversation, Rendered
from judgebench.records import Message


class NotRendered(Exception):
    """A template that did not come to an end for a conversation."""

    def __init__(self, reason: str, *, over_limit: bool) -> None:
        self.over_limit = over_limit
        """It ran out of time or memory: it will not do better with another conversation."""
        super().__init__(reason)


def render(template: str, messages: Sequence[Message], variables: Mapping[str, Any]) -> str:
    """The prompt that transformers makes of a conversation with a Jinja template.

    Raises :class:`NotRendered`, and ``UnicodeEncodeError`` for a conversation with half a character in it.
    """
    conversation = Conversation(
        template, [{"role": message.role, "content": message.content} for message in messages], dict(variables)
    )
    rendered = _WORKER.ask(msgspec.msgpack.encode(conversation))
    if rendered.text is None:
        raise NotRendered(rendered.error or "it gave no prompt", over_limit=rendered.over_limit)
    return rendered.text


class _Worker:
    """The process, seen from outside; one that was ended is replaced."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.end)

    def ask(self, data: bytes) -> Rendered:
        """What the process answers, or why it does not. One that something else ended is asked again, once."""
        with self._lock:
            rendered = self._ask(data) or self._ask(data)
        return rendered or Rendered(None, "the process that renders it was ended twice", over_limit=True)

    def _ask(self, data: bytes) -> Rendered | None:
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        answer = None
        try:
            write_message(process.stdin.fileno(), data)
            # Its own timers come first; this is for a process that lost them.
            if select.select([process.stdout], [], [], 2 * WALL_SECONDS + 60)[0]:
                answer = read_message(process.stdout.fileno())
        except BrokenPipeError:
            pass
        rendered = msgspec.msgpack.decode(answer, type=Rendered) if answer is not None else _cause(process)
        if rendered is None or rendered.over_limit:
            self._stop()
        return rendered

    def end(self) -> None:
        """Stop the process."""
        with self._lock:
            self._stop()

    def _start(self) -> "subprocess.Popen[bytes]":
        paths = [str(Path(path).resolve()) if path else os.getcwd() for path in sys.path]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "judgebench.models.local.rendering_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"},
            process_group=0,  # Ctrl-C is this process's business
        )
        return self._process

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _cause(process: "subprocess.Popen[bytes]") -> Rendered | None:
    """The limit that ended a process; ``None`` if it was something else."""
    try:
        code = process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        return Rendered(None, "it did not end", over_limit=True)
    limits = {
        -signal.SIGPROF: f"it computed for more than {CPU_SECONDS:g} seconds",
        -signal.SIGALRM: f"it took more than {WALL_SECONDS:g} seconds",
    }
    return Rendered(None, limits[code], over_limit=True) if code in limits else None


_WORKER = _Worker()
