"""Verifiers, and the pool of killable processes that runs them on model output.

A verifier is a function from an answer to a verdict. sympy on ``9^{9^{9}}`` or a regular expression on a megabyte of
spaces may take an hour or all memory. So every check runs in a worker process with limits on CPU time, wall time and
memory; the pool ends and replaces a worker that exceeds one, and no other check notices.

The limit that matters is on CPU time, so that a verdict does not depend on what else the machine is doing; the limit on
wall time is for what hangs without computing. The pool tries a check that was ended once more, in a fresh process while
no other check runs. If it fails again, the verdict says so (label ``timeout``, ``memory``, ``crash``).
"""

import os
import pickle
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from judgebench.errors import UsageError
from judgebench.grading import sandbox
from judgebench.grading.process import WorkerProcess
from judgebench.grading.worker import Batch, Job
from judgebench.records import Check, Verdict

CPU_SECONDS = 5.0
"""Math-Verify and lm-eval's Minerva rule also allow one comparison this long."""
WALL_PER_CPU = 12.0
"""Allowed wall time per second of CPU time: a worker gets at least a twelfth of a core."""
MEMORY_BYTES = 2 * 2**30
"""Memory that a worker may use beyond what it starts with."""
BATCH = 16
"""The most checks that a worker gets at a time."""
NOTHING = "[invalid]"
"""Stands for the extracted answer if none was found, as in lm-eval."""
KILLED = ("timeout", "memory", "crash")
"""Labels of verdicts on checks whose worker was ended."""


@dataclass(frozen=True, kw_only=True)
class Verifier:
    """A rule that decides whether an answer is right."""

    function: Callable[..., Verdict]
    """A function at the top level of its module. A worker calls it with ``shared``, if there is any, and the check's
    arguments. Value 1 means right or followed, 0 means not; the label says why in a word or two.
    """
    fingerprint: str
    """What can change its verdicts besides the check: versions of the rule and of the packages it uses."""
    shared: Any = None
    """Data that all its checks need, such as a table; each worker gets it once."""
    cpu_seconds: float = CPU_SECONDS
    runs_programs: Literal["", "sandbox", "no sandbox"] = ""
    """Whether it runs programs that somebody else wrote, and where. Its verdicts are kept: they may cost hours."""


Settled = Callable[[Check, Verdict], None]
"""What a verdict is given to as soon as it is there, by the thread that has it."""


@dataclass(eq=False, slots=True)
class _Task:
    """A check without a verdict yet. A live run may have hundreds of thousands."""

    job: Job
    check: Check
    verdict: Verdict | None = None
    error: BaseException | None = None
    retried: bool = False
    settled: "Settled | None" = None
    waits: bool = False
    """Whether somebody waits for ``settled``."""
    costly: bool = False
    """Whether it may take long: a worker gets no other one with it, and its verdict is there at once."""


class GradingPool:
    """Runs checks in worker processes. It starts them with the first check; close it to end them."""

    def __init__(
        self, workers: int | None = None, memory_bytes: int = MEMORY_BYTES, *, unsafe_local: bool = False
    ) -> None:
        """By default there are as many workers as this process may use cores.

        ``unsafe_local`` allows verifiers that run programs of others without a sandbox.
        """
        self._unsafe_local = unsafe_local
        self._size = workers or _cores()
        self._memory_bytes = memory_bytes
        self._changed = threading.Condition()
        self._queue: deque[_Task] = deque()
        self._again: deque[_Task] = deque()
        """Checks whose worker was ended; they run alone once everything else is done."""
        self._waited_for = 0
        """Threads that wait for results."""
        self._busy = 0
        self._alone = False
        self._closed = False
        self._threads: list[threading.Thread] = []
        self._workers: set[_Worker] = set()
        self._begun: dict[tuple[int, str], _Task] = {}
        self._shared: dict[int, tuple[Verifier, bytes]] = {}

    def __enter__(self) -> "GradingPool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin(
        self,
        verifiers: Mapping[str, Verifier],
        checks: Sequence[Check],
        settled: Settled | None = None,
        *,
        waits: bool = False,
    ) -> None:
        """Start checks whose verdicts are wanted later, such as those of an answer that just arrived.

        With ``waits`` somebody waits for ``settled``, which is called even if a verdict cannot be had.
        """
        with self._changed:
            for check in checks:
                task = self._task(verifiers[check.verifier], check, settled)
                self._waited_for += waits and not task.waits
                task.waits = task.waits or waits
            self._changed.notify_all()

    def verify(
        self, verifiers: Mapping[str, Verifier], checks: Sequence[Check], settled: Settled | None = None
    ) -> list[Verdict]:
        """Return the verdicts in the order of the checks. Checks that :meth:`begin` started do not run again."""
        with self._changed:
            tasks = [self._task(verifiers[check.verifier], check, settled) for check in checks]
            self._waited_for += 1
            self._changed.notify_all()
            try:
                return [self._verdict(task) for task in tasks]
            finally:
                self._waited_for -= 1
                for check in checks:
                    self._begun.pop((id(verifiers[check.verifier]), check.id), None)

    def _verdict(self, task: _Task) -> Verdict:
        """Wait for the verdict of a task. The caller holds the lock, which is free during the wait."""
        self._changed.wait_for(lambda: self._closed or task.verdict is not None or task.error is not None)
        if task.error is not None:
            raise task.error
        if task.verdict is None:
            raise RuntimeError("the pool is closed")
        return task.verdict

    def close(self) -> None:
        """End the workers, and drop checks without a verdict."""
        with self._changed:
            self._closed = True
            self._queue.clear()
            self._again.clear()
            for worker in self._workers:
                worker.kill()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _task(self, verifier: Verifier, check: Check, settled: Settled | None) -> _Task:
        key = id(verifier), check.id
        if key not in self._begun:
            if self._closed:
                raise RuntimeError("the pool is closed")
            require_place(verifier, unsafe_local=self._unsafe_local)
            self._begun[key] = task = _Task(
                self._job(verifier, check), check, settled=settled, costly=bool(verifier.runs_programs)
            )
            self._queue.append(task)
            if len(self._threads) < self._size and len(self._queue) > len(self._threads) - self._busy:
                thread = threading.Thread(target=self._serve, name="judgebench-grading", daemon=True)
                self._threads.append(thread)
                thread.start()
        return self._begun[key]

    def _job(self, verifier: Verifier, check: Check) -> Job:
        if verifier.shared is not None and id(verifier) not in self._shared:
            # Keeping the verifier keeps its id unique.
            self._shared[id(verifier)] = verifier, pickle.dumps(verifier.shared)
        module = sys.modules[verifier.function.__module__]
        return Job(
            module=module.__name__,
            file=module.__file__ or "",
            function=verifier.function.__qualname__,
            arguments=check.arguments,
            shared=None if verifier.shared is None else id(verifier),
            cpu_seconds=verifier.cpu_seconds,
            wall_seconds=verifier.cpu_seconds * WALL_PER_CPU,
        )

    def _serve(self) -> None:
        """Run one worker's thread: send checks, take verdicts, replace the worker when it was ended."""
        worker: _Worker | None = None
        while (tasks := self._take()) is not None:
            if worker is not None and tasks[0].retried:
                self._end(worker)
                worker = None
            try:
                worker = worker or self._start()
                verdicts = worker.run([task.job for task in tasks], self._shared)
                out_of_memory = bool(verdicts) and verdicts[-1].label == "memory"
                if len(verdicts) < len(tasks) and not out_of_memory:
                    verdicts.append(worker.cause())
                if verdicts[-1].label in KILLED:
                    self._end(worker)
                    worker = None
            except Exception as error:  # noqa: BLE001 - goes to the thread that waits for the verdicts
                for task in tasks:
                    task.error = error
                    self._tell(task, Verdict(value=None, error=f"it was not verified: {error}"))
                self._done([], [])
            else:
                self._done(tasks, verdicts)
        if worker is not None:
            self._end(worker)

    def _start(self) -> "_Worker":
        worker = _Worker(self._memory_bytes)
        with self._changed:
            self._workers.add(worker)
            if self._closed:  # in the meantime, and `close` has not seen this worker
                worker.kill()
        return worker

    def _end(self, worker: "_Worker") -> None:
        with self._changed:
            self._workers.discard(worker)
        worker.end()

    def _done(self, tasks: Sequence[_Task], verdicts: Sequence[Verdict]) -> None:
        """Store the verdicts of a batch; the next worker gets the tasks without one."""
        with self._changed:
            self._busy -= 1
            self._alone = False
            for task, verdict in zip(tasks, verdicts, strict=False):
                self._settle(task, verdict)
            self._queue.extendleft(reversed(tasks[len(verdicts) :]))
            self._changed.notify_all()

    def _take(self) -> list[_Task] | None:
        """Return the next checks for one worker; ``None`` when the pool is closed."""
        with self._changed:
            while not self._closed:
                if self._queue and not self._alone:
                    self._busy += 1
                    return self._batch(min(BATCH, max(1, len(self._queue) // (2 * self._size))))
                if self._again and not self._busy and self._waited_for:
                    self._busy, self._alone = 1, True
                    return [self._again.popleft()]
                self._changed.wait()
            return None

    def _batch(self, size: int) -> list[_Task]:
        """Take so many tasks from the queue, or one that is costly."""
        tasks = [self._queue.popleft()]
        while len(tasks) < size and not tasks[0].costly and not self._queue[0].costly:
            tasks.append(self._queue.popleft())
        return tasks

    def _settle(self, task: _Task, verdict: Verdict) -> None:
        if verdict.label in KILLED and not task.retried:
            task.retried = True
            self._again.append(task)
        else:
            if task.retried:
                verdict = msgspec.structs.replace(verdict, details={**verdict.details, "tried_again_alone": True})
            self._tell(task, verdict)
            task.verdict = verdict

    def _tell(self, task: _Task, verdict: Verdict) -> None:
        """Give the verdict to whoever wants it as soon as it is there."""
        with self._changed:
            self._waited_for -= task.waits
            task.waits = False
        try:
            if task.settled is not None:
                task.settled(task.check, verdict)
        except Exception as error:  # noqa: BLE001 - goes to the thread that waits for the verdict
            task.error = error


def require_place(verifier: Verifier, *, unsafe_local: bool) -> None:
    """Raise :class:`UsageError` unless there is a place for the programs that a verifier runs, if it does."""
    if verifier.runs_programs == "no sandbox" and not unsafe_local:
        raise UsageError(
            "these answers would be run as programs without a sandbox, which can do all that you can. Give "
            "--unsafe-local if that is what you want; a run folder of somebody else's never decides it"
        )
    if verifier.runs_programs == "sandbox" and (why := sandbox.why_not()):
        raise UsageError(NO_SANDBOX.format(why=why))


NO_SANDBOX = (
    "answers are run as programs in a sandbox, and there is none: {why}. Install bubblewrap 0.8 or later (apt install "
    "bubblewrap), or give --unsafe-local to run them without one, with all that you may do yourself"
)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Worker(WorkerProcess):
    """One worker process, seen from outside."""

    def __init__(self, memory_bytes: int) -> None:
        super().__init__("judgebench.grading.worker", str(memory_bytes))
        self._seen: set[int] = set()
        self._hung = False

    def run(self, jobs: Sequence[Job], shared: Mapping[int, tuple[Verifier, bytes]]) -> list[Verdict]:
        """Return the verdicts of the first jobs, up to the one that ended the process, if one did."""
        needed = {job.shared for job in jobs if job.shared is not None} - self._seen
        self._seen |= needed
        batch = Batch(jobs=list(jobs), shared={number: shared[number][1] for number in needed})
        verdicts: list[Verdict] = []
        try:
            self.send(msgspec.msgpack.encode(batch))
            for job in jobs:
                message = self.receive(job.wall_seconds)
                if message is None:
                    break
                verdicts.append(msgspec.msgpack.decode(message, type=Verdict))
        except BrokenPipeError:
            pass
        except TimeoutError:
            self._hung = True
        return verdicts

    def cause(self) -> Verdict:
        """What ended the process, as the verdict on the check it was at."""
        code = -signal.SIGALRM if self._hung else self.exit_status()
        limits = {-signal.SIGPROF: "CPU time", -signal.SIGALRM: "wall time"}
        if code in limits:
            return Verdict(value=0.0, label="timeout", details={"limit": limits[code]})
        return Verdict(value=0.0, label="crash", details={"exit_status": code})
