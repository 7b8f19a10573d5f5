"""What stands between a run and its model: :class:`Stored` answers from the store, :class:`Metered` keeps a budget.

Each is a ``Model`` around a ``Model``; :class:`Budget` is the limit that all meters of a run share. Use them as
``Stored(Metered(model, price, budget), store)``: what the store holds then costs nothing. The store itself is in
``call_store``, prices are in ``pricing``, and models are opened in ``opening``.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, count
from queue import SimpleQueue

import msgspec

from judgebench.errors import BudgetExceeded, JudgebenchError, ModelError, UsageError
from judgebench.models import Gauge, Gauged, Model, Served, Tunable
from judgebench.models.call_store import Bill, CallStore, call_key
from judgebench.models.feed import Feed
from judgebench.models.pricing import FREE, Price
from judgebench.records import Completion, Request, Usage

MAX_IN_FLIGHT = 4096
"""The most requests pulled and not yet yielded: memory stays flat however many there are."""
MOST_IN_BATCHES = 50_000
"""The same where requests wait for batches, each of which should hold as many as its vendor takes."""
STOP_SECONDS = 2.0
"""How long an abandoned iterator waits for finished replies to be committed."""
PREFETCH = 32
"""Requests pulled before the model wants them: those that are there are looked up and claimed together."""
POLL_SECONDS, POLLING_PAUSES = 0.2, 20
"""How often to look for the replies to calls that another process has in flight: after so long, and so many times as
long as the last look took."""


@dataclass
class Account:
    """Who pays for a model's calls. Mutable, because a model is opened before its run is known."""

    price: Price | None = None
    """``None`` if unknown."""
    run: str = ""
    """Name of the run in the store's books; empty if no books are kept."""
    billed: bool = True
    """Whether a call that is lost may have been billed: none of a model that runs here, and of one that is asked in
    batches only those of which it says so, since the store knows what its batches hold."""

    def at_most(self, request: Request) -> float:
        """Upper estimate of a call's price in USD; 0 if no price is known."""
        return self.price.at_most(request) if self.price else 0.0

    @property
    def loses(self) -> str:
        """The run whose books a lost call counts in."""
        return self.run if self.billed else ""

    def bill(self, model: Model, completion: Completion) -> Bill:
        """What a call has cost."""
        usd = self.price.paid(completion) if self.price else 0.0
        return Bill(run=self.run, model=model.name, identity=model.identity, usage=completion.paid, usd=usd)


class Wrapper:
    """A model around a model. Everything but ``complete`` is the inner model's."""

    def __init__(self, model: Model) -> None:
        self._model = model

    @property
    def name(self) -> str:
        """The inner model's name."""
        return self._model.name

    @property
    def identity(self) -> str:
        """The inner model's identity: a stored reply is that model's reply."""
        return self._model.identity

    @property
    def local(self) -> bool:
        """Whether the inner model computes in this process."""
        return self._model.local

    @property
    def concurrency(self) -> int | None:
        """How many requests the inner model answers at once, if each of them is paid."""
        return self._model.concurrency if isinstance(self._model, Served | Wrapper) else None

    def set_concurrency(self, many: int) -> None:
        """Have at most so many requests in flight from now on, if the inner model can change that."""
        if isinstance(self._model, Wrapper | Tunable):
            self._model.set_concurrency(many)

    @property
    def batched(self) -> bool:
        """Whether it is asked in batches, so that nobody knows when a reply comes."""
        return isinstance(self._model, Wrapper) and self._model.batched

    @property
    def retries(self) -> Counter[str]:
        """The inner model's retries."""
        return self._model.retries

    def render(self, request: Request) -> str | None:
        """Render the prompt as the inner model does."""
        return self._model.render(request)

    def check(self, requests: Sequence[Request]) -> None:
        """Check the requests as the inner model does."""
        self._model.check(requests)

    def gauge(self) -> Gauge | None:
        """What the inner model is working on; ``None`` if it cannot say."""
        return self._model.gauge() if isinstance(self._model, Gauged) else None

    def close(self) -> None:
        """Close the inner model; the store is shared and stays open."""
        self._model.close()


def innermost(model: Model) -> Model:
    """The model within all wrappers."""
    while isinstance(model, Wrapper):
        model = model._model
    return model


class NeverAsked(Wrapper):
    """A model whose stored replies count, but that is asked nothing new."""

    def __init__(self, model: Model, reason: str) -> None:
        super().__init__(model)
        self._reason = reason

    def complete(self, requests: Iterable[Request]) -> Iterator[tuple[int, Completion]]:
        """Raise :class:`ModelError` with the reason at the first request."""
        for _ in requests:
            raise ModelError(self._reason)
        yield from ()


class _Slots:
    """The paid calls that may be in flight at once. A call holds its slot until its reply is committed."""

    def __init__(self, many: int | None) -> None:
        """``None``: no limit, since the calls cost nothing."""
        self._changed = threading.Condition()
        self._limit = many
        self._held = 0
        self._replied = 0

    def take(self, most: int, given_up: Callable[[], bool]) -> int:
        """Wait for a slot, take those that are free, up to ``most``, and return how many these are.

        Returns 0, without one, if ``given_up()`` says so meanwhile (see :meth:`wake`).
        """
        with self._changed:
            while self._limit is not None and self._held >= self._limit and not given_up():
                self._changed.wait()
            if given_up():
                return 0
            taken = most if self._limit is None else min(most, self._limit - self._held)
            self._held += taken
            return taken

    def replied(self) -> bool:
        """Note that a reply has come, and return whether every call has one: nothing else is coming to commit."""
        with self._changed:
            self._replied += 1
            return self._replied == self._held

    def release(self, many: int = 1, *, replied: bool) -> None:
        """Give slots back, with or without replies to their calls."""
        with self._changed:
            self._held -= many
            self._replied -= many * replied
            self._changed.notify_all()

    def resize(self, many: int) -> None:
        """Change how many may be held; those that are stay. Without a limit there is still none."""
        with self._changed:
            self._limit = None if self._limit is None else many
            self._changed.notify_all()

    def wake(self) -> None:
        """Let those who wait look again whether they have given up."""
        with self._changed:
            self._changed.notify_all()


class Stored(Wrapper):
    """Answers what it can from the store, asks the model for the rest, and commits each reply before yielding it.

    Commits do not wait for the caller: a separate thread drains the model, so a paid reply is safe even if the caller
    is slow or goes away. No paid call is sent in the place of one whose reply is not yet committed: a killed process
    loses no more calls than the model's concurrency. Equal requests in flight are sent once. That holds across
    processes on one store: if another process has sent the request, this one waits for its reply.
    """

    def __init__(
        self,
        model: Model,
        store: CallStore,
        max_in_flight: int = MAX_IN_FLIGHT,
        account: Account | None = None,
    ) -> None:
        super().__init__(model)
        self._store = store
        self._max_in_flight = max_in_flight
        self._account = account or Account()
        self._slots = _Slots(self.concurrency)

    def set_concurrency(self, many: int) -> None:
        """As the inner model does; a call holds its slot until its reply is committed all the same."""
        super().set_concurrency(many)
        self._slots.resize(many)

    def complete(self, requests: Iterable[Request]) -> Iterator[tuple[int, Completion]]:
        """As the inner model does; replies from the store or from an equal request in flight have ``cached`` set."""
        session = _StoredSession(self._model, self._store, requests, self._max_in_flight, self._account, self._slots)
        try:
            yield from session.replies()
        finally:
            session.stop()


_Call = tuple[bytes, Request]
"""A call and its key in the store."""


class _StoredSession:
    """One ``complete`` of :class:`Stored`.

    The model pulls :meth:`_misses`; the pump thread takes its replies to the store; the store's writer thread puts
    committed replies into ``_out``, where the caller waits. If another process has wanted calls in flight, a further
    thread looks for their replies, and gives back the calls that the other process did not finish.
    """

    def __init__(
        self,
        model: Model,
        store: CallStore,
        requests: Iterable[Request],
        max_in_flight: int,
        account: Account,
        slots: _Slots,
    ) -> None:
        self._model = model
        self._store = store
        self._requests = requests
        self._account = account
        self._slots = slots
        self._out: SimpleQueue[list[tuple[int, Completion]] | BaseException | None] = SimpleQueue()
        self._changed = threading.Condition()
        # Hold the condition to use any of the following.
        self._room = max_in_flight
        self._asked: dict[int, bytes] = {}
        """Keys of the requests that the model has, by the model's own numbers. We hold their claims."""
        self._waiting: dict[bytes, list[int]] = {}
        """The caller's numbers of the requests that wait for a key."""
        self._elsewhere: dict[bytes, Request] = {}
        """Calls that another process has in flight."""
        self._given_back: deque[_Call] = deque()
        """Those of them that the other process did not finish. We hold their claims now."""
        self._uncommitted = 0
        self._ended: list[tuple[bytes, Completion, JudgebenchError | None]] = []
        """Calls of the commit that is being made known. Only the store's thread uses it."""
        self._stopped = False
        self._looker: threading.Thread | None = None
        self._inner: Iterator[tuple[int, Completion]] | None = None
        """The model's replies, from its first request on: one that is asked nothing is not started."""
        self._pump = threading.Thread(target=self._drain, name="judgebench-pump", daemon=True)

    def replies(self) -> Iterator[tuple[int, Completion]]:
        self._pump.start()
        while (item := self._out.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            for reply in item:
                with self._changed:
                    self._room += 1
                    if self._room == 1:
                        self._changed.notify_all()
                yield reply

    def stop(self) -> None:
        """Pull and send no more, and wait a moment until finished replies are committed."""
        self._stop()
        if self._inner is not None:
            _close(self._inner)
        if self._pump.ident is not None:
            self._pump.join(STOP_SECONDS)
        if not self._pump.is_alive():
            # If the pump still runs, the store releases them when it closes.
            self._store.claims.release(key for key, _ in self._given_back)
            self._abandon()

    def _abandon(self) -> None:
        """Release the calls that the model will never answer."""
        with self._changed:
            asked, self._asked = self._asked, {}
        if asked:
            self._store.claims.release(asked.values())
        self._slots.release(len(asked), replied=False)

    def _stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._slots.wake()

    def _misses(self) -> Generator[Request]:
        """The requests that the store does not hold and no other process has in flight."""
        feed = Feed(self._requests, ahead=PREFETCH, on_ready=self._wake)
        asked = count()
        try:
            while (taken := self._next(feed)) is not None:
                given_back, new = taken
                for calls in self._given(given_back) if given_back else self._to_be_asked(new):
                    with self._changed:
                        self._asked.update((next(asked), key) for key, _ in calls)
                    yield from (request for _, request in calls)
        finally:
            feed.close()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _next(self, feed: Feed[Request]) -> tuple[list[_Call], list[tuple[int, Request]]] | None:
        """Calls that were given back, or the new requests that are there with their numbers; waits for either."""
        with self._changed:
            while not self._stopped:
                if self._given_back:
                    return [self._given_back.popleft()], []
                if self._room and (taken := feed.take(min(self._room, PREFETCH), wait=False)):
                    self._room -= len(taken)
                    return [], taken
                if feed.ended and not self._elsewhere:
                    return None
                self._changed.wait()
        return None

    def _given(self, given_back: list[_Call]) -> Iterator[list[_Call]]:
        """Calls whose claims we hold already, once there is a slot."""
        if self._slots.take(1, lambda: self._stopped):
            yield given_back
        else:
            self._given_back.extend(given_back)

    def _to_be_asked(self, taken: list[tuple[int, Request]]) -> Iterator[list[_Call]]:
        """Those of the new requests that the model must answer: each has a slot, and we hold its claim."""
        identity = self._model.identity
        keyed = [(call_key(identity, request), request, index) for index, request in taken]
        new: dict[bytes, Request] = {}
        with self._changed:
            for key, request, index in keyed:
                if (followed := self._waiting.get(key)) is not None:
                    followed.append(index)
                else:
                    self._waiting[key] = [index]
                    new[key] = request
        held = self._answered_by_store(new)
        left = [(key, request) for key, request in new.items() if key not in held]
        while left and (free := self._slots.take(len(left), lambda: self._stopped)):
            tried, left = left[:free], left[free:]
            claimed = self._claimed(tried)
            if len(claimed) < free:
                self._slots.release(free - len(claimed), replied=False)
            if claimed:
                yield claimed

    def _claimed(self, calls: list[_Call]) -> list[_Call]:
        """Claim calls that the store does not hold; if another process has one, its reply is waited for."""
        account = self._account
        claimed = self._store.claims.claim_all(
            [(key, account.at_most(request)) for key, request in calls], account.loses
        )
        for key, request in calls:
            if key not in claimed:
                self._look_for(key, request)
        # Since the last look, another process may have bought some and released its claims.
        if held := self._answered_by_store(claimed):
            self._store.claims.release(held)
        return [(key, request) for key, request in calls if key in claimed and key not in held]

    def _answered_by_store(self, keys: Collection[bytes]) -> set[bytes]:
        """Publish the replies that the store holds, and return their keys."""
        hits = {key: hit for key, hit in self._store.get_all(keys).items() if not hit.failed} if keys else {}
        self._publish([(key, msgspec.structs.replace(hit, cached=True)) for key, hit in hits.items()])
        return set(hits)

    def _look_for(self, key: bytes, request: Request) -> None:
        with self._changed:
            self._elsewhere[key] = request
            if self._looker is None:
                self._looker = threading.Thread(target=self._look, name="judgebench-look", daemon=True)
                self._looker.start()

    def _look(self) -> None:
        """Watch the calls that other processes have in flight, until none is left."""
        pause = POLL_SECONDS
        try:
            while True:
                with self._changed:
                    if self._changed.wait_for(lambda: self._stopped, pause):
                        return
                    keys = list(self._elsewhere)
                    if not keys:
                        self._looker = None
                        return
                begun = time.monotonic()
                # First the free ones, then the held ones: a call is stored before its claim is released.
                free = set(self._store.claims.free(keys))
                held = set(self._store.held(keys))
                for key in keys:
                    if not (key in held and self._found(key)) and key in free:
                        self._take_back(key)
                # Thousands of calls may be in a batch of another process for hours.
                pause = max(POLL_SECONDS, POLLING_PAUSES * (time.monotonic() - begun))
        except BaseException as error:  # noqa: BLE001 - carried to the caller's thread
            self._out.put(error)

    def _found(self, key: bytes) -> bool:
        """Whether the store now answers a call that another process had in flight."""
        found = bool(self._answered_by_store([key]))
        if found:
            with self._changed:
                del self._elsewhere[key]
                self._changed.notify_all()
        return found

    def _take_back(self, key: bytes) -> None:
        """Take over a call that another process did not finish."""
        request = self._elsewhere[key]
        if not self._store.claims.claim(key, self._account.loses, self._account.at_most(request)):
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
            for number, completion in self._asked_of_model():
                with self._changed:
                    key = self._asked.pop(number)
                self._settle(key, completion)
        except BaseException as error:  # noqa: BLE001 - carried to the caller's thread
            end = error
        self._abandon()
        with self._changed:
            while self._uncommitted:
                self._changed.wait()
        if end is None and self._waiting and not self._stopped:
            end = ModelError(
                f"{self._model.name} left {len(self._waiting)} requests without a reply. "
                "Start the same command again: all finished replies are kept."
            )
        self._stop()
        self._out.put(end)

    def _asked_of_model(self) -> Iterator[tuple[int, Completion]]:
        """The model's replies to the misses; nothing if there are none, or if the session was stopped before."""
        misses = self._misses()
        first = next(misses, None)
        with self._changed:
            if first is None or self._stopped:
                misses.close()
                return iter(())
            self._inner = self._model.complete(chain((first,), misses))
        return self._inner

    def _settle(self, key: bytes, completion: Completion) -> None:
        with self._changed:
            self._uncommitted += 1
        bill = self._account.bill(self._model, completion)
        last = self._slots.replied()
        self._store.put(key, bill, completion, partial(self._note, key, completion), then=self._settled, at_once=last)

    def _note(self, key: bytes, completion: Completion, error: JudgebenchError | None) -> None:
        """What the store's thread says of a call."""
        self._ended.append((key, completion, error))

    def _settled(self) -> None:
        """Publish the replies that the store's thread has just committed, and give their slots back."""
        ended, self._ended = self._ended, []
        for error in (error for *_, error in ended if error is not None):
            self._out.put(error)
        self._publish([(key, completion) for key, completion, error in ended if error is None])
        self._slots.release(len(ended), replied=True)
        with self._changed:
            self._uncommitted -= len(ended)
            if not self._uncommitted:
                self._changed.notify_all()

    def _publish(self, replies: Sequence[tuple[bytes, Completion]]) -> None:
        """Hand committed replies to the caller, each to all requests that wait for it."""
        with self._changed:
            waiting = [self._waiting.pop(key) for key, _ in replies]
        published = []
        for (_, completion), (first, *followers) in zip(replies, waiting, strict=True):
            published.append((first, completion))
            if followers:
                again = completion if completion.error else msgspec.structs.replace(completion, cached=True)
                published += [(index, again) for index in followers]
        if published:
            self._out.put(published)


class Budget:
    """A spending limit, shared by every model of a run. Calls in flight count at their upper estimate."""

    def __init__(self, limit_usd: float | None = None) -> None:
        self.limit_usd = limit_usd
        self._spent = 0.0
        self._lost = 0.0
        self._reserved = 0.0
        self._changed = threading.Condition()

    @property
    def spent_usd(self) -> float:
        """What the finished calls cost, plus the most that calls of killed processes can have cost."""
        return self._spent + self._lost

    def begin(self, spent_usd: float, lost_usd: float) -> None:
        """Count what earlier processes spent, and what their calls in flight may have cost when they were killed."""
        with self._changed:
            self._spent += spent_usd
            self._lost += lost_usd

    def reserve(self, usd: float, *, given_up: Callable[[], bool]) -> bool:
        """Set the estimate of one call aside. Raises :class:`BudgetExceeded` if it could cross the limit.

        First waits for calls in flight, which tend to cost less than their estimates. Returns False, with nothing set
        aside, if ``given_up()`` says so meanwhile (it is called after each :meth:`settle`).
        """
        with self._changed:
            while self.limit_usd is not None and self.spent_usd + self._reserved + usd > self.limit_usd:
                if given_up():
                    return False
                if self._reserved <= 1e-9:
                    raise BudgetExceeded(
                        f"Another call may exceed the budget of ${self.limit_usd:.2f}: ${self._spent:.4f} is spent, "
                        f"{self._in_flight()}, and the call may cost ${usd:.4f}. Everything finished is kept: start "
                        "the same command with a larger --budget to go on."
                    )
                self._changed.wait()
            self._reserved += usd
            return True

    def spend(self, usd: float) -> None:
        """Count a cost beyond the estimate of a call in flight. Raises :class:`BudgetExceeded` above the limit."""
        self.settle(0.0, usd)
        if self.limit_usd is not None and self.spent_usd + self._reserved > self.limit_usd:
            raise BudgetExceeded(
                f"The budget of ${self.limit_usd:.2f} is used up: ${self._spent:.4f} is spent, some of it on unusable "
                f"replies, and {self._in_flight()}. Everything finished is kept: start the same command with a larger "
                "--budget to go on."
            )

    def _in_flight(self) -> str:
        """What unfinished calls may cost, in words."""
        lost = f"calls of a killed process may have cost ${self._lost:.4f}, " if self._lost else ""
        return f"{lost}calls in flight may cost ${self._reserved:.4f}"

    def settle(self, reserved_usd: float, spent_usd: float) -> None:
        """Replace an estimate that was set aside by what the call cost; 0 if no call was made."""
        with self._changed:
            self._reserved = max(0.0, self._reserved - reserved_usd)
            self._spent += spent_usd
            self._changed.notify_all()


def require_price(name: str, price: Price | None, budget: Budget) -> None:
    """Raise :class:`UsageError` if there is a budget, and no price by which to keep it."""
    if price is None and budget.limit_usd is not None:
        raise UsageError(
            f"Cannot keep a budget of ${budget.limit_usd:.2f}: the price of {name} is not known. Give it with the "
            "argument usd_per_million=INPUT/OUTPUT, or leave the budget out."
        )


class Metered(Wrapper):
    """Counts what a model's replies cost against the budget, and stops before a request that could exceed it."""

    def __init__(self, model: Model, price: Price | None, budget: Budget, *, batched: bool = False) -> None:
        """``price`` is ``None`` if it is unknown, which a budget with a limit refuses. ``batched``: the model asks in
        batches, whose price is set aside.
        """
        require_price(model.name, price, budget)
        super().__init__(model)
        self._price = price or FREE
        self._budget = budget
        self._batched = batched
        if isinstance(model, Served):
            model.on_discarded = self._discarded

    def complete(self, requests: Iterable[Request]) -> Iterator[tuple[int, Completion]]:
        """As the inner model does. :class:`BudgetExceeded` comes after the replies to all earlier requests."""
        return _MeteredReplies(self._model, self._price, self._budget, requests, batched=self._batched)

    def _discarded(self, usage: Usage) -> None:
        """Count a reply that cannot be used. Raises :class:`BudgetExceeded` if that reaches the limit."""
        self._budget.spend(self._price.usd(usage))


class _MeteredReplies(Iterator[tuple[int, Completion]]):
    """One ``complete`` of :class:`Metered`. Not a generator: :meth:`close` must work while another thread waits."""

    def __init__(
        self, model: Model, price: Price, budget: Budget, requests: Iterable[Request], *, batched: bool
    ) -> None:
        self._price, self._batched = price, batched
        self._budget = budget
        self._requests = requests
        self._reserved: dict[int, float] = {}
        self._ended = False
        self._inner = model.complete(self._admitted())

    def __next__(self) -> tuple[int, Completion]:
        try:
            index, completion = next(self._inner)
        except BaseException:
            self._release()
            raise
        usd = self._price.usd(completion.usage, batched=completion.batched)
        self._budget.settle(self._reserved.pop(index, 0.0), usd)
        return index, completion

    def close(self) -> None:
        """Abandon what is in flight."""
        _close(self._inner)
        self._release()

    def _admitted(self) -> Iterator[Request]:
        for index, request in enumerate(self._requests):
            usd = self._price.at_most(request, batched=self._batched)
            if not self._budget.reserve(usd, given_up=lambda: self._ended):
                return
            self._reserved[index] = usd
            if self._ended:
                # The other thread may have released everything just before this reservation.
                self._release()
                return
            yield request

    def _release(self) -> None:
        self._ended = True
        for index in list(self._reserved):
            self._budget.settle(self._reserved.pop(index, 0.0), 0.0)
        # Wake a waiting reservation, even if there was nothing to release.
        self._budget.settle(0.0, 0.0)


def _close(replies: Iterator[tuple[int, Completion]]) -> None:
    """Close an iterator that another thread may be waiting in."""
    close = getattr(replies, "close", None)
    if close is None:
        return
    try:
        close()
    except ValueError:
        # A running generator cannot be closed from outside; it ends with its next item instead.
        return
