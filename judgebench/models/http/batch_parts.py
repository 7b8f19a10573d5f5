"""What a model that is asked in batches keeps account with: what is due, what waits where, and its single calls.

``batching`` decides what follows from what; here are the parts that decide nothing.
"""

import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from queue import SimpleQueue

from judgebench.models.batch_book import FETCHED, Batch, BatchBook
from judgebench.models.http.batch_api import BatchApi, BatchFault, Seen
from judgebench.models.http.model import HttpChat
from judgebench.models.http.pacing import retry_after
from judgebench.models.http.run import LONGEST_WAIT_SECONDS
from judgebench.records import Completion, Request, Usage

MOST_STRAY_LINES = 1000
"""Lines of results beyond three for each call that are read at most."""
MOST_FETCHES = 5
"""How often results are fetched that end too early; then what has come is all."""
FRAME = 200
"""Bytes that a call needs in a batch beside its body, at most."""


@dataclass
class Asked:
    """A request that is not answered yet."""

    index: int
    request: Request
    discarded: Usage = field(default_factory=Usage)
    """Tokens of replies to it that could not be used."""


@dataclass
class Collecting:
    """A batch that is being collected."""

    token: str
    refused: frozenset[str]
    calls: int = 0
    bytes: int = 0


@dataclass
class Due:
    """When something is to be done, and how often that failed so far."""

    at: float = 0.0
    faults: int = 0

    def again(self, fault: BatchFault | None = None) -> None:
        """Wait longer each time, or as long as the endpoint asks."""
        self.faults += 1
        asked = retry_after({"Retry-After": fault.retry_after}, time.time()) if fault and fault.retry_after else None
        self.at = time.time() + min(LONGEST_WAIT_SECONDS, 2.0 ** min(self.faults - 1, 10) if asked is None else asked)


@dataclass
class Watch(Due):
    """A batch that runs, with the calls of ours that are in it."""

    keys: set[bytes] = field(default_factory=set)
    fetches: int = 0
    done: int = 0
    calls: int = 0
    name: str = ""


class LiveLane:
    """Requests that are sent by themselves."""

    def __init__(self, model: HttpChat, received: "SimpleQueue[tuple[bytes, Completion] | BaseException]") -> None:
        self._model = model
        self._received = received
        self._queue: SimpleQueue[tuple[bytes, Request] | None] = SimpleQueue()
        self._keys: dict[int, bytes] = {}
        self._begun = False
        self.wake = threading.Event()

    def send(self, key: bytes, request: Request) -> None:
        """Send a request; its completion, or the error that ends all of them, will be among the received."""
        self._queue.put((key, request))
        if not self._begun:
            self._begun = True
            threading.Thread(target=self._work, name="judgebench-live", daemon=True).start()

    def close(self) -> None:
        """Send no more."""
        self._queue.put(None)

    def _requests(self) -> Iterator[Request]:
        number = 0
        while (item := self._queue.get()) is not None:
            self._keys[number] = item[0]
            number += 1
            yield item[1]

    def _work(self) -> None:
        try:
            for number, completion in self._model.complete(self._requests()):
                self._received.put((self._keys.pop(number), completion))
                self.wake.set()
        except BaseException as error:  # noqa: BLE001 - carried to the thread of the batches
            self._received.put(error)
            self.wake.set()


def fetch(book: BatchBook, api: BatchApi, batch: Batch, seen: Seen, *, last: bool) -> bool:
    """Write down the results of a batch that has ended, and return whether they are all there.

    The results may end early, or lack calls that the vendor counts as answered; the ``last`` time that is how it is.
    """
    # No honest file is longer, whatever comes twice.
    came, found = 0, islice(api.results(seen), 3 * batch.calls + MOST_STRAY_LINES)
    try:
        while part := list(islice(found, 500)):
            book.keep(batch.token, part)
            came += sum(one.reply is not None for one in part)
    except BatchFault as fault:
        if not last or fault.status is not None:
            raise
    if came < seen.done and not last:
        return False
    book.change(batch.token, state=FETCHED)
    return True


def due(dues: Mapping[str, Due], now: float) -> Collection[str]:
    """The batches for which something is to be done now."""
    return [token for token, when in dues.items() if when.at <= now]


def fitting(
    bodies: Iterable[tuple[bytes, bytes]], calls: int, size: int, *, empty: bool
) -> Iterator[tuple[bytes, bytes]]:
    """The first calls that fit into a batch with room for so many and so much. One call fits into an ``empty`` one."""
    for number, (key, body) in enumerate(bodies):
        size -= len(body) + FRAME
        if number >= calls or (size < 0 and not (empty and not number)):
            return
        yield key, body
