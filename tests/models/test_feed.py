"""Feed: what a backend's batches and connections are filled from."""

import threading
from collections.abc import Iterator

import pytest

from judgebench.models.feed import Feed
from tests.patience import PATIENCE_SECONDS

SECONDS = PATIENCE_SECONDS
"""Longest wait for another thread; reached only when a test fails."""


def test_items_come_numbered_and_in_order() -> None:
    """Every item is taken once, with its position in the iterable."""
    feed = Feed("abcde", ahead=2)
    taken: list[tuple[int, str]] = []
    while not feed.ended:
        taken += feed.take(3, wait=True)
    assert taken == list(enumerate("abcde"))


def test_an_empty_iterable_ends() -> None:
    """Waiting on nothing returns nothing, and the feed has ended."""
    feed: Feed[str] = Feed([], ahead=1)
    assert feed.take(1, wait=True) == []
    assert feed.ended


def test_a_blocking_iterable_does_not_block_a_take_without_wait() -> None:
    """What is there can be taken while the iterable blocks on its next item; with wait, the next item arrives."""
    gate = threading.Event()

    def items() -> Iterator[str]:
        yield "early"
        assert gate.wait(SECONDS)
        yield "late"

    feed = Feed(items(), ahead=4)
    assert feed.take(4, wait=True) == [(0, "early")]
    assert feed.take(4, wait=False) == []
    assert not feed.ended
    gate.set()
    assert feed.take(4, wait=True) == [(1, "late")]
    assert feed.take(4, wait=True) == []
    assert feed.ended


def test_no_more_than_ahead_items_are_pulled() -> None:
    """The iterable is drawn at most ``ahead`` items, and the one in hand, before the consumer."""
    drawn: list[int] = []
    in_hand = threading.Event()

    def items() -> Iterator[int]:
        for number in range(100):
            drawn.append(number)
            if number == 3:
                in_hand.set()
            yield number

    feed = Feed(items(), ahead=3)
    assert in_hand.wait(SECONDS)
    # The thread has a fourth item and nowhere to put it; given time, it still draws no fifth.
    assert not threading.Event().wait(0.05)
    assert drawn == [0, 1, 2, 3]
    assert feed.take(100, wait=True) == [(0, 0), (1, 1), (2, 2)]
    feed.close()


def test_an_exception_is_raised_after_the_items_before_it() -> None:
    """The iterable's failure reaches the consumer once its earlier items were taken, and every time it asks again."""

    def items() -> Iterator[str]:
        yield "fine"
        raise LookupError("the second item is broken")

    feed = Feed(items(), ahead=4)
    assert feed.take(4, wait=True) == [(0, "fine")]
    for _ in range(2):
        with pytest.raises(LookupError, match="second item"):
            feed.take(4, wait=True)
    assert not feed.ended


def test_close_ends_the_thread_and_frees_a_waiting_consumer() -> None:
    """After close the feeding thread draws no more, and a take that waits returns empty-handed."""
    gate, others = threading.Event(), set(threading.enumerate())
    drawn: list[int] = []

    def items() -> Iterator[int]:
        assert gate.wait(SECONDS)
        for number in range(100):
            drawn.append(number)
            yield number

    feed = Feed(items(), ahead=1)
    result: list[list[tuple[int, int]]] = []
    consumer = threading.Thread(target=lambda: result.append(feed.take(1, wait=True)))
    consumer.start()
    feed.close()
    consumer.join(SECONDS)
    assert result == [[]]
    gate.set()
    for thread in set(threading.enumerate()) - others:
        thread.join(SECONDS)
    assert len(drawn) <= 1


def test_on_ready_is_called_when_items_come_and_at_the_end() -> None:
    """A consumer in an event loop is told of the first waiting item and of the end, and needs no polling."""
    ready = threading.Semaphore(0)
    feed = Feed(["only"], ahead=1, on_ready=ready.release)
    assert ready.acquire(timeout=SECONDS)
    assert feed.take(1, wait=True) == [(0, "only")]
    assert ready.acquire(timeout=SECONDS)
    assert feed.ended
