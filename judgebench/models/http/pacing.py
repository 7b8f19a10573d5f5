"""How fast requests may be sent: adaptive concurrency, requests and tokens per minute, Retry-After. It sends none."""

import math
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

DEFAULT_CONCURRENCY = 64
"""How many requests an endpoint gets at once if nobody says."""
ASSUMED_REPLY_TOKENS = 512
"""What the limit on tokens a minute counts for a reply whose length the request does not limit."""


class ConcurrencyLimit:
    """How many requests may be in flight: more up to the cap while all goes well, fewer under overload.

    Additive increase, multiplicative decrease, as in TCP. Signals from requests that were sent before the last decrease
    say nothing about the lower limit and are ignored, so one burst of refusals counts once.
    """

    DECREASE = 0.7

    def __init__(self, cap: int) -> None:
        self.cap = cap
        self.limit = float(cap)
        self._decreased_at = 0.0

    def resize(self, cap: int) -> None:
        """Change the cap. A limit that was at its cap follows it up."""
        self.limit = float(cap) if self.limit >= self.cap else min(self.limit, float(cap))
        self.cap = cap

    def succeeded(self) -> None:
        """Count a success; as many successes as the limit raise it by one step."""
        if self.limit < self.cap:
            self.limit = min(float(self.cap), self.limit + max(1.0, self.cap / 32) / self.limit)

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
_LENGTHS = re.compile(r"(\d+(?:\.\d+)?)\s?([a-zµ]*)", re.I)
_UNITS = (
    ("ms", 0.001),
    ("milli", 0.001),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("ns", 1e-9),
    ("m", 60.0),
    ("h", 3600.0),
    ("d", 86_400.0),
)
"""The beginnings of the names of units, except seconds."""


def wait_in_body(body: bytes) -> float | None:
    """Seconds to wait that an error's body names, in a field or in words; ``None`` if it names none.

    >>> wait_in_body(b'{"error": {"message": "Rate limit reached. Please try again in 1m12.5s."}}')
    72.5
    >>> wait_in_body(b'[{"error": {"details": [{"retryDelay": "59.8s"}]}}]')
    59.8
    """
    found = _WAITS.search(body.decode(errors="replace"))
    return None if found is None else in_seconds(found[1])


def in_seconds(text: str) -> float:
    """A length of time in seconds, written with units or, in seconds, without.

    >>> in_seconds("1m12.5s"), in_seconds("20ms"), in_seconds("3")
    (72.5, 0.02, 3.0)
    """
    return sum(
        float(amount) * next((size for name, size in _UNITS if unit.lower().startswith(name)), 1.0)
        for amount, unit in _LENGTHS.findall(text)
    )
