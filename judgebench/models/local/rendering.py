"""Chat templates, rendered where they can be stopped: one process for all templates, started by the first."""

import atexit
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from judgebench.grading.process import WorkerProcess
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
        self._process: WorkerProcess | None = None
        atexit.register(self.end)

    def ask(self, data: bytes) -> Rendered:
        """What the process answers, or why it does not. One that something else ended is asked again, once."""
        with self._lock:
            rendered = self._ask(data) or self._ask(data)
        return rendered or Rendered(None, "the process that renders it was ended twice", over_limit=True)

    def _ask(self, data: bytes) -> Rendered | None:
        process = self._process = self._process or WorkerProcess("judgebench.models.local.rendering_worker")
        answer = None
        with suppress(BrokenPipeError, TimeoutError):
            process.send(data)
            answer = process.receive(WALL_SECONDS)
        rendered = msgspec.msgpack.decode(answer, type=Rendered) if answer is not None else _cause(process)
        if rendered is None or rendered.over_limit:
            self._stop()
        return rendered

    def end(self) -> None:
        """Stop the process."""
        with self._lock:
            self._stop()

    def _stop(self) -> None:
        if self._process is not None:
            self._process.end()
            self._process = None


def _cause(process: WorkerProcess) -> Rendered | None:
    """The limit that ended a process; ``None`` if it was something else."""
    try:
        code = process.exit_status(timeout=5)
    except subprocess.TimeoutExpired:
        return Rendered(None, "it did not end", over_limit=True)
    limits = {
        -signal.SIGPROF: f"it computed for more than {CPU_SECONDS:g} seconds",
        -signal.SIGALRM: f"it took more than {WALL_SECONDS:g} seconds",
    }
    return Rendered(None, limits[code], over_limit=True) if code in limits else None


_WORKER = _Worker()
