"""Runs a program that nobody trusts: what a model under test wrote, or what reads it.

In the sandbox, which is bubblewrap's, a program sees the system's folders and the interpreter read-only, one folder in
memory that it can write to, and itself: no network, no home, no other process, no variable of the environment. It has
limits of time, memory, disk, output and number of processes. When it ends, or goes over a limit, the kernel ends
everything that it started with its process namespace; so it does when this process ends, however that happens.

Without the sandbox only the limits hold, and only for programs that do not try to get round them.
"""

import json
import os
import resource
import select
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from judgebench.grading import bubblewrap
from judgebench.grading.watching import Family, available, family

LONGEST_WAIT = 12.0
"""A program that waits for a free core has so many times its seconds, in all."""
MOST_FILES = 20_000
"""Files in the folders that a program can write to, which take memory however small they are."""
REPORT_BYTES = 2**16
"""Longest report of a program about itself."""
START_SECONDS = 60.0
"""How long the sandbox itself may take to start, on the busiest machine."""
DRAIN_SECONDS = 5.0
MOST_OPEN = 256
"""Files that a process may have open."""
NOT_STARTED = 127
"""A shell's exit status for a program that it cannot start."""
TICK_SECONDS = 0.01
FREE_ADDRESS_SPACE = 4 * 2**30
"""Addresses beyond its memory that a process may reserve, as the runtimes of many languages do."""
OVER_TIME, OVER_MEMORY, OVER_OUTPUT, OVER_FILES = "over time", "over memory", "over output", "over files"
TIMEOUT = "timeout"
"""Over time on a machine that gave it no core: it might have ended in time elsewhere."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a program may use."""

    seconds: float = 5.0
    """Time on the clock, without the time that it waited for a free core."""
    memory_bytes: int = 512 * 2**20
    """Memory of all its processes together."""
    processes: int = 32
    """Processes and threads at one time."""
    output_bytes: int = 2**20
    """What it may write to each of its two outputs."""
    disk_bytes: int = 64 * 2**20
    """Files that it may write, which are in memory."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """What is run, in a folder of its own."""

    command: tuple[str, ...]
    """Words; ``{report}`` stands for the number of a file descriptor, if the program makes a report."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """What is in its folder, by name."""
    stdin: bytes = b""
    readable: tuple[str, ...] = ()
    """Further paths that it can read, beside those of the system and of this interpreter."""
    reports: bool = False
    """Whether it writes a report, which none of the programs that it starts can reach."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a program ended."""

    exit_status: int | None
    """That of a shell: 128 and more for a signal; ``None`` if a limit ended it."""
    ended: str | None = None
    """The limit that ended it."""
    stdout: bytes = b""
    stderr: bytes = b""
    report: bytes = b""
    seconds: float = 0.0
    failure: str | None = None
    """Why nothing ran, if the sandbox itself failed."""


def run(program: Program, limits: Limits, *, sandboxed: bool = True) -> Outcome:
    """Run a program to its end, in the sandbox or without it. Call :func:`why_not` before."""
    with ExitStack() as stack:
        try:
            start = _Sandboxed(program, limits, stack) if sandboxed else _Bare(program, limits, stack)
        except _FailedToStart as error:
            return Outcome(exit_status=None, failure=str(error))
        return _Watch(start, limits).outcome()


@cache
def why_not() -> str | None:
    """Why there is no sandbox on this machine, in words; ``None`` if there is one.

    A process without threads asks, because what is called between ``fork`` and ``exec`` must not wait for one.
    """
    if reason := bubblewrap.lacking():
        return reason
    if not available():
        return "this kernel does not tell which processes a program started (CONFIG_PROC_CHILDREN)"
    paths = os.pathsep.join(str(Path(path).resolve()) for path in sys.path)
    asked = subprocess.Popen(
        [sys.executable, "-m", "judgebench.grading.sandbox"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
        process_group=0,
    )
    out, err = asked.communicate()
    # A bubblewrap that fails may leave its child waiting.
    with suppress(ProcessLookupError):
        os.killpg(asked.pid, signal.SIGKILL)
    said = out if asked.returncode == 0 else err[-300:]
    return f"bubblewrap cannot make a sandbox here ({' '.join(said.split())[:300]})" if said else None


def main() -> None:
    """Print why this interpreter does not start in a sandbox here; nothing if it does."""
    outcome = run(Program(command=(sys.executable, "-c", "pass")), Limits(seconds=START_SECONDS))
    if outcome.exit_status != 0:
        said = outcome.failure or outcome.stderr.decode(errors="replace")
        print(said or f"Python ended with {outcome.exit_status or outcome.ended}")


class _FailedToStart(Exception):
    """The program was not started."""


class _Started:
    """A program under way. A shell sets its limits, and starts it only if somebody lives who watches."""

    process: "subprocess.Popen[bytes]"
    root: int
    """The process that all of the program's descend from."""
    report: int | None = None

    def __init__(self, program: Program, limits: Limits, stack: ExitStack, *, processes: int | None) -> None:
        self.stdin, self._goes = _pipe(stack)
        source = bubblewrap.memory_file(program.stdin, stack)
        words, self.given = list(program.command), [source]
        if program.reports:
            self.report, given = _pipe(stack)
            words = [word.replace("{report}", str(given)) for word in words]
            self.given.append(given)
        self.command = ["/bin/sh", "-c", _limiting(limits, processes, source), "sh", *words]

    def go(self) -> None:
        """Let the shell start the program."""
        for descriptor in (self.stdin, *self.given[1:]):
            _close(descriptor)
        with suppress(BrokenPipeError):
            os.write(self._goes, b"\n")
        _close(self._goes)

    def family(self) -> Family:
        """All its processes."""
        return family(self.root)

    def files(self, everyone: Family) -> int:
        """How many files there are where it can write, if that is a place of its own."""
        return 0

    def kill(self) -> None:
        """End all of them."""
        raise NotImplementedError

    def exit_status(self) -> tuple[int | None, str | None]:
        """How it ended, after it did; else why it was never started."""
        raise NotImplementedError


class _Sandboxed(_Started):
    def __init__(self, program: Program, limits: Limits, stack: ExitStack) -> None:
        # Within the sandbox, because outside it the user's other processes would count.
        super().__init__(program, limits, stack, processes=limits.processes + 1 + bubblewrap.others())
        self._status, status = _pipe(stack)
        user = bubblewrap.user()
        mounts = bubblewrap.mounts(program.readable, user)
        arguments = bubblewrap.arguments(mounts, program.files, limits.disk_bytes, stack)
        try:
            self.process = subprocess.Popen(
                [*arguments.words, "--json-status-fd", str(status), "--", *self.command],
                stdin=self.stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[*arguments.descriptors, status, *self.given],
                env={},
                cwd="/",
                **bubblewrap.identity(user, mounts),
            )
        except (OSError, subprocess.SubprocessError) as error:
            hidden = [mount.path for mount in mounts if mount.source != mount.path]
            about = f"{', '.join(hidden)} can be read by root only, and root may not mount it here; " if hidden else ""
            raise _FailedToStart(f"{about}bubblewrap was not started: {error}") from error
        stack.callback(_close_all, self.process)
        _close(status)
        self._told = b""
        self.root = self._first()
        self._handle = os.pidfd_open(self.root)
        stack.callback(os.close, self._handle)
        self.go()

    def _first(self) -> int:
        """The first process in the sandbox, which waits for the others."""
        while b"\n" not in self._told:
            ready, _, _ = select.select([self._status], [], [], START_SECONDS)
            part = os.read(self._status, 4096) if ready else b""
            if not part:
                raise self._failed()
            self._told += part
        return int(json.loads(self._told.splitlines()[0])["child-pid"])

    def _failed(self) -> _FailedToStart:
        self.process.kill()
        assert self.process.stderr is not None
        os.set_blocking(self.process.stderr.fileno(), False)
        said = (self.process.stderr.read(2000) or b"").decode(errors="replace").strip()
        return _FailedToStart(said or "bubblewrap ended, and did not say why")

    def files(self, everyone: Family) -> int:
        # Before there are others, the first process may still see the files of this machine.
        others = Family(everyone.pids[1:])
        return max(others.files(folder) for folder in bubblewrap.WRITABLE)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        self.process.kill()
        # The first process of a namespace is gone when all others are.
        select.select([self._handle], [], [], DRAIN_SECONDS)

    def exit_status(self) -> tuple[int | None, str | None]:
        """As bubblewrap tells it, which says nothing if it did not come to the program."""
        while part := os.read(self._status, 4096):
            self._told += part
        for line in self._told.splitlines():
            with suppress(ValueError, KeyError):
                return int(json.loads(line)["exit-code"]), None
        return None, "bubblewrap ended before the program did"


class _Bare(_Started):
    """A program without a sandbox: a session of its own, in a folder that is removed."""

    def __init__(self, program: Program, limits: Limits, stack: ExitStack) -> None:
        super().__init__(program, limits, stack, processes=None)
        made = tempfile.TemporaryDirectory(prefix="judgebench-", ignore_cleanup_errors=True)
        folder = Path(stack.enter_context(made))
        for name, content in program.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        try:
            self.process = subprocess.Popen(
                self.command,
                stdin=self.stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=self.given,
                env=bubblewrap.environment(str(folder)),
                cwd=folder,
                start_new_session=True,
            )
        except OSError as error:
            raise _FailedToStart(f"the program was not started: {error}") from error
        stack.callback(_close_all, self.process)
        self.root = self.process.pid
        self.go()

    def kill(self) -> None:
        for pid in self.family().pids[1:]:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.killpg(self.root, signal.SIGKILL)

    def exit_status(self) -> tuple[int | None, str | None]:
        code = self.process.wait()
        return (code if code >= 0 else 128 - code), None


def _limiting(limits: Limits, processes: int | None, stdin: int) -> str:
    """A script that limits each process to come, waits for a line, and becomes the program.

    The line comes by standard input, because some shells read from no descriptor above 9; the program gets another one.
    """
    address_space = _at_most(resource.RLIMIT_AS, limits.memory_bytes + FREE_ADDRESS_SPACE) // 1024
    size, opened = (
        _at_most(resource.RLIMIT_FSIZE, limits.disk_bytes) // 512,
        _at_most(resource.RLIMIT_NOFILE, MOST_OPEN),
    )
    wanted = ["-c 0", f"-n {opened}", f"-v {address_space}", f"-f {size}"]
    steps = [f"ulimit {limit}" for limit in wanted]
    if processes is not None:  # shells call it -u or -p
        processes = _at_most(resource.RLIMIT_NPROC, processes)
        steps.append(f"{{ ulimit -u {processes} 2>/dev/null || ulimit -p {processes}; }}")
    steps += ["read go", f'exec "$@" </proc/self/fd/{stdin}']
    return f"echo 1000 2>/dev/null >/proc/self/oom_score_adj; {' && '.join(steps)}; exit {NOT_STARTED}"


def _at_most(kind: int, wanted: int) -> int:
    """A limit that may be set here: the machine's own may be lower."""
    _, hard = resource.getrlimit(kind)
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


class _Watch:
    """Reads what a program writes, and ends it when it goes over a limit."""

    def __init__(self, started: _Started, limits: Limits) -> None:
        self._started, self._limits = started, limits
        process = started.process
        assert process.stdout is not None
        assert process.stderr is not None
        self._streams: dict[int, bytearray] = {
            process.stdout.fileno(): bytearray(),
            process.stderr.fileno(): bytearray(),
        }
        if started.report is not None:
            self._streams[started.report] = bytearray()
        self._began = time.monotonic()

    def outcome(self) -> Outcome:
        """Watch it to its end."""
        with selectors.DefaultSelector() as selector:
            for descriptor in self._streams:
                selector.register(descriptor, selectors.EVENT_READ)
            ended = self._watched(selector)
            seconds = time.monotonic() - self._began
            self._started.kill()
            self._drained(selector)
        self._started.process.wait()
        status, failure = (None, None) if ended else self._started.exit_status()
        out, err, *reported = map(bytes, self._streams.values())
        return Outcome(
            exit_status=status,
            ended=ended,
            stdout=out,
            stderr=err,
            report=reported[0] if reported else b"",
            seconds=seconds,
            failure=failure,
        )

    def _watched(self, selector: selectors.BaseSelector) -> str | None:
        """Wait for the program's end; return the limit that it went over, if it did."""
        alive = os.pidfd_open(self._started.process.pid)
        selector.register(alive, selectors.EVENT_READ)
        pause = looked = 0.0
        try:
            while True:
                events = selector.select(max(0.0, pause - (time.monotonic() - looked)))
                if any(key.fd == alive for key, _ in events):
                    return self._over_output()
                self._read(selector, [key.fd for key, _ in events])
                if over := self._over_output():
                    return over
                if time.monotonic() - looked >= pause:
                    looked = time.monotonic()
                    if over := self._over():
                        return over
                    pause = max(TICK_SECONDS, 5 * (time.monotonic() - looked))
        finally:
            selector.unregister(alive)
            os.close(alive)

    def _read(self, selector: selectors.BaseSelector, ready: Sequence[int]) -> None:
        for descriptor in ready:
            if not (part := os.read(descriptor, 2**16)):
                selector.unregister(descriptor)
            self._streams[descriptor] += part

    def _over_output(self) -> str | None:
        most = [self._limits.output_bytes, self._limits.output_bytes, REPORT_BYTES]
        over = any(len(found) > limit for found, limit in zip(self._streams.values(), most, strict=False))
        return OVER_OUTPUT if over else None

    def _over(self) -> str | None:
        """The limit that the program is over now."""
        limits, everyone = self._limits, self._started.family()
        if everyone.memory > limits.memory_bytes:
            return OVER_MEMORY
        if self._started.files(everyone) > MOST_FILES:
            return OVER_FILES
        passed = time.monotonic() - self._began
        if passed < limits.seconds:
            return None
        computed = everyone.cpu_seconds
        if computed >= limits.seconds or passed - everyone.waited_seconds >= limits.seconds:
            return OVER_TIME
        return TIMEOUT if passed >= LONGEST_WAIT * limits.seconds else None

    def _drained(self, selector: selectors.BaseSelector) -> None:
        """Read what is still in the pipes; nothing writes to them any more."""
        end = time.monotonic() + DRAIN_SECONDS
        while selector.get_map() and time.monotonic() < end and not self._over_output():
            self._read(selector, [key.fd for key, _ in selector.select(end - time.monotonic())])


def _pipe(stack: ExitStack) -> tuple[int, int]:
    """Both ends of a pipe, which are closed at the end if they are open then."""
    ends = os.pipe()
    for descriptor in ends:
        stack.callback(_close, descriptor)
    return ends


def _close(descriptor: int) -> None:
    with suppress(OSError):
        os.close(descriptor)


def _close_all(process: "subprocess.Popen[bytes]") -> None:
    """End a process for certain, and free what belongs to it."""
    process.kill()
    process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


if __name__ == "__main__":
    main()
