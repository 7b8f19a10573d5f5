"""Calls a second through a call store that is full already: ``python benchmarks/call_store.py [--rows N] [--calls N]``.

The store is filled with N rows of the size of a judge's reply. Then calls go through it as ``models.wrappers.Stored``
takes them: looked up, claimed, looked up again, charged, and put; up to 256 wait for their commit. Half as many calls
are looked up that are there. Printed are CPU seconds of all threads, per call, and calls a second of one core; the
bound is 2,000.
"""

import argparse
import hashlib
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from judgebench.codec import encode  # noqa: E402
from judgebench.errors import JudgebenchError  # noqa: E402
from judgebench.models.call_store import Bill, CallStore, StoredCall  # noqa: E402
from judgebench.records import Completion, Usage  # noqa: E402

REPLY = Completion(
    text="The first answer is precise and the second one wanders, though neither of the two is wrong. " * 2 + "[[A]]",
    finish_reason="stop",
    usage=Usage(prompt_tokens=400, completion_tokens=60),
    model="judge",
)
IN_FLIGHT, AT_ONCE = 256, 20_000
BOUND = 2_000


def key(number: int) -> bytes:
    """As random as a call's."""
    return hashlib.sha256(str(number).encode()).digest()


def fill(store: CallStore, rows: int) -> None:
    """Put so many rows into a store."""
    completion = encode(REPLY)

    def calls(start: int) -> Iterator[StoredCall]:
        return (StoredCall(key(n), "judge", 1.0 + n, completion) for n in range(start, min(rows, start + AT_ONCE)))

    for start in range(0, rows, AT_ONCE):
        store.take(calls(start))


def buy(store: CallStore, first: int, calls: int) -> None:
    """Let so many new calls through."""
    done: SimpleQueue[JudgebenchError | None] = SimpleQueue()
    bill, waiting = Bill(run="run", model="judge", identity="judge"), 0
    for number in range(first, first + calls):
        name = key(number)
        if store.get(name) is not None or not store.claims.claim(name, "run") or store.get(name) is not None:
            raise SystemExit(f"call {number} was there before")
        store.claims.charge(name, "run", 0.01)
        store.put(name, bill, REPLY, done.put)
        waiting += 1
        if waiting == IN_FLIGHT:
            done.get()
            waiting -= 1
    for _ in range(waiting):
        if error := done.get():
            raise error


def look_up(store: CallStore, rows: int, calls: int) -> None:
    """Look up so many calls that are there."""
    rng = random.Random(0)
    for _ in range(calls):
        if store.get(key(rng.randrange(rows))) is None:
            raise SystemExit("a call is lost")


def measured(rows: int, calls: int) -> float:
    """Print the figures of a store of so many rows; the fewest calls a second of one core."""
    slowest = float("inf")
    with tempfile.TemporaryDirectory() as folder, CallStore(Path(folder) / "calls.sqlite") as store:
        begun = time.process_time()
        fill(store, rows)
        print(f"{rows:,} rows, taken in at {rows / (time.process_time() - begun):,.0f} a CPU-second")
        for what, work, first, count in (("new", buy, rows, calls), ("stored", look_up, rows, calls // 2)):
            begun, clock = time.process_time(), time.monotonic()
            work(store, first, count)
            used, took = time.process_time() - begun, time.monotonic() - clock
            slowest = min(slowest, count / used)
            print(f"  {what} calls: {1e6 * used / count:.0f} CPU-µs each, {count / used:,.0f} a second of one core "
                  f"({count / took:,.0f} a second by the clock, load {os.getloadavg()[0]:.0f})")  # fmt: skip
    return slowest


def main() -> None:
    """Print the figures, and end with 1 if the bound is not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--calls", type=int, default=20_000)
    options = parser.parse_args()
    slowest = min([measured(rows, options.calls) for rows in (options.rows // 100, options.rows)])
    raise SystemExit(0 if slowest >= BOUND else 1)


if __name__ == "__main__":
    main()
