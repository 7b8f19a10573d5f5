"""Which threads of judgebench a test began: what other tests of the process left running is no matter of its own."""

import threading

from tests.patience import wait_for

_before: set[threading.Thread] = set()


def remember_threads() -> None:
    """Take note of the threads there are, before a test begins."""
    _before.clear()
    _before.update(threading.enumerate())


def our_threads(besides: str = "") -> list[str]:
    """Names of judgebench's threads that the test began and that still run, after all patience for them to end."""

    def running() -> list[str]:
        names = (thread.name for thread in threading.enumerate() if thread not in _before)
        return sorted(name for name in names if name.startswith("judgebench-") and name != besides)

    wait_for(lambda: not running(), look_every=0.01)
    return running()
