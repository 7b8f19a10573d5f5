"""What calls that were not made will probably take: tokens, USD and seconds, each low, likely and high.

Pure arithmetic over requests. Which calls a run would make is found in ``dry_run``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from msgspec import Struct

from judgebench.models.http.pacing import ASSUMED_REPLY_TOKENS
from judgebench.models.pricing import ASSUMED_MAX_TOKENS, Price
from judgebench.records import Completion, Request, Usage

BYTES_PER_TOKEN = 4.0
"""Of English text; other scripts have more bytes a character, and about as many tokens."""
TYPICAL_REPLY_TOKENS = 400
"""Length of a chat answer if the request allows more."""
LOW, HIGH = 0.75, 1.5
"""Factors on the likely number of tokens, because tokenisers, languages and answers differ."""
LOW_REPLY = 0.25
"""Factor on the typical length of a reply, if no reply of the kind was seen."""
ENOUGH_REPLIES = 20
"""From so many stored replies of the same stage, their tokens are the measure."""
SECONDS_PER_CALL, TOKENS_PER_SECOND = 1.0, 60.0
"""What is assumed of an endpoint that never answered here: a call takes so long, and so much more for its tokens."""
FASTER, SLOWER = 0.5, 3.0
"""Factors on the assumed time."""
MEASURED_FASTER, MEASURED_SLOWER = 0.67, 2.0
"""Factors on a time that was measured."""


class Band(Struct, frozen=True):
    """A number that is not known yet."""

    low: float
    likely: float
    high: float

    def __add__(self, other: "Band") -> "Band":
        return Band(self.low + other.low, self.likely + other.likely, self.high + other.high)

    def longest(self, other: "Band") -> "Band":
        """Both at the same time."""
        return Band(max(self.low, other.low), max(self.likely, other.likely), max(self.high, other.high))


NOTHING = Band(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Speed:
    """How fast a model may be, or was, asked."""

    concurrency: int | None = None
    """Requests at once; ``None`` for a model on this machine, whose speed is known only if it was measured."""
    rpm: float | None = None
    tpm: float | None = None
    calls_per_second: float | None = None
    """As measured before, all requests at once together."""


@dataclass(frozen=True)
class Tokens:
    """Tokens of calls to be made."""

    prompt: Band
    completion: Band

    def usd(self, price: Price | None, *, batched: bool = False) -> Band | None:
        """What they cost; ``None`` if no price is known."""
        if price is None:
            return None

        def cost(prompt: float, completion: float) -> float:
            usage = Usage(prompt_tokens=round(prompt), completion_tokens=round(completion))
            return price.usd(usage, batched=batched)

        return Band(
            cost(self.prompt.low, self.completion.low),
            cost(self.prompt.likely, self.completion.likely),
            cost(self.prompt.high, self.completion.high),
        )


def tokens_of(requests: Sequence[Request], stored: Sequence[tuple[Request, Completion]] = ()) -> Tokens:
    """The tokens of calls to be made. ``stored`` are calls of the same kind, whose replies are known."""
    prompt = sum(map(prompt_bytes, requests)) * _tokens_per_byte(stored)
    most = [_most(request) for request in requests]
    measured = _typical_reply(stored)
    typical, low = (TYPICAL_REPLY_TOKENS, LOW_REPLY) if measured is None else (measured, LOW)
    completion = sum(min(limit, typical) for limit in most)
    lowest = sum(min(limit, low * typical) for limit in most)
    return Tokens(Band(LOW * prompt, prompt, HIGH * prompt), Band(lowest, completion, float(sum(most))))


def prompt_bytes(request: Request) -> int:
    """The size of a request's messages; with continuations, of all that is sent."""
    size, continuations = (
        sum(len(message.content.encode(errors="replace")) for message in request.messages),
        request.sampling.continuations,
    )
    return (1 + len(continuations)) * size + sum(len(text.encode(errors="replace")) for text in continuations)


def _most(request: Request) -> int:
    """The longest reply that a request allows, in tokens."""
    if request.sampling.choices or request.sampling.continuations:
        return 1 + len(request.sampling.continuations)
    return ASSUMED_MAX_TOKENS if request.sampling.max_tokens is None else request.sampling.max_tokens


def _reported(stored: Iterable[tuple[Request, Completion]]) -> list[tuple[Request, Usage]]:
    """Those of the calls whose tokens the provider reported."""
    return [
        (request, completion.usage)
        for request, completion in stored
        if completion.usage.prompt_tokens and not completion.usage.estimated
    ]


def _tokens_per_byte(stored: Sequence[tuple[Request, Completion]]) -> float:
    reported = _reported(stored)
    size = sum(prompt_bytes(request) for request, _ in reported)
    if len(reported) < ENOUGH_REPLIES or not size:
        return 1.0 / BYTES_PER_TOKEN
    return sum(usage.prompt_tokens for _, usage in reported) / size


def _typical_reply(stored: Sequence[tuple[Request, Completion]]) -> float | None:
    """The mean length of the known replies, in tokens, if there are enough of them."""
    reported = _reported(stored)
    if len(reported) < ENOUGH_REPLIES:
        return None
    return sum(usage.completion_tokens for _, usage in reported) / len(reported)


def seconds_of(requests: Sequence[Request], tokens: Tokens, speed: Speed) -> Band | None:
    """How long the calls take; ``None`` if nothing is known of a model on this machine.

    The limits on requests and tokens a minute hold in every case; the rest is measured, or assumed.
    """
    calls = len(requests)
    if not calls:
        return NOTHING
    if speed.calls_per_second is not None:
        work, faster, slower = calls / speed.calls_per_second, MEASURED_FASTER, MEASURED_SLOWER
    elif speed.concurrency is None:
        return None
    else:
        each = SECONDS_PER_CALL + tokens.completion.likely / calls / TOKENS_PER_SECOND
        # At least one call must end, however many are sent at once.
        work, faster, slower = max(each, calls * each / speed.concurrency), FASTER, SLOWER
    paced = max(
        60.0 * calls / speed.rpm if speed.rpm else 0.0, 60.0 * _booked(requests) / speed.tpm if speed.tpm else 0
    )
    return Band(max(faster * work, paced), max(work, paced), max(slower * work, paced))


def _booked(requests: Iterable[Request]) -> float:
    """What ``--tpm`` counts for the requests."""
    return sum(
        prompt_bytes(request) / BYTES_PER_TOKEN + (request.sampling.max_tokens or ASSUMED_REPLY_TOKENS)
        for request in requests
    )


def total(bands: Iterable[Band | None]) -> Band:
    """The sum of those that are known."""
    return sum((band for band in bands if band is not None), NOTHING)
