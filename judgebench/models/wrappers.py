"""Wrappers around any model: ``Stored`` answers from the call store, ``Metered`` counts cost, ``Budget`` limits it.

Each is a ``Model`` around a ``Model``; :class:`Budget` is the ceiling that all meters of a run share. Use them as
``Stored(Metered(model, price, budget), store)``: what the store holds then costs nothing. The store itself is in
``call_store``, prices are in ``pricing``, and models are opened in ``opening``.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue

import msgspec

from judgebench.errors import BudgetExceeded, JudgebenchError, ModelError, UsageError
from judgebench.models import Model, Served
from judgebench.models.call_store import Bill, CallStore, call_key
from judgebench.models.feed import Feed
from judgebench.models.pricing import Price
from judgebench.records import Completion, Request, Usage

MAX_IN_FLIGHT = 4096
"""The most requests pulled and not yet yielded: memory stays flat however many there are."""
STOP_SECONDS = 2.0
"""How long an abandoned iterator waits for what is finished to be committed."""
PREFETCH = 8
"""Requests pulled before the model wants them, so that it does not wait for the thread that pulls."""
POLL_SECONDS = 0.2
"""How often to look for the reply to a call that another process has under way."""


@dataclass
class Account:
    """Who pays for a model's calls. Mutable: a model is opened before its run is known."""

    price: Price | None = None
    """``None`` if unknown."""
    run: str = ""
    """Name of the run in the store's books; empty while nobody keeps any."""

    def at_most(self, request: Request) -> float:
        """Upper estimate of a call's price in USD; 0 if no price is known."""
        return self.price.at_most(request) if self.price else 0.0

    def bill(self, model: Model, completion: Completion) -> Bill:
        """What a call has cost."""
        usd = self.price.usd(completion.paid) if self.price else 0.0
        return Bill(run=self.run, model=model.name, identity=model.identity, usage=completion.paid, usd=usd)


class Stored:
    """Answers what it can from the store, asks the model for the rest, and commits each reply before yielding it.

    Commits do not wait for the caller: a separate thread drains the model, so a paid reply is safe even if the caller
    is slow or goes away. Equal requests in flight are asked once, also when another process on the same store asks: its
    reply is waited for.
    """

    def __init__(
        self,
        model: Model,
        store: CallStore,
        max_in_flight: int = MAX_IN_FLIGHT,
        account: Account | None = None,
    ) -> None:
        self._model = model
        self._store = store
        self._max_in_flight = max_in_flight
        self._account = account or Account()

    @property
    def name(self) -> str:
        """The model's."""
        return self._model.name

    @property
    def identity(self) -> str:
        """The model's: a stored reply is that model's reply."""
        return self._model.identity

    @property
    def local(self) -> bool:
        """The model's."""
        return self._model.local

    @property
    def retries(self) -> Counter[str]:
        """The model's."""
        return self._model.retries

    def complete(self, requests: Iterable[Request]) -> Iterator[tuple[int, Completion]]:
        """As the model does; hits and the followers of an equal request in flight have ``cached`` set."""
        session = _StoredSession(self._model, self._store, requests, self._max_in_flight, self._account)
        try:
            yield from session.replies()
        finally:
            session.stop()

    def render(self, request: Request) -> str | None:
        """As the model does."""
        return self._model.render(request)

    def check(self, requests: Sequence[Request]) -> None:
        """As the model does."""
        self._model.check(requests)

    def close(self) -> None:
        """Close the model. The store is shared and stays open."""
        self._model.close()


class _StoredSession:
    """One ``complete`` of :class:`Stored`.

    The model pulls :meth:`_misses`; the pump thread takes its replies to the store; the store's writer thread puts what
    is committed into ``_out``, where the caller waits. If another process has calls under way that are wanted here, a
    further thread looks for their replies, and gives back what that process failed to get.
    """

    def __init__(
        self, model: Model, store: CallStore, requests: Iterable[Request], max_in_flight: int, account: Account
    ) -> None:
        self._model = model
        self._store = store
        self._requests = requests
        self._account = account
        self._out: SimpleQueue[tuple[int, Completion] | BaseException | None] = SimpleQueue()
        self._changed = threading.Condition()
        # All below is used with the condition held.
        self._room = max_in_flight
        self._asked: dict[int, bytes] = {}
        """Keys of the requests the model has, by the number it knows them by. Claimed by us."""
        self._waiting: dict[bytes, list[int]] = {}
        """The caller's numbers that wait for a key."""
        self._elsewhere: dict[bytes, Request] = {}
        """Calls that another process has under way."""
        self._given_back: deque[tuple[bytes, Request]] = deque()
        """Those among them that it failed to get, and that are claimed by us now."""
        self._uncommitted = 0
        self._stopped = False
        self._looker: threading.Thread | None = None
        self._inner = model.complete(self._misses())
        self._pump = threading.Thread(target=self._drain, name="judgebench-pump", daemon=True)

    def replies(self) -> Iterator[tuple[int, Completion]]:
        self._pump.start()
        while (item := self._out.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            with self._changed:
                self._room += 1
                self._changed.notify_all()
            yield item

    def stop(self) -> None:
        """Pull and ask no more, and wait a moment for what is finished to be committed."""
        self._stop()
        _close(self._inner)
        if self._pump.ident is not None:
            self._pump.join(STOP_SECONDS)
        if not self._pump.is_alive():
            # What the model has and will never answer. Else the store gives it up when it closes.
            self._store.claims.release([*self._asked.values(), *(key for key, _ in self._given_back)])

    def _stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _misses(self) -> Iterator[Request]:
        """What the store does not hold and nobody else has under way."""
        feed = Feed(self._requests, ahead=PREFETCH, on_ready=self._wake)
        asked = 0
        try:
            while (entry := self._next(feed)) is not None:
                key, request, index = entry
                if index is not None and not self._to_be_asked(index, key, request):
                    continue
                with self._changed:
                    self._asked[asked] = key
                asked += 1
                yield request
        finally:
            feed.close()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _next(self, feed: Feed[Request]) -> tuple[bytes, Request, int | None] | None:
        """A call that was given back, without a number, or the next new one, with the caller's; waits for either."""
        with self._changed:
            while not self._stopped:
                if self._given_back:
                    return (*self._given_back.popleft(), None)
                if self._room and (taken := feed.take(1, wait=False)):
                    self._room -= 1
                    index, request = taken[0]
                    return call_key(self._model.identity, request), request, index
                if feed.ended and not self._elsewhere:
                    return None
                self._changed.wait()
        return None

    def _to_be_asked(self, index: int, key: bytes, request: Request) -> bool:
        """Whether nobody else answers a new request; if so, it is claimed."""
        with self._changed:
            followed = self._waiting.get(key)
            if followed is not None:
                followed.append(index)
                return False
            self._waiting[key] = [index]
        if self._answered_by_store(key):
            return False
        if not self._store.claims.claim(key, self._account.run, self._account.at_most(request)):
            self._look_for(key, request)
            return False
        # Another process may have bought it, and given up its claim, since the look before.
        if self._answered_by_store(key):
            self._store.claims.release([key])
            return False
        return True

    def _answered_by_store(self, key: bytes) -> bool:
        hit = self._store.get(key)
        if hit is None or hit.failed:
            return False
        self._publish(key, msgspec.structs.replace(hit, cached=True))
        return True

    def _look_for(self, key: bytes, request: Request) -> None:
        with self._changed:
            self._elsewhere[key] = request
            if self._looker is None:
                self._looker = threading.Thread(target=self._look, name="judgebench-look", daemon=True)
                self._looker.start()

    def _look(self) -> None:
        """See what becomes of the calls that other processes have under way, until none is left."""
        try:
            while True:
                with self._changed:
                    if self._changed.wait_for(lambda: self._stopped, POLL_SECONDS):
                        return
                    keys = list(self._elsewhere)
                    if not keys:
                        self._looker = None
                        return
                # First what is free, then what is held: a call is stored before its claim is given up.
                free = set(self._store.claims.free(keys))
                held = set(self._store.held(keys))
                for key in keys:
                    if not (key in held and self._found(key)) and key in free:
                        self._take_back(key)
        except BaseException as error:  # noqa: BLE001 - carried to the caller's thread
            self._out.put(error)

    def _found(self, key: bytes) -> bool:
        """Whether the store answers now what another process had under way."""
        found = self._answered_by_store(key)
        if found:
            with self._changed:
                del self._elsewhere[key]
                self._changed.notify_all()
        return found

    def _take_back(self, key: bytes) -> None:
        """Ask ourselves for a call that another process did not get."""
        request = self._elsewhere[key]
        if not self._store.claims.claim(key, self._account.run, self._account.at_most(request)):
            return
        if self._found(key):
            self._store.claims.release([key])
            return
        with self._changed:
            del self._elsewhere[key]
            self._given_back.append((key, request))
            self._changed.notify_all()

    def _drain(self) -> None:
        end: BaseException | None = None
        try:
            for number, completion in self._inner:
                with self._changed:
                    key = self._asked.pop(number)
                self._settle(key, completion)
        except BaseException as error:  # noqa: BLE001 - carried to the caller's thread
            end = error
        with self._changed:
            while self._uncommitted:
                self._changed.wait()
        if end is None and self._waiting and not self._stopped:
            end = ModelError(
                f"{self._model.name} ended without a reply to every request: {len(self._waiting)} left. "
                "Start the same command again: what is there is kept."
            )
        self._stop()
        self._out.put(end)

    def _settle(self, key: bytes, completion: Completion) -> None:
        with self._changed:
            self._uncommitted += 1
        bill = self._account.bill(self._model, completion)
        self._store.put(key, bill, completion, partial(self._committed, key, completion), self._failed)

    def _committed(self, key: bytes, completion: Completion) -> None:
        self._publish(key, completion)
        self._one_less_uncommitted()

    def _failed(self, error: JudgebenchError) -> None:
        self._out.put(error)
        self._one_less_uncommitted()

    def _one_less_uncommitted(self) -> None:
        with self._changed:
            self._uncommitted -= 1
            if not self._uncommitted:
                self._changed.notify_all()

    def _publish(self, key: bytes, completion: Completion) -> None:
        with self._changed:
            first, *followers = self._waiting.pop(key)
        self._out.put((first, completion))
        for index in followers:
            again = completion if completion.error else msgspec.structs.replace(completion, cached=True)
            self._out.put((index, again))


class Budget:
    """A ceiling on spending, shared by every model of a run. Calls in flight count at their upper estimate."""

    def __init__(self, limit_usd: float | None = None) -> None:
        self.limit_usd = limit_usd
        self._spent = 0.0
        self._lost = 0.0
        self._reserved = 0.0
        self._changed = threading.Condition()

    @property
    def spent_usd(self) -> float:
        """Price of the finished calls, and the most of those that nobody knows the end of."""
        return self._spent + self._lost

    def begin(self, spent_usd: float, lost_usd: float) -> None:
        """Count what earlier processes have spent, and what their calls may have cost that were under way when they
        were killed.
        """
        with self._changed:
            self._spent += spent_usd
            self._lost += lost_usd

    def reserve(self, usd: float, *, wait: bool, given_up: Callable[[], bool]) -> bool:
        """Set the estimate of one call aside. Raises :class:`BudgetExceeded` if it could cross the limit.

        With ``wait``, calls in flight are waited for first: they tend to cost less than their estimates. False, with
        nothing set aside, if ``given_up()`` says so meanwhile (it is asked after each :meth:`settle`).
        """
        with self._changed:
            while self.limit_usd is not None and self.spent_usd + self._reserved + usd > self.limit_usd:
                if given_up():
                    return False
                if not wait or self._reserved <= 1e-9:
                    raise BudgetExceeded(
                        f"Another call may not fit within the budget of ${self.limit_usd:.2f}: ${self._spent:.4f} is "
                        f"spent, {self._in_flight()}, and the call may cost ${usd:.4f}. What is finished is kept: "
                        "start the same command with a larger --budget to go on."
                    )
                self._changed.wait()
            self._reserved += usd
            return True

    def spend(self, usd: float) -> None:
        """Count what a call under way has cost beside its estimate. Raises :class:`BudgetExceeded` at the limit."""
        self.settle(0.0, usd)
        if self.limit_usd is not None and self.spent_usd + self._reserved > self.limit_usd:
            raise BudgetExceeded(
                f"The budget of ${self.limit_usd:.2f} is used up: ${self._spent:.4f} is spent, some of it for replies "
                f"that could not be used, and {self._in_flight()}. What is finished is kept: start the same command "
                "with a larger --budget to go on."
            )

    def _in_flight(self) -> str:
        """What calls without an end may have cost, in words."""
        lost = f"${self._lost:.4f} may have been by calls under way when a process was killed, " if self._lost else ""
        return f"{lost}${self._reserved:.4f} may be by calls in flight"

    def settle(self, reserved_usd: float, spent_usd: float) -> None:
        """Replace an estimate that was set aside by what the call cost; 0 if it was not made."""
        with self._changed:
            self._reserved = max(0.0, self._reserved - reserved_usd)
            self._spent += spent_usd
            self._changed.notify_all()


class Metered:
    """Counts the tokens and USD of a model's replies, and stops before a request that could cross the budget.

    ``wait`` false is for a model that wants all its requests before it sends any (a provider's batch endpoint): waiting
    for its calls in flight would be for ever.
    """

    def __init__(self, model: Model, price: Price | None, budget: Budget, *, wait: bool = True) -> None:
        """``price`` ``None`` means unknown, which a budget with a limit refuses."""
        if price is None and budget.limit_usd is not None:
            raise UsageError(
                f"Cannot keep a budget of ${budget.limit_usd:.2f}: the price of {model.name} is not known. Give it "
                "with the argument usd_per_million=INPUT/OUTPUT, or leave the budget out."
            )
        self._model = model
        self._budget = budget
        self._wait = wait
        self._tally = threading.Lock()
        self.price = price
        self.usage = Usage()
        self.calls = 0
        """Replies without ``error``."""
        if isinstance(model, Served):
            model.on_discarded = self.discarded

    @property
    def usd(self) -> float | None:
        """Price of the replies so far; ``None`` if no price is known."""
        return None if self.price is None else self.price.usd(self.usage)

    @property
    def name(self) -> str:
        """The model's."""
        return self._model.name

    @property
    def identity(self) -> str:
        """The model's."""
        return self._model.identity

    @property
    def local(self) -> bool:
        """The model's."""
        return self._model.local

    @property
    def retries(self) -> Counter[str]:
        """The model's."""
        return self._model.retries

    def complete(self, requests: Iterable[Request]) -> Iterator[tuple[int, Completion]]:
        """As the model does. :class:`BudgetExceeded` comes after the replies of all requests before it."""
        return _MeteredReplies(self, self._model, self._budget, requests, self._wait)

    def count(self, completion: Completion) -> float:
        """Add a reply to the tally and return its price in USD, 0 if no price is known."""
        with self._tally:
            self.usage += completion.usage
            self.calls += completion.error is None
        return self.price.usd(completion.usage) if self.price else 0.0

    def discarded(self, usage: Usage) -> None:
        """Count a reply that cannot be used. Raises :class:`BudgetExceeded` if the limit is reached by it."""
        with self._tally:
            self.usage += usage
        if self.price:
            self._budget.spend(self.price.usd(usage))

    def render(self, request: Request) -> str | None:
        """As the model does."""
        return self._model.render(request)

    def check(self, requests: Sequence[Request]) -> None:
        """As the model does."""
        self._model.check(requests)

    def close(self) -> None:
        """Close the model."""
        self._model.close()


class _MeteredReplies:
    """One ``complete`` of :class:`Metered`. Not a generator: :meth:`close` must work while another thread waits."""

    def __init__(self, meter: Metered, model: Model, budget: Budget, requests: Iterable[Request], wait: bool) -> None:
        self._meter = meter
        self._budget = budget
        self._requests = requests
        self._wait = wait
        self._reserved: dict[int, float] = {}
        self._ended = False
        self._inner = model.complete(self._admitted())

    def __iter__(self) -> "_MeteredReplies":
        return self

    def __next__(self) -> tuple[int, Completion]:
        try:
            index, completion = next(self._inner)
        except BaseException:
            self._release()
            raise
        self._budget.settle(self._reserved.pop(index, 0.0), self._meter.count(completion))
        return index, completion

    def close(self) -> None:
        """Abandon what is in flight."""
        _close(self._inner)
        self._release()

    def _admitted(self) -> Iterator[Request]:
        price = self._meter.price
        for index, request in enumerate(self._requests):
            usd = price.at_most(request) if price else 0.0
            if not self._budget.reserve(usd, wait=self._wait, given_up=lambda: self._ended):
                return
            self._reserved[index] = usd
            if self._ended:
                # The other thread may have released everything just before this one was added.
                self._release()
                return
            yield request

    def _release(self) -> None:
        self._ended = True
        for index in list(self._reserved):
            self._budget.settle(self._reserved.pop(index, 0.0), 0.0)
        # Wakes a reservation that waits, also where there was nothing to release.
        self._budget.settle(0.0, 0.0)


def _close(replies: Iterator[tuple[int, Completion]]) -> None:
    """Close an iterator that another thread may be waiting in."""
    close = getattr(replies, "close", None)
    if close is None:
        return
    try:
        close()
    except ValueError:
        # A generator that is running cannot be closed from outside; it ends with its next item instead.
        return
