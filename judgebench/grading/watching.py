"""Watches a program and all processes that it started, from outside: their memory, their time, their files.

A kernel limit bounds one process; a program may start many. So whoever runs one looks at all of them every few
milliseconds. Linux only.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_CPU_FIELDS = slice(11, 15)
"""Of ``/proc/PID/stat`` behind the name: user and system time, of the process and of children that it waited for."""
MOST_WATCHED = 4096


def available() -> bool:
    """Whether the kernel says what a process has started."""
    return Path(f"/proc/self/task/{os.getpid()}/children").exists()


@dataclass(frozen=True)
class Family:
    """A process and its descendants, at the time of the question."""

    pids: tuple[int, ...]

    @property
    def memory(self) -> int:
        """Bytes of memory that no file on a disk backs."""
        return sum(map(_memory, self.pids))

    @property
    def cpu_seconds(self) -> float:
        """CPU time of all, with those that have ended."""
        return sum(map(_cpu_seconds, self.pids))

    @property
    def waited_seconds(self) -> float:
        """How long the thread that waited most for a free core did so."""
        return max((waited for pid in self.pids for waited in _waits(pid)), default=0.0)

    def files(self, folder: str) -> int:
        """How many files there are on the file system of a folder, as these processes see it."""
        for pid in self.pids:
            with suppress(OSError):
                found = os.statvfs(f"/proc/{pid}/root{folder}")
                return found.f_files - found.f_ffree
        return 0


def family(pid: int) -> Family:
    """The process and its descendants. One that ends meanwhile may be among them."""
    found, open_ = [pid], [pid]
    while open_ and len(found) < MOST_WATCHED:
        children = list(_children(open_.pop()))
        found += children
        open_ += children
    return Family(tuple(found))


def _children(pid: int) -> Iterator[int]:
    for thread in _threads(pid):
        yield from map(int, _read(f"/proc/{pid}/task/{thread}/children").split())


def _threads(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []


def _waits(pid: int) -> Iterator[float]:
    for thread in _threads(pid):
        fields = _read(f"/proc/{pid}/task/{thread}/schedstat").split()
        if len(fields) == 3:
            yield int(fields[1]) / 1e9


def _memory(pid: int) -> int:
    lines = _read(f"/proc/{pid}/status").splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("RssAnon:", "RssShmem:", "VmSwap:")))


def _cpu_seconds(pid: int) -> float:
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return sum(map(int, fields[_CPU_FIELDS])) / _TICKS


def _read(path: str) -> str:
    """A file of the kernel's; empty if its process is gone."""
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
