"""The process that a verifier runs in: ``python -m judgebench.grading.worker``, started by ``grading.py``.

It reads batches of jobs from its standard input, runs them one by one and answers each as soon as it is done. Before
each it arms two kernel timers whose signals end the process by default: one counts its CPU time, one the time on the
wall. So it ends itself even while C code holds the interpreter, even when the process that started it is gone. What it
computes with may have been written by a model under test: nothing of it may keep the process, its memory or its output.
"""

import importlib
import importlib.util
import os
import pickle
import resource
import signal
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from judgebench.data.resources import OUTSIDE, import_from_folder
from judgebench.records import Verdict

MESSAGE_LENGTH_BYTES = 8


class Job(msgspec.Struct, array_like=True):
    """One check, as it crosses to the worker."""

    module: str
    file: str
    """Where the module lies."""
    function: str
    arguments: dict[str, Any]
    shared: int | None
    """Number of the shared data that the function takes first."""
    cpu_seconds: float
    wall_seconds: float


class Batch(msgspec.Struct, array_like=True):
    """What one message to a worker holds."""

    jobs: list[Job]
    shared: dict[int, bytes]
    """Shared data that this worker has not seen, pickled."""


def write_message(pipe: int, data: bytes) -> None:
    """Send a message down a pipe; ``BrokenPipeError`` if nobody is at its other end."""
    left = memoryview(len(data).to_bytes(MESSAGE_LENGTH_BYTES, "big") + data)
    while left:
        left = left[os.write(pipe, left) :]


def read_message(pipe: int) -> bytes | None:
    """The next message, or ``None`` if the other side is gone."""
    head = _read_exactly(pipe, MESSAGE_LENGTH_BYTES)
    return None if head is None else _read_exactly(pipe, int.from_bytes(head, "big"))


def _read_exactly(pipe: int, length: int) -> bytes | None:
    parts: list[bytes] = []
    while length:
        part = os.read(pipe, min(length, 2**20))
        if not part:
            return None
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def main() -> None:
    """Serve until the input ends."""
    inbox, outbox = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # a parser's complaints about an answer are not the user's business
        os.dup2(nowhere, stream)
    limit_memory(int(sys.argv[1]))
    shared: dict[int, Any] = {}
    pickled: dict[int, bytes] = {}
    while (message := read_message(inbox)) is not None:
        batch = msgspec.msgpack.decode(message, type=Batch)
        pickled.update(batch.shared)
        for job in batch.jobs:
            verdict = _run(job, shared, pickled)
            write_message(outbox, msgspec.msgpack.encode(verdict))
            if verdict.label == "memory":  # what is left of the heap is no ground for the next verdict
                return


def limit_memory(extra_bytes: int) -> None:
    """Let this process take so much more than it has now."""
    status = Path("/proc/self/statm")
    pages = int(status.read_text().split()[0]) if status.exists() else 0
    limit = pages * resource.getpagesize() + extra_bytes
    for kind, value in ((resource.RLIMIT_AS, limit), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(kind)
        soft = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (soft, hard))


def _run(job: Job, shared: dict[int, Any], pickled: dict[int, bytes]) -> Verdict:
    try:
        function = _function(job.module, job.file, job.function)  # a slow import is not the answer's fault
        if job.shared in pickled:  # only now, because it may be of classes that the function's module defines
            shared[job.shared] = pickle.loads(pickled.pop(job.shared))
        first = () if job.shared is None else (shared[job.shared],)
        arm(job.cpu_seconds, job.wall_seconds)
        return function(*first, **job.arguments)
    except MemoryError:
        return Verdict(value=0.0, label="memory")
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - libraries raise their timeouts past ``Exception``
        return Verdict(value=0.0, label="error", details={"error": f"{type(error).__name__}: {error}"[:300]})
    finally:
        arm(0.0, 0.0)


def arm(cpu_seconds: float, wall_seconds: float) -> None:
    """End this process after so much computing, or so much time; 0 takes the limit back."""
    for number, timer, seconds in (
        (signal.SIGPROF, signal.ITIMER_PROF, cpu_seconds),
        (signal.SIGALRM, signal.ITIMER_REAL, wall_seconds),
    ):
        signal.signal(number, signal.SIG_DFL)
        signal.setitimer(timer, seconds)


@cache
def _function(module: str, file: str, name: str) -> Callable[..., Verdict]:
    """The function, out of the module that the other process knows by that name."""
    try:
        loaded = (
            import_from_folder(module, Path(file)) if module.startswith(OUTSIDE) else importlib.import_module(module)
        )
    except ImportError:
        loaded = None
    if loaded is None or loaded.__file__ != file:  # a name that means another file here
        spec = importlib.util.spec_from_file_location(module, file)
        assert spec is not None
        assert spec.loader is not None
        loaded = sys.modules[module] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
    function: Callable[..., Verdict] = getattr(loaded, name)
    return function


if __name__ == "__main__":
    main()
