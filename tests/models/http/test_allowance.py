"""The pace that follows from rate-limit headers: against made servers with a made clock."""

import heapq
from collections.abc import Callable
from typing import Any

import pytest

from judgebench.models.http.allowance import USUAL, Allowance, Told, told, until

HALF_TRIP = 0.002


class Windows:
    """A server that takes so many requests in each window."""

    def __init__(self, allowed: int, seconds: float) -> None:
        self.allowed, self.seconds, self.window, self.taken = allowed, seconds, -1, 0

    def ask(self, now: float) -> tuple[bool, Told]:
        """Whether it takes a request, and what its headers say."""
        window = int((now + 0.37) // self.seconds)
        if window != self.window:
            self.window, self.taken = window, 0
        taken = self.taken < self.allowed
        self.taken += taken
        reset = (window + 1) * self.seconds - 0.37 - now
        return taken, Told(self.allowed, self.allowed - self.taken, round(reset, 3))


class Bucket:
    """A server that takes requests as long as its bucket is not empty."""

    def __init__(self, allowed: int, seconds: float) -> None:
        self.allowed, self.speed, self.left, self.at = allowed, allowed / seconds, float(allowed), 0.0

    def ask(self, now: float) -> tuple[bool, Told]:
        """Whether it takes a request, and what its headers say."""
        self.left, self.at = min(self.allowed, self.left + (now - self.at) * self.speed), now
        taken = self.left >= 1
        self.left -= taken
        return taken, Told(self.allowed, int(self.left), round((self.allowed - self.left) / self.speed, 3))


def played(server: Windows | Bucket, workers: int, reply_seconds: float, seconds: float) -> tuple[float, float]:
    """Requests a second that the server took in the second half, and the share of all that it refused."""
    allowance, moments, taken, refused, idle = Allowance(), list[Any](), list[float](), 0, workers
    timer = -1.0

    def after(moment: float, what: str, *facts: Any) -> None:
        heapq.heappush(moments, (moment, len(taken) + refused + idle + len(moments), what, facts))

    def send(now: float) -> None:
        nonlocal idle, timer
        while idle:
            if (ready := allowance.ready_at()) > now:
                if not now < timer <= ready:
                    timer = ready
                    after(ready, "timer")
                return
            idle -= 1
            allowance.take(1.0, now)
            after(now + HALF_TRIP, "arrived", now)

    send(0.0)
    while moments and moments[0][0] < seconds:
        now, _, what, facts = heapq.heappop(moments)
        if what == "arrived":
            ok, said = server.ask(now)
            taken += [now] if ok else []
            refused += not ok
            after(now + HALF_TRIP + (reply_seconds if ok else 0.0), "replied", facts[0], ok, said)
        elif what == "replied":
            allowance.learn(facts[2], facts[0], now)
            if facts[1]:
                idle += 1
            else:
                after(now + 1.0, "back")
        elif what == "back":
            idle += 1
        send(now)
    return sum(at >= seconds / 2 for at in taken) / (seconds / 2), refused / (refused + len(taken))


@pytest.mark.parametrize("reply_seconds", [0.005, 0.1, 1.0])
@pytest.mark.parametrize("kind", [Windows, Bucket])
@pytest.mark.parametrize("seconds", [1.0, 10.0])
def test_the_pace_of_headers_is_kept(
    kind: Callable[[int, float], Windows | Bucket], seconds: float, reply_seconds: float
) -> None:
    """Of 50 requests a second that a server takes and tells, at least 90 % are sent, and under 5 % are refused, whether
    it counts in windows or fills a bucket, and however late its replies come.
    """
    rate, wasted = played(kind(int(50 * seconds), seconds), 64, reply_seconds, 40.0)
    assert rate >= 45
    assert wasted < 0.05


def test_an_allowance_that_is_shared_with_others_is_not_overrun() -> None:
    """Where less is left than our own pace would leave, what is left is spread over the rest of the window."""
    alone, shared = Allowance(), Allowance()
    for allowance, left in ((alone, 50.0), (shared, 10.0)):
        allowance.learn(Told(100, 99, 60.0), 0.0, 0.0)
        allowance.learn(Told(100, left, 30.0), 30.0, 30.0)
    assert alone.per_second == pytest.approx(0.97 * 100 / 60)
    assert shared.per_second == pytest.approx(10 / 30)


def test_a_window_that_is_used_up_is_waited_for() -> None:
    """Nothing is sent before the window ends, and never longer than the longest hold, whatever a header says."""
    allowance = Allowance()
    allowance.learn(Told(100, 60, 20.0), 0.0, 0.0)
    allowance.learn(Told(100, 0, 15.0), 5.0, 5.0)
    assert allowance.ready_at() == 20.0
    assert allowance.used_up
    allowance.learn(Told(100, 0, 80_000.0), 6.0, 6.0)
    assert allowance.ready_at() == 126.0


def test_tokens_are_paced_by_their_number() -> None:
    """A request of many tokens makes the next one wait longer than one of few."""
    waits = []
    for tokens in (10.0, 1000.0):
        allowance = Allowance()
        allowance.learn(Told(60_000, 59_000, 59.0), 0.0, 0.0)
        allowance.take(tokens, 1.0)
        waits.append(allowance.ready_at() - 1.0)
    assert waits[1] - waits[0] == pytest.approx(990 / (0.97 * 60_000 / 59), rel=0.01)


def test_an_allowance_of_a_day_is_not_spread_over_the_day() -> None:
    """Of 14,400 requests a day, half may be spent at once, whether they come back bit by bit or all at midnight."""
    bucket, window = Allowance(), Allowance()
    for number in range(1, 30):
        bucket.learn(Told(14_400, 14_400 - number, 6.0 * number), number, number)
        window.learn(Told(14_400, 14_400 - number, 80_000.0 - number), number, number)
    assert bucket.steady
    assert not window.steady
    for allowance in (bucket, window):
        assert allowance.per_second > 500


def test_requests_in_flight_are_no_longer_left() -> None:
    """A reply tells of the moment at which its request arrived: what was sent since then is taken off."""
    rates = []
    for sent_since in (0, 300):
        allowance = Allowance()
        for used in range(10, 200, 10):
            allowance.learn(Told(600, 600 - used, used / 10), used, used)
        for _ in range(sent_since):
            allowance.take(1.0, 300.0)
        allowance.learn(Told(600, 400, 20.0), 299.0, 301.0)
        rates.append(allowance.per_second)
    assert rates[0] > 2 * rates[1]


def test_what_an_old_reply_says_of_now_does_not_count() -> None:
    """A reply to a request that was sent before another whose reply came first tells nothing of what is left."""
    allowance = Allowance()
    allowance.learn(Told(100, 50, 30.0), 10.0, 11.0)
    before = allowance.per_second
    allowance.learn(Told(100, 0, 40.0), 1.0, 12.0)
    assert not allowance.used_up
    assert allowance.per_second == before


NOW = 1_796_076_000.0
"""2026-11-30T22:00:00Z"""


@pytest.mark.parametrize(
    ("headers", "kind", "said"),
    [
        (
            {
                "x-ratelimit-limit-tokens": "150000",
                "x-ratelimit-remaining-tokens": "149984",
                "x-ratelimit-reset-tokens": "6m0s",
            },
            "tokens",
            Told(150_000, 149_984, 360.0),
        ),
        (
            {
                "anthropic-ratelimit-requests-limit": "50",
                "anthropic-ratelimit-requests-remaining": "49",
                "anthropic-ratelimit-requests-reset": "2026-11-30T22:00:02Z",
            },
            "requests",
            Told(50, 49, 2.0),
        ),
        (
            {
                "anthropic-ratelimit-input-tokens-limit": "30000",
                "anthropic-ratelimit-input-tokens-remaining": "0",
                "anthropic-ratelimit-input-tokens-reset": "2026-11-30T21:59:00Z",
            },
            "prompt",
            Told(30_000, 0, 0.0),
        ),
        (
            {"x-ratelimit-limit": "20", "x-ratelimit-remaining": "3", "x-ratelimit-reset": "1796076004500"},
            "requests",
            Told(20, 3, 4.5),
        ),
        ({"ratelimit-limit": "10", "ratelimit-remaining": "1", "ratelimit-reset": "7"}, "requests", Told(10, 1, 7.0)),
        ({"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "59"}, "requests", Told(60, 59, None)),
    ],
)
def test_headers_are_read_in_all_their_forms(headers: dict[str, str], kind: str, said: Told) -> None:
    """OpenAI's and Anthropic's, those of gateways, and the IETF's."""
    found = [(names.kind, read) for names in USUAL if (read := told(headers, names, NOW)) is not None]
    assert found == [(kind, said)]


@pytest.mark.parametrize(
    "headers",
    [
        {"x-ratelimit-limit-requests": "60"},
        {"x-ratelimit-limit-requests": "0", "x-ratelimit-remaining-requests": "0"},
        {"x-ratelimit-limit-requests": "10", "x-ratelimit-remaining-requests": "11"},
        {"x-ratelimit-limit-requests": "1e999", "x-ratelimit-remaining-requests": "1"},
        {"x-ratelimit-limit-requests": "-5", "x-ratelimit-remaining-requests": "-6"},
        {"x-ratelimit-limit-requests": "nan", "x-ratelimit-remaining-requests": "nan"},
        {"x-ratelimit-limit-requests": "9" * 400, "x-ratelimit-remaining-requests": "1"},
        {"x-ratelimit-limit-requests": "100, 100;window=60", "x-ratelimit-remaining-requests": "98"},
    ],
)
def test_headers_that_make_no_sense_say_nothing(headers: dict[str, str]) -> None:
    """They change no pace."""
    assert [told(headers, names, NOW) for names in USUAL] == [None] * len(USUAL)


@pytest.mark.parametrize(
    "text", ["", "soon", "-1", "inf", "1e9", "9" * 5000, "1s" * 2000, "0x10", "2026-13-45T00:00:00Z"]
)
def test_a_moment_that_makes_no_sense_is_none(text: str) -> None:
    """Whatever is written there costs nothing to read."""
    assert until(text, NOW) is None


def test_no_moment_is_further_than_a_day() -> None:
    """A time far away is cut."""
    assert until("99999999", NOW) == until("9000d", NOW) == until("2099-01-01T00:00:00Z", NOW) == 86_400.0
