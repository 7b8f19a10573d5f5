"""A served model that is asked in batches: slower, and at the vendor's price for batches.

:class:`Batched` stands where the endpoint's own ``complete`` would: the call store, the budget, re-asks and repeats go
on as with single calls, and a reply of a batch becomes a completion in the same way. Requests are collected into
batches of the vendor's size, written down in the store's record of batches (``models.batch_book``), submitted, looked
after and fetched. The record, and not this process, knows what was submitted: whoever asks for a call that is in a
batch waits for that batch, whichever process submitted it, and a batch whose submission is in doubt is looked for at
the vendor before anything is sent again.

The first request of a process is sent by itself, so that a wrong key, a wrong name or a setting that the endpoint
refuses is known before thousands are in a batch. What a batch leaves unanswered is sent again: in another batch if it
is much, else by itself.
"""

import re
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from queue import Empty, SimpleQueue

import msgspec

from judgebench.activity import doing
from judgebench.errors import BudgetExceeded, ModelError
from judgebench.models.batch_book import COLLECTING, FETCHED, RUNNING, SUBMITTING, Batch, Place
from judgebench.models.call_store import CallStore, call_key
from judgebench.models.feed import Feed
from judgebench.models.http.batch_api import BatchApi, BatchFault, Seen, Undecided, batch_api
from judgebench.models.http.batch_parts import (
    FRAME,
    MOST_FETCHES,
    Asked,
    Collecting,
    Due,
    LiveLane,
    Watch,
    due,
    fetch,
    fitting,
)
from judgebench.models.http.model import HttpChat
from judgebench.models.http.wire import NoAnswer, cached_tokens
from judgebench.models.pricing import FREE, most_tokens
from judgebench.models.wrappers import MOST_IN_BATCHES, Account, Budget, Wrapper
from judgebench.records import Completion, Request, Usage

TAKEN_AT_ONCE = 1000
LINGER_SECONDS = 2.0
"""A batch is submitted when no further request has come for so long."""
SETTLE_SECONDS = 20.0
"""How long a submission that nobody saw the end of may take to appear in the vendor's list."""
STUCK_SECONDS = 1.0
"""How often to look again at calls that are in a batch which another process is about to submit."""
LEAST_POLL_SECONDS, MOST_POLL_SECONDS, POLLS_OF_AGE = 0.5, 60.0, 20
"""A batch is looked at after a twentieth of its age, and within these limits."""
FEWEST_AGAIN = 20
"""If a batch leaves fewer requests unanswered than this, they are sent one by one."""
MOST_BATCHES = 2
"""A request that so many batches left unanswered is sent by itself."""
HOPELESS_FAULTS = 12
"""If an endpoint fails so often in a row, the run ends; the batch goes on, and so does the next start."""
REFUSED = re.compile(r"error 4(?!08|09|25|29)\d\d")
"""What a call met in a batch that it would meet again in any other."""
CLOSE_SECONDS = 2.0


class Batched(Wrapper):
    """A model behind an endpoint whose requests are sent in batches."""

    def __init__(
        self, endpoint: HttpChat, store: CallStore, account: Account, budget: Budget, how: str, *, begins: bool = True
    ) -> None:
        """``how`` says how the model is opened again, for whoever finds its batches in the store. Unless it ``begins``
        batches, it only goes on with those that the store knows, and sends other requests by themselves.
        """
        super().__init__(endpoint)
        self.endpoint, self.store, self.account, self.budget, self.how = endpoint, store, account, budget, how
        self.begins = begins
        self.api: BatchApi = batch_api(endpoint)
        self.on_discarded = endpoint.on_discarded
        self._streams: list[_BatchStream] = []
        store.batches.tidy()

    @property
    def concurrency(self) -> int:
        """How many requests can wait for a batch."""
        return MOST_IN_BATCHES

    @property
    def batched(self) -> bool:
        """It is."""
        return True

    @property
    def answered_before(self) -> bool:
        """Whether the endpoint answered in an earlier session."""
        return self.endpoint.answered_before

    @answered_before.setter
    def answered_before(self, value: bool) -> None:
        self.endpoint.answered_before = value

    def require_reachable(self) -> None:
        """Raise :class:`ModelError` if nobody listens at the endpoint's address."""
        self.endpoint.require_reachable()

    def complete(self, requests: Iterable[Request]) -> Iterator[tuple[int, Completion]]:
        """Send the requests in batches; replies come as batches end."""
        self.endpoint.on_discarded = self.on_discarded
        stream = _BatchStream(self, requests)
        self._streams.append(stream)
        return stream

    def close(self) -> None:
        """Ask for nothing more. What was submitted goes on, and the next start fetches it."""
        for stream in self._streams:
            stream.close()
        for stream in self._streams:
            stream.join(CLOSE_SECONDS)
        self.endpoint.close()


class _BatchStream(Iterator[tuple[int, Completion]]):
    """One ``complete`` of :class:`Batched`. Its thread does everything; :meth:`close` works while another waits."""

    def __init__(self, model: Batched, requests: Iterable[Request]) -> None:
        self._model, self._endpoint, self._api = model, model.endpoint, model.api
        self._book, self._claims = model.store.batches, model.store.claims
        self._price = model.account.price or FREE
        self._out: SimpleQueue[tuple[int, Completion] | BaseException | None] = SimpleQueue()
        self._received: SimpleQueue[tuple[bytes, Completion] | BaseException] = SimpleQueue()
        self._live = LiveLane(self._endpoint, self._received)
        self._awake = self._live.wake
        self._closed = self._ended = False
        self._asked: dict[bytes, Asked] = {}
        self._extra: dict[bytes, float] = {}
        """What is set aside for requests that are sent by themselves, beyond the price for batches."""
        self._held: list[bytes] = []
        """Requests that wait until the first is answered."""
        self._again: list[tuple[bytes, Place]] = []
        """Requests that batches left unanswered."""
        self._collecting: Collecting | None = None
        self._arrived = 0.0
        self._to_submit: dict[str, Due] = {}
        self._doubtful: dict[str, Due] = {}
        """Batches that may have been submitted."""
        self._running: dict[str, Watch] = {}
        self._claimed: set[str] = set()
        """Batches that no other process may submit or give up."""
        self._stuck: set[bytes] = set()
        """Calls in a batch that another process is about to submit."""
        self._look_at_stuck = 0.0
        self._end: BaseException | None = None
        """Raised when everything that was submitted is answered."""
        self._feed = Feed(requests, ahead=TAKEN_AT_ONCE, on_ready=self._awake.set)
        self._thread = threading.Thread(target=self._work, name="judgebench-batches", daemon=True)
        self._thread.start()

    def __next__(self) -> tuple[int, Completion]:
        if self._ended:
            raise StopIteration
        item = self._out.get()
        if isinstance(item, tuple):
            return item
        self._ended = True
        if item is None:
            raise StopIteration
        raise item

    def close(self) -> None:
        """Collect and look at nothing more."""
        self._closed = True
        self._feed.close()
        self._awake.set()

    def join(self, seconds: float) -> None:
        """Wait a moment until that is so."""
        self._thread.join(seconds)

    # -- the thread

    def _work(self) -> None:
        end: BaseException | None = None
        try:
            with ExitStack() as shown:
                saying = False
                while not self._closed and not self._over():
                    self._awake.clear()
                    self._step()
                    if bool(self._running) != saying:
                        saying = bool(self._running)
                        shown.enter_context(doing(self._saying)) if saying else shown.pop_all().close()
                    if not self._over():
                        self._awake.wait(self._seconds_to_wait())
            end = self._end or self._feed.error
        except sqlite3.Error as error:
            end = self._model.store.problem("read or written", error)
        except BaseException as error:  # noqa: BLE001 - carried to the thread that iterates
            end = error
        finally:
            self._feed.close()
            self._live.close()
            self._leave()
            self._out.put(None if self._closed else end)

    def _over(self) -> bool:
        return self._all_came() and not self._asked

    def _all_came(self) -> bool:
        return self._feed.ended or self._feed.error is not None or self._end is not None

    def _step(self) -> None:
        now = time.time()
        self._take_live_replies()
        self._take_requests(now)
        if self._stuck and now >= self._look_at_stuck:
            self._look_at_stuck = now + STUCK_SECONDS
            self._unstick()
        if self._collecting is not None and self._no_more_expected(now):
            self._complete_batch()
        for token in due(self._to_submit, now):
            self._submit(token)
        for token in due(self._doubtful, now):
            self._look_for(token)
        for token in due(self._running, now):
            self._look_at(token)
        self._send_again()

    def _seconds_to_wait(self) -> float:
        moments = [when.at for dues in (self._to_submit, self._doubtful, self._running) for when in dues.values()]
        moments += [self._look_at_stuck] if self._stuck else []
        moments += [self._arrived + LINGER_SECONDS] if self._collecting is not None else []
        return max(0.02, min(moments, default=time.time() + MOST_POLL_SECONDS) - time.time())

    def _no_more_expected(self, now: float) -> bool:
        return self._all_came() or now - self._arrived >= LINGER_SECONDS

    def _leave(self) -> None:
        """Forget what was not submitted, and let others look after what may have been."""
        try:
            self._book.drop_collected(self._claimed)
            self._claims.release(token.encode() for token in self._claimed)
        except Exception:  # noqa: BLE001 - the store is closed: the next start finds the same
            return

    def _saying(self) -> str:
        """What the batches are at, for a display."""
        watches = list(self._running.values())
        done, calls = sum(watch.done for watch in watches), sum(watch.calls for watch in watches)
        name = f"batch {watches[0].name}" if len(watches) == 1 else f"{len(watches)} batches"
        return f"{name} of {self._endpoint.name}: {done:,} of {calls:,} done"

    # -- requests come

    def _take_requests(self, now: float) -> None:
        arrived = self._feed.arrivals(TAKEN_AT_ONCE, idle=False)
        if not arrived or self._end is not None:
            return
        self._arrived = now
        keys = []
        for index, request in arrived:
            key = call_key(self._endpoint.identity, request)
            self._asked[key] = Asked(index, request)
            if self._endpoint.wire_for(request) is self._endpoint.wire:
                keys.append(key)
            else:
                self._send_live(key)
        self._place(keys)

    def _place(self, keys: Sequence[bytes]) -> None:
        """Answer calls that batches have answered, wait for those that are in a batch, and collect the others."""
        places = self._book.places(keys)
        for key, place in places.items():
            if place.reply is not None:
                self._answer(key, place)
            elif place.state == FETCHED:
                self._again.append((key, place))
            elif place.state == RUNNING:
                self._running.setdefault(place.token, Watch()).keys.add(key)
            elif place.token not in self._claimed:
                self._stuck.add(key)
        self._collect([key for key in keys if key not in places])

    def _collect(self, keys: Sequence[bytes]) -> None:
        """Put calls into a batch once the endpoint has answered one."""
        if not self._model.begins:
            for key in keys:
                self._send_live(key)
            return
        probing = bool(self._held) or bool(self._extra)
        # Under a budget that has no room for a single call, nothing is known of the endpoint before the batch.
        if self._endpoint.answered or (keys and not probing and not self._set_aside(keys[0])):
            self._gather(keys)
            return
        self._held += keys
        if self._held and not probing:
            self._send_live(self._held.pop(0))

    def _gather(self, keys: Sequence[bytes]) -> None:
        bodies = [(key, self._endpoint.body(self._asked[key].request)) for key in keys]
        while bodies:
            batch = self._open_batch()
            room = self._api.most_calls - batch.calls, self._api.most_bytes - batch.bytes
            part = list(fitting(bodies, *room, empty=not batch.calls))
            bodies = bodies[len(part) :]
            taken = set(self._book.add(batch.token, part))
            batch.calls += len(taken)
            batch.bytes += sum(len(body) + FRAME for _, body in part)
            # Another process was faster.
            self._stuck |= {key for key, _ in part if key not in taken}
            if bodies:
                self._complete_batch()

    def _open_batch(self) -> Collecting:
        """The batch that is being collected; another one if the endpoint has come to refuse a field meanwhile."""
        if self._collecting is not None and self._collecting.refused != self._endpoint.refused:
            self._complete_batch()
        if self._collecting is None:
            endpoint, token = self._endpoint, uuid.uuid4().hex
            self._claims.claim(token.encode())
            self._claimed.add(token)
            self._book.begin(
                Batch(
                    token=token,
                    identity=endpoint.identity,
                    model=endpoint.name,
                    how=self._model.how,
                    run=self._model.account.run,
                    state=COLLECTING,
                    refused=" ".join(sorted(endpoint.refused)),
                )
            )
            self._collecting = Collecting(token, endpoint.refused)
        return self._collecting

    def _complete_batch(self) -> None:
        """Submit what is collected."""
        assert self._collecting is not None
        batch, self._collecting = self._collecting, None
        if batch.calls:
            self._to_submit[batch.token] = Due()
        else:
            self._book.drop(batch.token)
            self._release(batch.token)

    # -- batches begin

    def _submit(self, token: str) -> None:
        """Upload the calls and begin the batch. That it may begin is written down before."""
        batch = self._book.batch(token)
        assert batch is not None
        sending = False
        try:
            place = batch.place or self._api.upload(token, self._lines(token))
            self._book.change(token, place=place, state=SUBMITTING)
            sending = True
            seen = self._api.submit(batch, place, lambda: self._lines(token))
        except BatchFault as fault:
            self._count(fault)
            if sending and fault.unclear:
                self._book.change(token, doubted=time.time())
                del self._to_submit[token]
                self._doubtful[token] = Due()
            else:
                self._book.change(token, state=COLLECTING)
                self._postpone(self._to_submit[token], fault)
        else:
            del self._to_submit[token]
            self._begun(token, seen)

    def _lines(self, token: str) -> Iterator[bytes]:
        return (self._api.line(key, body) for key, body in self._book.bodies(token))

    def _begun(self, token: str, seen: Seen) -> None:
        """Write down a batch that runs, and wait for it."""
        self._book.change(token, state=RUNNING, batch_id=seen.batch_id, word=seen.word, doubted=0.0)
        self._release(token)
        watch = self._running.setdefault(token, Watch())
        watch.keys |= self._book.keys(token) & self._asked.keys()
        watch.at = time.time() + LEAST_POLL_SECONDS
        self._stuck -= watch.keys

    def _look_for(self, token: str) -> None:
        """Find out whether a batch was submitted. If not, it is submitted if it is ours, and forgotten if not."""
        batch, when, looked = self._book.batch(token), self._doubtful[token], time.time()
        assert batch is not None
        keys = self._book.keys(token)
        known = {other.batch_id for other in self._book.batches() if other.batch_id}
        try:
            seen = self._api.find(batch, keys, known)
        except Undecided:
            when.at = looked + SETTLE_SECONDS
            return
        except BatchFault as fault:
            self._count(fault)
            self._postpone(when, fault)
            return
        if seen is None and looked - batch.doubted < SETTLE_SECONDS:
            when.at = batch.doubted + SETTLE_SECONDS
            return
        del self._doubtful[token]
        if seen is not None:
            self._begun(token, seen)
        else:
            self._give_up(token)

    def _give_up(self, token: str) -> None:
        """Forget a batch that was never submitted; its calls that are asked for are collected anew."""
        keys = self._book.keys(token) & self._asked.keys()
        self._book.drop(token)
        self._release(token)
        self._stuck -= keys
        self._place(list(keys))

    def _unstick(self) -> None:
        """Look again at calls in batches that another process is about to submit, if it is still there."""
        keys, self._stuck = list(self._stuck), set()
        waiting = {place.token for place in self._book.places(keys).values() if place.state in (COLLECTING, SUBMITTING)}
        for token in waiting - self._claimed:
            if not self._claims.claim(token.encode()):
                continue
            self._claimed.add(token)
            batch = self._book.batch(token)
            if batch is not None and batch.state == COLLECTING:
                self._book.drop(token)
            if batch is None or batch.state != SUBMITTING:
                self._release(token)
                continue
            if not batch.doubted:
                self._book.change(token, doubted=time.time())
            self._doubtful[token] = Due()
        self._place(keys)

    def _release(self, token: str) -> None:
        self._claimed.discard(token)
        self._claims.release([token.encode()])

    # -- batches end

    def _look_at(self, token: str) -> None:
        """Ask how a batch is, and fetch its results once it has ended."""
        batch, watch = self._book.batch(token), self._running[token]
        if batch is None or batch.state != RUNNING:
            self._settle(token)
            return
        try:
            seen = self._api.look(batch.batch_id)
            watch.name, watch.done, watch.calls = seen.batch_id, seen.done + seen.failed, batch.calls
            if (seen.word, seen.done, seen.failed) != (batch.word, batch.done, batch.failed):
                self._book.change(token, word=seen.word, done=seen.done, failed=seen.failed)
            if seen.rejected:
                self._rejected(batch, seen)
            elif not seen.ended:
                age, watch.faults = time.time() - batch.created, 0
                watch.at = time.time() + min(max(age / POLLS_OF_AGE, LEAST_POLL_SECONDS), MOST_POLL_SECONDS)
            elif fetch(self._book, self._api, batch, seen, last=watch.fetches + 1 >= MOST_FETCHES):
                self._settle(token)
            else:
                watch.fetches += 1
                watch.at = time.time() + LEAST_POLL_SECONDS * 2**watch.fetches
        except BatchFault as fault:
            self._count(fault)
            watch.fetches += fault.status is None
            self._postpone(watch, fault)

    def _rejected(self, batch: Batch, seen: Seen) -> None:
        """A batch that the vendor did not begin: too much waits there already, or it will have none of it."""
        if not self._claims.claim(batch.token.encode()):
            self._running[batch.token].at = time.time() + STUCK_SECONDS
            return
        self._claimed.add(batch.token)
        self._endpoint.retries["batch rejected"] += 1
        watch = self._running.pop(batch.token)
        if "limit" not in seen.rejected:
            self._book.drop(batch.token)
            raise ModelError(
                f"Could not ask {self._endpoint.name} in batches: {self._endpoint.address} rejected the batch "
                f"{seen.batch_id} ({seen.rejected}). Nothing of it was begun. Start the same command with "
                "--batch-api off to ask one by one."
            )
        self._book.change(batch.token, state=COLLECTING, batch_id="", created=time.time())
        self._to_submit[batch.token] = Due(time.time() + MOST_POLL_SECONDS, watch.faults)

    def _settle(self, token: str) -> None:
        """Take what a batch said of our calls."""
        self._place([key for key in self._running.pop(token).keys if key in self._asked])

    def _answer(self, key: bytes, place: Place) -> None:
        """Read a reply as one that came by itself is read."""
        assert place.reply is not None
        request = self._asked[key].request
        try:
            completion = self._endpoint.read(place.reply, request, place.refused.split())
        except NoAnswer as error:
            self._unusable(key, "malformed", error.usage or most_tokens(request))
            return
        if request.sampling.top_logprobs and not completion.top_logprobs and completion.text:
            self._unusable(key, "no_logprobs", completion.usage)
            return
        self._endpoint.answered += 1
        cached = min(cached_tokens(place.reply), completion.usage.prompt_tokens)
        usage = msgspec.structs.replace(completion.usage, cached_tokens=cached)
        self._yield(key, msgspec.structs.replace(completion, batched=True, usage=usage))

    def _yield(self, key: bytes, completion: Completion) -> None:
        asked = self._asked.pop(key)
        if asked.discarded != Usage():
            completion = msgspec.structs.replace(completion, discarded=asked.discarded + completion.discarded)
        self._out.put((asked.index, completion))

    def _unusable(self, key: bytes, cause: str, paid: Usage) -> None:
        """Send a request by itself whose reply cannot be used."""
        self._endpoint.retries[f"batch {cause}"] += 1
        self._asked[key].discarded += paid
        self._model.on_discarded(paid)
        self._send_live(key)

    def _send_again(self) -> None:
        """Send what batches left unanswered in another batch if it is much, and one by one if not."""
        again, self._again = self._again, []
        few = len(again) < FEWEST_AGAIN
        collected = []
        for key, place in again:
            trouble = place.trouble or "missing"
            self._endpoint.retries[f"batch {trouble}"] += 1
            if few or place.tries >= MOST_BATCHES or REFUSED.fullmatch(trouble):
                self._send_live(key)
            else:
                collected.append(key)
        self._collect(collected)

    # -- single calls

    def _send_live(self, key: bytes) -> None:
        """Send a request by itself, at the price of such; the books know of it before."""
        request = self._asked[key].request
        whole = self._price.at_most(request)
        if not self._set_aside(key):
            for dropped in (key, *self._held):
                del self._asked[dropped]
            self._held = []
            self._end = BudgetExceeded(
                f"A batch left requests unanswered, and sending one by itself may cost ${whole:.4f}, more than the "
                "budget has left. Everything finished is kept: start the same command with a larger --budget to go on."
            )
            return
        self._book.forget(key)
        self._claims.charge(key, self._model.account.run, whole)
        self._live.send(key, request)

    def _set_aside(self, key: bytes) -> bool:
        """Set aside what a single call costs beyond the price for batches, if the budget has so much left."""
        request = self._asked[key].request
        if key not in self._extra:
            whole = self._price.at_most(request)
            extra = whole - self._price.at_most(request, batched=True) if self._model.begins else 0.0
            if not self._model.budget.reserve(extra, given_up=lambda: True):
                return False
            self._extra[key] = extra
        return True

    def _take_live_replies(self) -> None:
        while True:
            try:
                item = self._received.get_nowait()
            except Empty:
                return
            if isinstance(item, BaseException):
                raise item
            key, completion = item
            self._model.budget.settle(self._extra.pop(key), 0.0)
            self._yield(key, completion)
            if self._held:
                # While these waited, so did whoever makes requests.
                self._arrived = time.time()
                held, self._held = self._held, []
                self._collect(held)

    # -- faults

    def _count(self, fault: BatchFault) -> None:
        self._endpoint.retries[f"batch {fault.status or 'broken off'}"] += 1

    def _postpone(self, when: Due, fault: BatchFault) -> None:
        """Try again later. Raises :class:`ModelError` if that has no prospect."""
        when.again(fault)
        queued = fault.status == 429 and bool(self._running)
        if fault.passing and (when.faults < HOPELESS_FAULTS or queued):
            return
        advice = "Start the same command again to go on: what was submitted goes on meanwhile, and is not sent twice."
        if fault.status in (401, 403):
            advice = f"Check {self._endpoint.key_source}."
        elif not fault.passing:
            advice = "Start the same command with --batch-api off to ask one by one, if it serves no batches."
        raise ModelError(
            f"Could not ask {self._endpoint.name} in batches at {self._endpoint.address}: {fault}. {advice}"
        )
