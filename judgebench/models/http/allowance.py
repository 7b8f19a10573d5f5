"""What an endpoint's headers say one may still send, and the pace that follows from it before anything is refused.

Endpoints tell a limit, what is left of it, and when all of it is back. Some count in windows (all comes back at once),
others fill a bucket (it comes back bit by bit), and none says which; an :class:`Allowance` finds out from what it is
told. Nothing here sends or sleeps, and every moment is given by the caller. What headers say is hostile: a value that
cannot be one counts as absent, and none makes anybody wait longer than :data:`LONGEST_HOLD`.
"""

import math
import re
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

from msgspec import Struct

from judgebench.models.http.pacing import in_seconds
from judgebench.models.vendors import RateHeaders

Kind = Literal["requests", "tokens", "prompt", "reply"]
MOST = 1e12
"""No limit is higher; a higher number is junk."""
LONGEST_HOLD = 120.0
"""Seconds for which an allowance that is used up holds back, whatever its headers say."""
LONGEST_WINDOW = 86_400.0
SHARE = 0.97
"""What part of a window's allowance is used: clocks are not exact, and a reply tells of a moment that is over."""
RESERVE = 0.05
"""What part of a bucket is left in it, for the same reason."""
FASTEST = 10.0
"""How much faster than it fills a full bucket is emptied, at most."""
BURST_SECONDS = 10.0
"""What is more than half of a bucket, or left of a window that takes hours, may be spent in about this time."""
LONG_WINDOW = 300.0
"""Seconds: nobody wants calls to be spread evenly over a longer window."""
MOST_SENT = 8192
"""Requests in flight that are remembered to know what is left by now."""
SLACK_SECONDS = 0.05
"""How much lateness of a timer is made up for."""
MOST_CHARGED = 5.0
"""What the endpoint can count for a unit of ours, at most."""
CHARGE_SECONDS = 0.5
"""How long it stays the same at least."""
ROUNDED_SECONDS = 0.001
"""How far a time in a header is from the true one, at least."""
_EPOCH, _EPOCH_MS = 1e9, 1e12
"""Larger numbers than these are moments, in seconds or milliseconds since 1970, and no times to wait."""
_DIGITS = re.compile(r"\d{1,15}(?:\.\d{1,9})?")
_LENGTH = re.compile(r"(?:\d{1,9}(?:\.\d{1,9})?(?:ms|us|µs|ns|[smhd])){1,5}")


def _family(kind: Kind, pattern: str) -> RateHeaders:
    limit, left, reset = (pattern.format(word) for word in ("limit", "remaining", "reset"))
    return RateHeaders(kind=kind, limit=limit, left=left, reset=reset)


USUAL: Sequence[RateHeaders] = (
    _family("requests", "x-ratelimit-{}-requests"),
    _family("tokens", "x-ratelimit-{}-tokens"),
    _family("requests", "x-ratelimit-{}"),
    _family("requests", "ratelimit-{}"),
    _family("requests", "anthropic-ratelimit-requests-{}"),
    _family("prompt", "anthropic-ratelimit-input-tokens-{}"),
    _family("reply", "anthropic-ratelimit-output-tokens-{}"),
)
"""Those of OpenAI and the many that follow it, of the IETF's draft, and of Anthropic: looked for at every endpoint."""


class Told(Struct, frozen=True):
    """What one reply says of an allowance."""

    limit: float
    left: float
    reset: float | None
    """Seconds until all of it is back."""


def told(headers: Mapping[str, str], names: RateHeaders, wall: float) -> Told | None:
    """What a reply's headers say of one limit, at a moment of the wall clock; ``None`` if they do not say it.

    >>> told({"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "59",
    ...       "x-ratelimit-reset-requests": "1s"}, USUAL[0], 0.0)
    Told(limit=60.0, left=59.0, reset=1.0)
    """
    left = _number(headers.get(names.left))
    if left is None:
        return None
    limit = _number(headers.get(names.limit))
    if not limit or left > limit:
        return None
    reset = until(headers.get(names.reset, ""), wall) if names.reset else None
    return Told(limit, left, names.window or None if reset is None else reset)


def until(text: str, wall: float) -> float | None:
    """Seconds until a moment that a header names: as a length (``6m0s``, ``12ms``, ``1.5``), in seconds or milliseconds
    since 1970, or as a date. ``None`` if it names none.

    >>> until("6m0s", 0.0), until("12ms", 0.0), until("1.5", 0.0), until("1790000007", 1790000000.0)
    (360.0, 0.012, 1.5, 7.0)
    >>> until("2026-11-30T22:00:30Z", 1796076000.0), until("soon", 0.0)
    (30.0, None)
    """
    text = text.strip()
    if _DIGITS.fullmatch(text):
        number = float(text)
        if number > _EPOCH_MS:
            number = number / 1000 - wall
        elif number > _EPOCH:
            number -= wall
        return _window(number)
    if _LENGTH.fullmatch(text):
        return _window(in_seconds(text))
    if not 8 <= len(text) <= 40:
        return None
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = read(text)
        except (ValueError, OverflowError):
            continue
        return _window((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - wall)
    return None


def _window(seconds: float) -> float | None:
    return min(max(0.0, seconds), LONGEST_WINDOW) if math.isfinite(seconds) else None


def _number(text: str | None) -> float | None:
    if text is None or not _DIGITS.fullmatch(text.strip()):
        return None
    number = float(text)
    return number if number <= MOST else None


class Allowance:
    """One limit of an endpoint, as far as its replies have told it, and the pace that keeps to it.

    Requests are spaced evenly at the rate at which the allowance comes back, since a burst would only be refused. Of a
    bucket that is fuller than need be, more is taken. What others use of the same allowance shows in what is left.
    """

    def __init__(self) -> None:
        self._limit = 0.0
        self._sent_at = -math.inf
        """When the request was sent whose reply told the following."""
        self._rate = math.inf
        """Units a second."""
        self._left = math.inf
        self._charge = 1.0
        """What the endpoint counts for a unit of ours, if it counts more, or if others use the allowance, too."""
        self._charged_at = -math.inf
        self._free_at = -math.inf
        self._held_until = -math.inf
        self._taken = 0.0
        self._sent: deque[tuple[float, float]] = deque(maxlen=MOST_SENT)
        """When requests were sent that were not told of yet, and the units of all until then."""
        self._known_taken = 0.0
        """Those of all requests that the latest reply tells of."""
        self._forget()

    def _forget(self) -> None:
        self._longest = 0.0
        """The longest time until all was back: of a window that is nearly its length."""
        self._since = math.inf
        self.steady = False
        """Whether it comes back bit by bit, as in a bucket, as far as is known."""
        self._at_least, self._at_most = 0.0, math.inf
        """The speed at which a bucket would have to fill for what was told, which is rounded."""
        self._least_used, self._most_used = math.inf, 0.0

    @property
    def used_up(self) -> bool:
        """Whether hardly anything was left when it was last told."""
        return self._left < max(1.0, RESERVE * self._limit)

    @property
    def per_second(self) -> float:
        """The units a second that are sent at most; infinite if no limit is known."""
        return self._rate / self._charge

    def learn(self, said: Told, sent_at: float, now: float) -> None:
        """Take in what a reply says, whose request was sent at ``sent_at``."""
        if not 0.8 <= said.limit / (self._limit or said.limit) <= 1.25:
            self._forget()
        self._limit = said.limit
        if sent_at >= self._sent_at:
            self._left = said.left
        if said.reset is None:
            return
        used = said.limit - said.left
        self._longest = max(self._longest, said.reset)
        self._since = min(self._since, now)
        if used >= 1 and said.reset > 0:
            self._at_least = max(self._at_least, (used - 1) / (said.reset + ROUNDED_SECONDS))
            self._at_most = min(self._at_most, (used + 1) / max(said.reset - ROUNDED_SECONDS, 1e-9))
            self._least_used, self._most_used = min(self._least_used, used), max(self._most_used, used)
        if sent_at < self._sent_at or not self._longest:
            return
        self._sent_at = sent_at
        while self._sent and self._sent[0][0] <= sent_at:
            self._known_taken = self._sent.popleft()[1]
        self.steady = self._fills_steadily(now)
        self._set_pace(said, now)

    def _set_pace(self, said: Told, now: float) -> None:
        before, later = self._rate, self._charge * (self._taken - self._known_taken)
        if self.steady:
            speed = (self._at_least + self._at_most) / 2
            left = min(said.limit, max(0.0, said.left - later + speed * (now - self._sent_at)))
            share_left = left / said.limit
            spare = (left - said.limit / 2) / BURST_SECONDS
            self._rate = max(spare, speed * min(FASTEST, (1 - RESERVE) / max(1e-9, 1 - share_left)))
        else:
            share_left = said.left / said.limit
            self._rate = SHARE * said.limit / self._longest
            if self._longest > LONG_WINDOW:
                self._rate = max(self._rate, (said.left - later) / BURST_SECONDS)
            elif said.reset and said.reset > 0.2 * self._longest:
                # Others use it, too, if less is left than this pace would leave.
                self._rate = min(self._rate, max(said.left, 1.0) / said.reset)
            if said.left < 1 and said.reset:
                self._held_until = max(self._held_until, now + min(said.reset, LONGEST_HOLD))
        self._set_charge(share_left, now)
        if self._rate > 2 * before:
            self._free_at = min(self._free_at, now)

    def _set_charge(self, share_left: float, now: float) -> None:
        """Change it slowly: a change shows in the replies to requests that were sent after it, and not before."""
        if self._sent_at < self._charged_at or now - self._charged_at < CHARGE_SECONDS:
            return
        self._charged_at = now
        if share_left < RESERVE:
            self._charge = min(MOST_CHARGED, self._charge * 1.1)
        elif share_left > 4 * RESERVE:
            self._charge = max(1.0, self._charge * 0.95)

    def _fills_steadily(self, now: float) -> bool:
        """Whether what was told fits a bucket and no window, and enough was told to see that.

        A bucket is full again after a time in proportion to what is gone from it. In a window, what is gone grows while
        the time until its end shrinks.
        """
        seen = self._most_used >= 2 * self._least_used or now - self._since >= self._longest / 2
        return seen and self._at_least <= 1.1 * self._at_most

    def ready_at(self) -> float:
        """The moment from which the next request may be sent."""
        return max(self._free_at, self._held_until)

    def take(self, units: float, now: float) -> None:
        """Count a request that is sent now."""
        self._taken += units
        self._sent.append((now, self._taken))
        if self._rate < math.inf:
            self._free_at = max(self._free_at, now - SLACK_SECONDS) + units * self._charge / self._rate
