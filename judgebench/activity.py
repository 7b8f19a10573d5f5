"""What this process does beside asking models: it loads an engine, fetches a file, computes scores.

Whoever starts something that may take a second or more says so with :func:`doing`. A display reads :func:`current` at
its own pace. Nothing here prints.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True, eq=False)
class Activity:
    """Something that is under way."""

    phrase: str | Callable[[], str]
    since: float = field(default_factory=time.monotonic)
    thread: int = field(default_factory=threading.get_ident)

    @property
    def what(self) -> str:
        """A phrase such as ``loading the weights of ckpt``, as it is now."""
        return self.phrase if isinstance(self.phrase, str) else self.phrase()


_under_way: list[Activity] = []


@contextmanager
def doing(what: str | Callable[[], str]) -> Iterator[None]:
    """Say what the block does, for whoever watches. What changes meanwhile is a function.

    >>> with doing("counting"):
    ...     print([activity.what for activity in current()])
    ['counting']
    """
    activity = Activity(what)
    _under_way.append(activity)
    try:
        yield
    finally:
        _under_way.remove(activity)


def current() -> list[Activity]:
    """What is under way, the innermost activity of each thread."""
    return list({activity.thread: activity for activity in list(_under_way)}.values())
