"""The request queue that backends read from: a thread pulls requests ahead, so that ready ones can be batched.

The iterable of requests may block, because a judge's requests exist only once the answers do. A :class:`Feed` hands out
what is there and never makes its reader wait for what is not. Here are no replies and no limits; those are the
backend's.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class Feed(Generic[T]):
    """Numbered items of an iterable, at most ``ahead`` of them waiting to be taken.

    An exception of the iterable is raised by :meth:`take` after the items before it were taken.
    """

    def __init__(self, items: Iterable[T], ahead: int, on_ready: Callable[[], None] | None = None) -> None:
        """``on_ready`` is called from the feeding thread when something new can be taken or the end is reached."""
        self._waiting: deque[tuple[int, T]] = deque()
        self._changed = threading.Condition()
        self._ahead = ahead
        self._on_ready = on_ready
        self._exhausted = False
        self._closed = False
        self._error: BaseException | None = None
        threading.Thread(target=self._pull, args=(items,), name="judgebench-feed", daemon=True).start()

    def _pull(self, items: Iterable[T]) -> None:
        try:
            for numbered in enumerate(items):
                with self._changed:
                    while len(self._waiting) >= self._ahead and not self._closed:
                        self._changed.wait()
                    if self._closed:
                        return
                    self._waiting.append(numbered)
                    first = len(self._waiting) == 1
                    self._changed.notify_all()
                if first and self._on_ready:
                    self._on_ready()
        except BaseException as error:  # noqa: BLE001 - carried to the thread that takes
            self._error = error
        with self._changed:
            self._exhausted = True
            self._changed.notify_all()
        if self._on_ready and not self._closed:
            self._on_ready()

    def take(self, at_most: int, *, wait: bool) -> list[tuple[int, T]]:
        """Up to ``at_most`` items that are there; with ``wait``, blocks until there is one or the end is reached."""
        with self._changed:
            while wait and not self._waiting and not self._exhausted and not self._closed:
                self._changed.wait()
            taken = [self._waiting.popleft() for _ in range(min(at_most, len(self._waiting)))]
            if taken:
                self._changed.notify_all()
            elif self._exhausted and self._error is not None:
                raise self._error
            return taken

    @property
    def ended(self) -> bool:
        """Every item has been taken and no more will come."""
        with self._changed:
            return self._exhausted and not self._waiting and self._error is None

    def close(self) -> None:
        """Take no more; the feeding thread ends at its next item."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
