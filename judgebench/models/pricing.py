"""Price arithmetic: what tokens cost, and an upper estimate for calls whose tokens are unknown.

What vendors ask is in ``vendors``; ``opening.price_of`` finds a model's price.
"""

import math

from msgspec import Struct

from judgebench.errors import UsageError
from judgebench.records import Completion, Request, Usage

ASSUMED_MAX_TOKENS = 4096
"""Upper estimate of a reply's length if the request sets no limit."""
DEAREST = 1e6
"""USD per million tokens, far above every real price; a higher one is a mistake."""


def most_tokens(request: Request) -> Usage:
    """Upper estimate of a call's tokens: one for every three bytes of the prompt, and the longest reply allowed."""
    size = sum(len(m.content) if m.content.isascii() else len(m.content.encode()) for m in request.messages)
    if continuations := request.sampling.continuations:
        # The prompt is sent by itself and with each of them.
        sent = 1 + len(continuations)
        size = sent * size + sum(len(text.encode(errors="replace")) for text in continuations)
        return Usage(prompt_tokens=size // 3 + sent, completion_tokens=sent, estimated=True)
    longest = ASSUMED_MAX_TOKENS if request.sampling.max_tokens is None else request.sampling.max_tokens
    return Usage(prompt_tokens=size // 3 + 1, completion_tokens=longest, estimated=True)


class Price(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """What a model's tokens cost."""

    prompt: float
    """USD per million prompt tokens."""
    completion: float
    """USD per million completion tokens."""
    batch: float = 1.0
    """What share of that is asked for tokens of a batch."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for an impossible price: negative, not a number, or absurdly high."""
        for usd in (self.prompt, self.completion):
            if not (math.isfinite(usd) and 0 <= usd <= DEAREST):
                raise ValueError(f"a price is between 0 and {DEAREST:,.0f} USD per million tokens, not {usd:g}")

    def usd(self, usage: Usage, *, batched: bool = False) -> float:
        """Price of the tokens, in USD; of those of a batch if they were ``batched``."""
        usd = (usage.prompt_tokens * self.prompt + usage.completion_tokens * self.completion) / 1e6
        return usd * self.batch if batched else usd

    def at_most(self, request: Request, *, batched: bool = False) -> float:
        """Upper estimate of a call's price in USD."""
        return self.usd(most_tokens(request), batched=batched)

    def paid(self, *replies: Completion) -> float:
        """What replies, and the unusable ones before them, cost in USD."""
        live = sum((reply.paid for reply in replies if not reply.batched), Usage())
        batched = sum((reply.paid for reply in replies if reply.batched), Usage())
        return self.usd(live) + self.usd(batched, batched=True)


def parse_price(text: str) -> Price:
    """Read ``INPUT/OUTPUT``, the value of the argument ``usd_per_million``.

    >>> parse_price("2.5/10")
    Price(prompt=2.5, completion=10.0)
    """
    parts = text.split("/")
    try:
        prompt, completion = map(float, parts)
    except ValueError as error:
        raise UsageError(
            f"usd_per_million={text[:40]} is not a price: it is INPUT/OUTPUT, the USD for a million prompt tokens and "
            "for a million completion tokens, such as usd_per_million=2.5/10"
        ) from error
    try:
        return Price(prompt=prompt, completion=completion)
    except ValueError as error:
        raise UsageError(f"usd_per_million={text[:40]} cannot be a price: {error}") from error


FREE = Price(prompt=0.0, completion=0.0)
