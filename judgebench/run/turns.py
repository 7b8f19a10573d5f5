"""Takes turns between tasks that share a judge, so that a small one need not wait until a large one is done."""

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """A queue that gives out the items of each party in turn, those of one party in their order.

    >>> queue = Turns[int]()
    >>> for party, item in (("a", 1), ("a", 2), ("a", 3), ("b", 4)):
    ...     queue.put(party, item)
    >>> queue.close()
    >>> list(iter(queue.get, None))
    [1, 4, 2, 3]
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[str, deque[T]] = {}
        """By party; the party whose turn it is comes first."""
        self._closed = False

    def put(self, party: str, item: T) -> None:
        """Add an item of a party."""
        with self._changed:
            self._waiting.setdefault(party, deque()).append(item)
            self._changed.notify()

    def close(self) -> None:
        """Say that no more will come."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def get(self) -> T | None:
        """Take the next item, and wait for it; ``None`` if no more will come."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            if not self._waiting:
                return None
            party, items = next(iter(self._waiting.items()))
            item = items.popleft()
            del self._waiting[party]
            if items:
                self._waiting[party] = items
            return item


def in_turn(several: Iterable[Iterator[T]]) -> Iterator[T]:
    """The items of several iterators, one of each in turn.

    >>> list(in_turn([iter("aaa"), iter("b"), iter("cc")]))
    ['a', 'b', 'c', 'a', 'c', 'a']
    """
    going = deque(several)
    while going:
        one = going.popleft()
        for item in one:
            yield item
            going.append(one)
            break
