"""A Model around a Model: :class:`Stored` puts the call store in front, :class:`Metered` a price and a budget.

``Stored(Metered(model, price, budget), store)`` is the order to use: what the store holds costs nothing. Which models
there are, and what they cost, is said elsewhere.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from queue import SimpleQueue

import msgspec
from msgspec import Struct

from judgebench.cache import CallStore, call_key
from judgebench.errors import BudgetExceeded, JudgebenchError, ModelError, UsageError
from judgebench.models import Model
from judgebench.records import Completion, Request, Usage

IN_HAND = 4096
"""Requests pulled and not yet yielded, at most: memory stays flat however many there are."""
STOP_SECONDS = 2.0
"""How long an abandoned iterator waits for what is finished to be committed."""
ASSUMED_MAX_TOKENS = 4096
"""Upper estimate of a reply's length where the request sets no limit."""


class Stored:
    """Answers from the store what it holds, asks the model for the rest, and commits each reply before yielding it.

    Commits do not wait for the caller: a thread of its own drains the model, so a reply that was paid for is safe even
    if the caller is slow or goes away. Equal requests in flight are asked once.
    """

    def __init__(self, model: Model, store: CallStore, in_hand: int = IN_HAND) -> None:
        self._model = model
        self._store = store
        self._in_hand = in_hand

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
        session = _StoredSession(self._model, self._store, requests, self._in_hand)
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
    is committed into ``_out``, where the caller waits.
    """

    def __init__(self, model: Model, store: CallStore, requests: Iterable[Request], in_hand: int) -> None:
        self._model = model
        self._store = store
        self._requests = requests
        self._out: SimpleQueue[tuple[int, Completion] | BaseException | None] = SimpleQueue()
        self._room = threading.Semaphore(in_hand)
        self._changed = threading.Condition()
        self._asked: dict[int, bytes] = {}
        """Keys of the requests the model has, by the number it knows them by."""
        self._waiting: dict[bytes, list[int]] = {}
        """The caller's numbers that wait for a key."""
        self._uncommitted = 0
        self._stopped = False
        self._inner = model.complete(self._misses())
        self._pump = threading.Thread(target=self._drain, name="judgebench-pump", daemon=True)

    def replies(self) -> Iterator[tuple[int, Completion]]:
        self._pump.start()
        while (item := self._out.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            self._room.release()
            yield item

    def stop(self) -> None:
        """Pull and ask no more, and wait a moment for what is finished to be committed."""
        self._stopped = True
        self._room.release()
        _close(self._inner)
        if self._pump.ident is not None:
            self._pump.join(STOP_SECONDS)

    def _misses(self) -> Iterator[Request]:
        asked = 0
        for index, request in enumerate(self._requests):
            self._room.acquire()
            if self._stopped:
                return
            key = call_key(self._model.identity, request)
            with self._changed:
                followed = self._waiting.get(key)
                if followed is not None:
                    followed.append(index)
                    continue
            # Only this generator adds keys, so nobody else can have asked for it since.
            hit = self._store.get(key)
            if hit is not None:
                self._out.put((index, msgspec.structs.replace(hit, cached=True)))
                continue
            with self._changed:
                self._waiting[key] = [index]
                self._asked[asked] = key
            asked += 1
            yield request

    def _drain(self) -> None:
        end: BaseException | None = None
        try:
            for number, completion in self._inner:
                self._settle(self._asked.pop(number), completion)
        except BaseException as error:  # noqa: BLE001 - carried to the caller's thread
            end = error
        with self._changed:
            while self._uncommitted:
                self._changed.wait()
        if end is None and self._waiting and not self._stopped:
            end = ModelError(
                f"A reply to every request was wanted, but {self._model.name} ended with {len(self._waiting)} left. "
                "Start the same command again: what is there is kept."
            )
        self._stopped = True
        self._room.release()
        self._out.put(end)

    def _settle(self, key: bytes, completion: Completion) -> None:
        if completion.error is not None:
            self._publish(key, completion)
            return
        with self._changed:
            self._uncommitted += 1
        self._store.put(key, self._model.name, completion, partial(self._committed, key, completion), self._failed)

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


class Price(Struct, frozen=True, kw_only=True):
    """What a model's tokens cost."""

    prompt: float
    """USD per million prompt tokens."""
    completion: float
    """USD per million completion tokens."""

    def usd(self, usage: Usage) -> float:
        """Price of the tokens, in USD."""
        return (usage.prompt_tokens * self.prompt + usage.completion_tokens * self.completion) / 1e6

    def at_most(self, request: Request) -> float:
        """Upper estimate of a call's price in USD: a token for each three bytes of prompt, and the longest reply."""
        size = sum(len(m.content) if m.content.isascii() else len(m.content.encode()) for m in request.messages)
        longest = request.sampling.max_tokens or ASSUMED_MAX_TOKENS
        return self.usd(Usage(prompt_tokens=size // 3 + 1, completion_tokens=longest))


class Budget:
    """A ceiling on spending, shared by every model of a run. Calls in flight count at their upper estimate."""

    def __init__(self, limit_usd: float | None = None) -> None:
        self.limit_usd = limit_usd
        self._spent = 0.0
        self._reserved = 0.0
        self._changed = threading.Condition()

    @property
    def spent_usd(self) -> float:
        """Price of the finished calls."""
        return self._spent

    def reserve(self, usd: float, *, wait: bool, given_up: Callable[[], bool]) -> bool:
        """Set the estimate of one call aside. Raises :class:`BudgetExceeded` if it could cross the limit.

        With ``wait``, calls in flight are waited for first: they tend to cost less than their estimates. False, with
        nothing set aside, if ``given_up()`` says so meanwhile (it is asked after each :meth:`settle`).
        """
        with self._changed:
            while self.limit_usd is not None and self._spent + self._reserved + usd > self.limit_usd:
                if given_up():
                    return False
                if not wait or self._reserved <= 1e-9:
                    raise BudgetExceeded(
                        f"Another call was to be made within the budget of ${self.limit_usd:.2f}, but "
                        f"${self._spent:.4f} is spent, ${self._reserved:.4f} may be by calls in flight, and the next "
                        f"may cost ${usd:.4f}. What is finished is kept: start the same command with a larger --budget "
                        "to go on."
                    )
                self._changed.wait()
            self._reserved += usd
            return True

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
                f"A budget of ${budget.limit_usd:.2f} was to be kept, but the price of {model.name} is not known. "
                "Give its price, or leave the budget out."
            )
        self._model = model
        self._budget = budget
        self._wait = wait
        self._tally = threading.Lock()
        self.price = price
        self.usage = Usage()
        self.calls = 0
        """Replies without ``error``."""

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
