"""How long a test waits for what must happen: only a hang takes so long, however busy the machine is."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE_SECONDS = 300.0


def wait_for(happened: Callable[[], object], *, look_every: float = 0.02) -> None:
    """Return as soon as it is so; after all patience, fail."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        assert time.monotonic() < deadline, f"it did not happen within {PATIENCE_SECONDS:.0f} s"
        time.sleep(look_every)


@contextmanager
def patience() -> Iterator[None]:
    """Fail what is not done after all patience, such as an expression that takes the square of a million steps."""

    def give_up(*_: object) -> None:
        raise AssertionError(f"it was not done within {PATIENCE_SECONDS:.0f} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
