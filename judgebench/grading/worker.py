"""The worker process that runs a verifier: ``python -m judgebench.grading.worker``, started by ``pool``.

``pool.py`` starts it. It reads batches of jobs, runs them one by one and answers each as soon as it is done. Before
each job it arms two kernel timers, one for CPU time and one for wall time, whose signals end the process by default. So
it ends itself even while C code holds the interpreter, and even when the process that started it is gone. A model under
test may have written what it computes with, which must not keep the process, its memory or its output.
"""

import importlib
import importlib.util
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
from judgebench.grading.process import requests
from judgebench.records import Verdict


class Job(msgspec.Struct, array_like=True):
    """One check on its way to the worker."""

    module: str
    file: str
    """Where the module lies."""
    function: str
    arguments: dict[str, Any]
    shared: int | None
    """The number of the shared data, which the function takes first."""
    cpu_seconds: float
    wall_seconds: float


class Batch(msgspec.Struct, array_like=True):
    """The content of one message to a worker."""

    jobs: list[Job]
    shared: dict[int, bytes]
    """Pickled shared data that this worker has not seen."""


def main() -> None:
    """Serve until the input ends."""
    messages, send = requests()
    limit_memory(int(sys.argv[1]))
    shared: dict[int, Any] = {}
    pickled: dict[int, bytes] = {}
    for message in messages:
        batch = msgspec.msgpack.decode(message, type=Batch)
        pickled.update(batch.shared)
        for job in batch.jobs:
            verdict = _run(job, shared, pickled)
            send(msgspec.msgpack.encode(verdict))
            if verdict.label == "memory":  # the next verdict needs a clean heap
                return


def limit_memory(extra_bytes: int) -> None:
    """Let this process use so much more memory than it has now."""
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
        if job.shared in pickled:  # not before the module is there that defines its classes
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
    """End this process after so much CPU time or wall time; 0 removes the limit."""
    for number, timer, seconds in (
        (signal.SIGPROF, signal.ITIMER_PROF, cpu_seconds),
        (signal.SIGALRM, signal.ITIMER_REAL, wall_seconds),
    ):
        signal.signal(number, signal.SIG_DFL)
        signal.setitimer(timer, seconds)


@cache
def _function(module: str, file: str, name: str) -> Callable[..., Verdict]:
    """Return the function from the module that has this name in the other process."""
    try:
        loaded = (
            import_from_folder(module, Path(file)) if module.startswith(OUTSIDE) else importlib.import_module(module)
        )
    except ImportError:
        loaded = None
    if loaded is None or loaded.__file__ != file:  # here the name means another file
        spec = importlib.util.spec_from_file_location(module, file)
        assert spec is not None
        assert spec.loader is not None
        loaded = sys.modules[module] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
    function: Callable[..., Verdict] = getattr(loaded, name)
    return function


if __name__ == "__main__":
    main()
