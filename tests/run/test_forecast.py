"""What calls that were not made take: arithmetic that can be done on paper."""

import pytest

from judgebench.models.pricing import Price
from judgebench.records import Completion, Message, Request, Sampling, Usage
from judgebench.run.forecast import Band, Speed, seconds_of, tokens_of

PRICE = Price(prompt=2.0, completion=8.0)


def request(text: str = "x" * 400, max_tokens: int | None = None) -> Request:
    """A prompt of 100 tokens."""
    return Request(messages=(Message(role="user", content=text),), sampling=Sampling(max_tokens=max_tokens))


def stored(count: int, prompt: int, completion: int) -> list[tuple[Request, Completion]]:
    """Calls whose tokens were reported."""
    usage = Usage(prompt_tokens=prompt, completion_tokens=completion)
    return [(request(), Completion(text="…", usage=usage))] * count


def test_nothing_is_known_of_the_replies() -> None:
    """A token for four bytes; 400 tokens a reply, but no more than are allowed."""
    tokens = tokens_of([request(max_tokens=1000), request(max_tokens=300)])
    assert tokens.prompt == Band(150.0, 200.0, 300.0)
    assert tokens.completion == Band(200.0, 700.0, 1300.0)
    assert tokens.usd(PRICE) == Band(0.0019, 0.006, 0.011)
    assert tokens.usd(None) is None


def test_stored_calls_of_the_kind_are_the_measure() -> None:
    """From twenty on: here 2.5 bytes are a token, and a reply has 50."""
    few, enough = tokens_of([request()], stored(19, 160, 50)), tokens_of([request()], stored(20, 160, 50))
    assert (few.prompt.likely, few.completion.likely) == (100.0, 400.0)
    assert enough.prompt == Band(120.0, 160.0, 240.0)
    assert (enough.completion.low, enough.completion.likely) == (37.5, 50.0)


def test_labels_are_scored_with_one_token() -> None:
    """A local judge writes nothing."""
    labels = Request(messages=(Message(role="user", content="x" * 40),), sampling=Sampling(choices=("A", "B")))
    assert tokens_of([labels]).completion.high == 1


@pytest.mark.parametrize(
    ("speed", "expected"),
    [
        # 100 calls of 1 + 120/60 seconds, ten at once; half to three times that.
        (Speed(concurrency=10), Band(15.0, 30.0, 90.0)),
        # A minute for 20 requests: 5 minutes are more than the rest can take.
        (Speed(concurrency=10, rpm=20), Band(300.0, 300.0, 300.0)),
        # 100 prompt tokens and 120 for the longest reply are booked for each call.
        (Speed(concurrency=10, tpm=22_000), Band(60.0, 60.0, 90.0)),
        (Speed(concurrency=10, calls_per_second=2.0), Band(33.5, 50.0, 100.0)),
        # With more at once than there are calls, it takes as long as one of them.
        (Speed(concurrency=1000), Band(1.5, 3.0, 9.0)),
        (Speed(), None),
    ],
)
def test_the_time(speed: Speed, expected: Band | None) -> None:
    """100 calls by what is known of the speed."""
    requests = [request(max_tokens=120)] * 100
    assert seconds_of(requests, tokens_of(requests), speed) == expected


def test_no_calls_take_no_time() -> None:
    """On any machine."""
    assert seconds_of([], tokens_of([]), Speed()) == Band(0.0, 0.0, 0.0)
