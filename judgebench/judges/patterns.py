"""Runs the user's regular expressions in a process that can be ended: no look at a pattern tells how long it takes.

In this process, a pattern that does not end could not even be interrupted. The benchmarks' own patterns run here.
"""

import atexit
import itertools
from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec

from judgebench.grading.pool import KILLED, GradingPool, Verifier
from judgebench.records import Check, Verdict

CPU_SECONDS = 1.0
"""For one reply. A pattern that ends at all takes milliseconds."""
_NAME = "pattern"
_READ = "read"
_numbers = itertools.count()


def wrapped(verdict: Verdict) -> Verdict:
    """Return a verdict as it leaves the process, where nothing it says passes for the process's own end."""
    return Verdict(value=0.0, label=_READ, details=msgspec.to_builtins(verdict))


def killable(read: Callable[..., Verdict], shared: Any) -> Callable[[str], Verdict]:
    """Return a function that has ``read(shared, text)``, which is at the top of its module, run in another process.

    It returns a :func:`wrapped` verdict. A reading that is ended is a verdict without a value.
    """
    verifier = Verifier(function=read, fingerprint="", shared=shared, cpu_seconds=CPU_SECONDS)

    def read_elsewhere(text: str) -> Verdict:
        check = Check(id=str(next(_numbers)), example_id="", verifier=_NAME, arguments={"text": text})
        (found,) = _pool().verify({_NAME: verifier}, [check])
        if found.label == _READ:
            return msgspec.convert(found.details, Verdict)
        why = f"was ended after {CPU_SECONDS:g} s of CPU time" if found.label == "timeout" else "failed"
        more = found.details.get("error") or (found.label if found.label in KILLED[1:] else "")
        return Verdict(
            value=None, error=f"the judge file's regular expression {why} on this reply{f' ({more})' if more else ''}"
        )

    return read_elsewhere


@cache
def _pool() -> GradingPool:
    """The process that reads for all judges; it ends with this one."""
    pool = GradingPool(workers=1)
    atexit.register(pool.close)
    return pool
