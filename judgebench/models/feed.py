"""How every backend reads its requests: a thread pulls them ahead, so that ready requests can be batched at once.

The iterable of requests may block, because a judge's requests exist only once the answers do. A :class:`Feed` hands out
the items that are there and never makes its reader wait for others. Replies and limits are the backend's business.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class Feed(Generic[T]):
    """Numbered items of an iterable, at most ``ahead`` of them (a number, or what says it) waiting to be taken.

    An exception of the iterable is raised by :meth:`take` after the items before it were taken.
    """

    def __init__(
        self, items: Iterable[T], ahead: int | Callable[[], int], on_ready: Callable[[], None] | None = None
    ) -> None:
        """The feeding thread calls ``on_ready`` when a new item can be taken or the end is reached."""
        self._waiting: deque[tuple[int, T]] = deque()
        self._changed = threading.Condition()
        self._ahead = ahead if callable(ahead) else lambda: ahead
        self._on_ready = on_ready
        self._exhausted = False
        self._closed = False
        self._error: BaseException | None = None
        threading.Thread(target=self._pull, args=(items,), name="judgebench-feed", daemon=True).start()

    def _pull(self, items: Iterable[T]) -> None:
        try:
            for numbered in enumerate(items):
                with self._changed:
                    while len(self._waiting) >= self._ahead() and not self._closed:
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
        """Up to ``at_most`` items that are there. With ``wait``, blocks until there is one or the end is reached."""
        if not wait and not self._waiting and not self._exhausted:
            return []
        with self._changed:
            while wait and not self._waiting and not self._exhausted and not self._closed:
                self._changed.wait()
            taken = [self._waiting.popleft() for _ in range(min(at_most, len(self._waiting)))]
            if taken:
                self._changed.notify_all()
            elif self._exhausted and self._error is not None:
                raise self._error
            return taken

    def arrivals(self, at_most: int, *, idle: bool) -> list[tuple[int, T]]:
        """As :meth:`take`, but waits and raises only when ``idle``: a busy backend first answers what it has."""
        try:
            return self.take(at_most, wait=idle)
        except BaseException:
            if idle:
                raise
            return []

    @property
    def ended(self) -> bool:
        """Whether every item has been taken and no more will come."""
        # Without the lock: nothing is added after either is set.
        return self._exhausted and self._error is None and not self._waiting

    @property
    def error(self) -> BaseException | None:
        """The iterable's exception, once every item before it has been taken."""
        error = self._error
        return None if self._waiting else error

    def close(self) -> None:
        """Pull no more; the feeding thread ends at its next item."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
