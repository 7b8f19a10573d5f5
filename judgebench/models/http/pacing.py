"""How fast requests may be sent: adaptive concurrency, requests and tokens per minute, Retry-After. It sends none."""

import asyncio
import math
import re
from collections import deque
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

DEFAULT_CONCURRENCY = 64
"""How many requests an endpoint gets at once if nobody says."""
ASSUMED_REPLY_TOKENS = 512
"""What the limit on tokens a minute counts for a reply whose length the request does not limit."""


class ConcurrencyLimit:
    """How many requests may be in flight: more up to the cap while all goes well, fewer under overload.

    Additive increase, multiplicative decrease, as in TCP. Signals from requests that were sent before the last decrease
    say nothing about the lower limit and are ignored, so one burst of refusals counts once. It belongs to one event
    loop.
    """

    DECREASE = 0.7

    def __init__(self, cap: int) -> None:
        self.cap = cap
        self.limit = float(cap)
        self.in_flight = 0
        self._increase = max(1.0, cap / 32)
        self._decreased_at = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> None:
        """Wait for a free place, first come first served, and take it."""
        if self.in_flight < int(self.limit) and not self._waiting:
            self.in_flight += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            raise

    def leave(self) -> None:
        """Give the place back."""
        self.in_flight -= 1
        while self._waiting and self.in_flight < int(self.limit):
            turn = self._waiting.popleft()
            if not turn.done():
                self.in_flight += 1
                turn.set_result(None)

    def succeeded(self) -> None:
        """Count a success; as many successes as the limit raise it by one step."""
        if self.limit < self.cap:
            self.limit = min(float(self.cap), self.limit + self._increase / self.limit)

    def overloaded(self, sent_at: float, now: float) -> None:
        """Note that the endpoint refused a request, sent at ``sent_at``, for lack of capacity."""
        if sent_at >= self._decreased_at:
            self.limit = max(1.0, self.limit * self.DECREASE)
            self._decreased_at = now


class Pace:
    """Spaces requests (or their tokens) evenly so that no minute holds more than the limit."""

    def __init__(self, per_minute: float | None) -> None:
        self._seconds_each = 60.0 / per_minute if per_minute else 0.0
        self._free_at = 0.0

    def wait_for(self, units: float, now: float) -> float:
        """Book the units, and return the seconds to wait before sending them."""
        if not self._seconds_each:
            return 0.0
        start = max(now, self._free_at)
        self._free_at = start + units * self._seconds_each
        return start - now


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that the endpoint asks us to wait: ``retry-after-ms``, or ``Retry-After`` in seconds or as a date."""
    for field, unit in (("retry-after-ms", 0.001), ("Retry-After", 1.0)):
        try:
            seconds = float(headers.get(field, "")) * unit
        except ValueError:
            continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    try:
        return max(0.0, parsedate_to_datetime(headers.get("Retry-After", "")).timestamp() - now)
    except ValueError:
        return None


_WAITS = re.compile(
    r"(?:retry.?delay|retry.?after|try again (?:in|after)|retry (?:in|after)|wait)\W{1,6}"
    r"((?:\d+(?:\.\d+)?\s?(?:(?:ms|milliseconds?|s(?:ec(?:ond)?s?)?|m(?:in(?:ute)?s?)?|h(?:ours?)?)(?![a-z]))?\W?){1,3})",
    re.I,
)
_LENGTHS = re.compile(r"(\d+(?:\.\d+)?)\s?([a-z]*)", re.I)
_UNITS = (("ms", 0.001), ("milli", 0.001), ("m", 60.0), ("h", 3600.0))
"""The beginnings of the names of units, except seconds."""


def wait_in_body(body: bytes) -> float | None:
    """Seconds to wait that an error's body names, in a field or in words; ``None`` if it names none.

    >>> wait_in_body(b'{"error": {"message": "Rate limit reached. Please try again in 1m12.5s."}}')
    72.5
    >>> wait_in_body(b'[{"error": {"details": [{"retryDelay": "59.8s"}]}}]')
    59.8
    """
    found = _WAITS.search(body.decode(errors="replace"))
    if found is None:
        return None
    seconds = 0.0
    for amount, unit in _LENGTHS.findall(found[1]):
        seconds += float(amount) * next((size for name, size in _UNITS if unit.lower().startswith(name)), 1.0)
    return seconds
