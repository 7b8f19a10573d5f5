"""Where a served model is called, and when: its addresses and keys, what is known of each, and the gate before them.

A model that several servers or keys serve under one name has a :class:`Route` for each. The :class:`Gate` gives every
attempt a route as soon as one may be used: the pace that its headers ask for comes first, then places in flight. A
route that is dead or much slower than another is left out and tried again now and then, by one request at a time.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from yarl import URL

from judgebench.models.http.allowance import LONGEST_HOLD, USUAL, Allowance, told
from judgebench.models.http.pacing import DEFAULT_CONCURRENCY, ConcurrencyLimit
from judgebench.models.vendors import RateHeaders

if TYPE_CHECKING:
    import asyncio

FIRST_SECONDS, LONGEST_SECONDS = 1.0, 60.0
"""How long a route that failed is left out: longer each time, up to the second number."""
DENIED_SECONDS = 60.0
"""The same for a route that refused our key or does not know the model."""
SLOWER = 4.0
"""A route is slow if it takes so many times as long as the fastest, and a second more."""
STUCK_SECONDS = 10.0
"""A route whose oldest request has had no reply for so long may be stuck, where another answers."""
RAMP_SECONDS = 0.5
"""Before an endpoint's first reply its limits are unknown: it gets the default number of requests at once, and as many
more each time this has passed.
"""
FAULTS_IN_A_ROW = 3
"""So many errors of a server, without an answer between them, are no accident."""


class Size(Struct, frozen=True):
    """What a request is likely to count for in an endpoint's limits."""

    prompt: float
    reply: float

    def units(self, kind: str) -> float:
        """What it counts for in a limit of this kind."""
        if kind == "requests":
            return 1.0
        return {"tokens": self.prompt + self.reply, "prompt": self.prompt, "reply": self.reply}[kind]


class Target:
    """An address and the headers that are sent to it, which hold the key. Its text shows neither."""

    def __init__(self, base: URL, headers: Mapping[str, str]) -> None:
        self.base, self.headers = base, headers
        self._urls: dict[str, URL] = {}

    def url(self, path: str) -> URL:
        """The address of a path here."""
        if path not in self._urls:
            self._urls[path] = (self.base / path).with_query(self.base.query)
        return self._urls[path]


class Route:
    """One address with one key, and what is known of it so far. Only the event loop writes it."""

    def __init__(
        self, address: str, base: URL, headers: Mapping[str, str], key_source: str, rate_headers: Sequence[RateHeaders]
    ) -> None:
        self.address = address
        """Without secrets, for messages."""
        self.target = Target(base, headers)
        self.key_source = key_source
        self.limit = ConcurrencyLimit(DEFAULT_CONCURRENCY)
        self.seconds: float | None = None
        """How long a reply takes, as of late."""
        self.left_out_for = ""
        """Why it is left out; empty if it is not."""
        self._rate_headers = rate_headers
        self._allowances: dict[str, Allowance] = {}
        self._sent: dict[int, float] = {}
        """When the requests were sent whose reply has not come, the oldest first."""
        self._number = 0
        self._first_sent = math.inf
        self._answered = False
        self.out_until = -math.inf
        """The moment at which it may be tried again, if it is left out."""
        self._left_out_at = self._held_at = self._held_until = -math.inf
        self._faults = self._times_out = self._holds = 0

    @property
    def in_flight(self) -> int:
        """Requests whose reply has not come yet."""
        return len(self._sent)

    @property
    def per_second(self) -> float | None:
        """The requests a second that its headers allow; ``None`` if they say nothing of it."""
        allowance = self._allowances.get("requests")
        return allowance.per_second if allowance is not None and math.isfinite(allowance.per_second) else None

    def ready_at(self, now: float) -> float:
        """The moment from which it may get another request; infinite if a reply must come first."""
        room = int(self.limit.limit)
        if self.in_flight >= room:
            return math.inf
        at = self._held_until
        for allowance in self._allowances.values():
            at = max(at, allowance.ready_at())
        if not self._answered and self.in_flight >= DEFAULT_CONCURRENCY:
            ramp = self._first_sent + RAMP_SECONDS * (self.in_flight // DEFAULT_CONCURRENCY)
            at = max(at, ramp)
        return at

    def enter(self, size: Size, now: float) -> int:
        """Take a place and what the limits allow; returns the number to leave with."""
        self._number += 1
        self._sent[self._number] = now
        self._first_sent = min(self._first_sent, now)
        for kind, allowance in self._allowances.items():
            allowance.take(size.units(kind), now)
        return self._number

    def leave(self, number: int) -> None:
        """Give the place back."""
        del self._sent[number]

    # -- what replies tell

    def heard(self, headers: Mapping[str, str], sent_at: float, now: float, wall: float) -> None:
        """Take in what a reply's headers say of the endpoint's limits."""
        self._answered = True
        for names in (*self._rate_headers, *USUAL):
            if names.left in headers and (said := told(headers, names, wall)) is not None:
                self._allowances.setdefault(names.kind, Allowance()).learn(said, sent_at, now)

    def answered(self, sent_at: float, now: float) -> None:
        """Note an answer."""
        took = now - sent_at
        # A request that is alone tries out a route that was left out.
        weight = 0.1 if self._sent else 0.5
        self.seconds = took if self.seconds is None else (1 - weight) * self.seconds + weight * took
        self.limit.succeeded()
        self._faults = self._holds = 0
        if sent_at >= self._left_out_at:
            self._times_out, self.out_until, self.left_out_for = 0, -math.inf, ""

    def refused(self, wait: float | None, sent_at: float, now: float, *, hold: bool) -> None:
        """Note that it refused a request for lack of capacity, and for how long it asked to wait, if it did.

        Where its headers say that a limit is used up, nothing is sent before that, and their pace takes care of the
        rest, or of all if it comes back bit by bit. Otherwise too many were in flight. ``hold``: send nothing for a
        while in any case, since another route is there.
        """
        used_up = [own for own in self._allowances.values() if own.used_up]
        if not used_up:
            self.limit.overloaded(sent_at, now)
        if used_up and all(own.steady for own in used_up):
            return
        if (hold or (used_up and wait is not None)) and sent_at >= self._held_at:
            self._held_at, self._held_until = now, now + min(self._hold_seconds(wait), LONGEST_HOLD)
            self._holds = min(self._holds + 1, 10)

    def _hold_seconds(self, wait: float | None) -> float:
        return min(LONGEST_SECONDS, FIRST_SECONDS / 2 * 2.0**self._holds) if wait is None else wait

    def failed(self, why: str, sent_at: float, now: float, *, surely: bool) -> None:
        """Note that no answer came; not ``surely`` for errors that any server may have once."""
        self._faults += 1
        if surely or self._faults >= FAULTS_IN_A_ROW:
            self.leave_out(why, min(LONGEST_SECONDS, FIRST_SECONDS * 2.0**self._times_out), sent_at, now)

    def leave_out(self, why: str, seconds: float, sent_at: float, now: float) -> None:
        """Leave it out for a time. Requests that were sent before it was left out say nothing new."""
        if sent_at < self._left_out_at:
            return
        self._left_out_at, self.out_until, self.left_out_for = now, now + seconds, why
        self._times_out = min(self._times_out + 1, 10)

    # -- how it compares with others

    def is_out(self, now: float) -> bool:
        """Whether it is left out for a failure: until then, and while one request tries it again."""
        if now < self.out_until:
            return True
        last = next(reversed(self._sent.values()), -math.inf)
        return bool(self.left_out_for) and last >= self._left_out_at

    def pace(self, now: float) -> float:
        """Seconds that a reply takes; at least those for which the oldest request waits, if none has come yet or that
        is very long.
        """
        waited = now - next(iter(self._sent.values())) if self._sent else 0.0
        if self.seconds is None:
            return waited
        return max(self.seconds, waited) if waited > max(STUCK_SECONDS, 2 * SLOWER * self.seconds) else self.seconds


class Gate:
    """Gives attempts their routes: those of several runs in turn, those of one run first come first served.

    It belongs to one event loop. With a single route nothing is ever left out.
    """

    def __init__(self, routes: Sequence[Route], cap: int) -> None:
        self.routes = tuple(routes)
        self.in_flight = 0
        self._waiting: dict[object, deque[tuple[asyncio.Future[tuple[Route, int]], Size]]] = {}
        """By run; the run whose turn it is comes first."""
        self._timer: asyncio.TimerHandle | None = None
        self._slow_tried_at: dict[Route, float] = {}
        self.resize(cap)

    def resize(self, cap: int) -> None:
        """Change how many may be in flight in all. Those that are stay."""
        self.cap = cap
        for route in self.routes:
            route.limit.resize(cap)

    async def enter(self, run: object, size: Size, now: float) -> tuple[Route, int]:
        """Wait for a route and enter it; the number is for :meth:`leave`."""
        if not self._waiting and (route := self._best(now)) is not None:
            return self._entered(route, size, now)
        import asyncio  # a run whose replies are all stored never comes here, and asyncio takes long to import

        turn: asyncio.Future[tuple[Route, int]] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(run, deque()).append((turn, size))
        self.serve()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave(*turn.result())
            raise

    def leave(self, route: Route, number: int) -> None:
        """Give a place back, and let others in."""
        route.leave(number)
        self.in_flight -= 1
        if self._waiting:
            self.serve()

    def elsewhere(self, route: Route, now: float) -> bool:
        """Whether another route may be used in place of this one."""
        return any(other is not route and not other.is_out(now) for other in self.routes)

    def serve(self) -> None:
        """Let in whoever may go, and come back when the next one may."""
        import asyncio

        now = asyncio.get_running_loop().time()
        while self._waiting:
            route = self._best(now)
            if route is None:
                self._come_back(now)
                return
            run, queue = next(iter(self._waiting.items()))
            turn, size = queue.popleft()
            del self._waiting[run]
            if queue:
                self._waiting[run] = queue
            if not turn.done():
                turn.set_result(self._entered(route, size, now))

    def _entered(self, route: Route, size: Size, now: float) -> tuple[Route, int]:
        self.in_flight += 1
        return route, route.enter(size, now)

    def _best(self, now: float) -> Route | None:
        """The route from which a reply is likely to come first, of those that may be used now."""
        if self.in_flight >= self.cap:
            return None
        if len(self.routes) == 1:
            return self.routes[0] if self.routes[0].ready_at(now) <= now else None
        ready = [route for route in self._candidates(now) if route.ready_at(now) <= now]
        known = min((route.seconds for route in ready if route.seconds is not None), default=1e-4)
        return min(ready, key=lambda route: (route.in_flight + 1) * max(route.pace(now), known), default=None)

    def _candidates(self, now: float) -> Sequence[Route]:
        """The routes that are not left out; all of them if each is, for then there is nothing better."""
        fit = [route for route in self.routes if not route.is_out(now)] or self.routes
        fastest = min(route.pace(now) for route in fit)
        return [route for route in fit if not self._is_slow(route, fastest, now)] or fit

    def _is_slow(self, route: Route, fastest: float, now: float) -> bool:
        """Whether a route is so slow that it is only tried now and then."""
        if route.pace(now) <= SLOWER * fastest + 1.0:
            self._slow_tried_at.pop(route, None)
            return False
        if route not in self._slow_tried_at:
            self._slow_tried_at[route] = now
        if route.in_flight == 0 and now - self._slow_tried_at[route] >= STUCK_SECONDS:
            self._slow_tried_at[route] = now
            return False
        return True

    def _come_back(self, now: float) -> None:
        """Serve again when a route will be ready. A reply that makes room serves by itself."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.in_flight >= self.cap:
            return
        moments = [max(route.ready_at(now), route.out_until) for route in self.routes]
        moments += [tried + STUCK_SECONDS for tried in self._slow_tried_at.values()]
        soonest = min((moment for moment in moments if now < moment < math.inf), default=math.inf)
        if soonest < math.inf:
            import asyncio

            self._timer = asyncio.get_running_loop().call_at(soonest, self.serve)
