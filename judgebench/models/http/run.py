"""One ``complete`` of an HTTP model: worker coroutines, their attempts, and what follows from each failure.

It decides between "this attempt failed" (try again), "this request failed" (a completion with ``error``) and "no
request can be answered" (:class:`ModelError`). How bodies are written and read is the wires' business.
"""

import asyncio
import random
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Mapping
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

import msgspec

from judgebench.errors import ModelError
from judgebench.models.feed import Feed
from judgebench.models.http.client import NoReply, Reply, Sender
from judgebench.models.http.endpoint import UNREACHABLE_WAITS, Endpoint
from judgebench.models.http.pacing import ASSUMED_REPLY_TOKENS, retry_after, wait_in_body
from judgebench.models.http.routes import DENIED_SECONDS, Route
from judgebench.models.http.wire import REFUSES, NoAnswer
from judgebench.models.pricing import most_tokens
from judgebench.records import Completion, Request, Usage
from judgebench.thinking import split_completion

LONGEST_WAIT_SECONDS = 120.0
"""A longer Retry-After is cut to this."""
LONGEST_BACKOFF_SECONDS = 32.0
PREFETCH = 8
"""Requests pulled before a worker is free for them: few, since a budget counts each of them as in flight."""
GATHER_SECONDS = 0.003
"""How long replies are gathered before another thread is woken for them, if more are under way."""
REFUSED_REQUESTS = 20
"""If so many requests were refused for their content, none answered and none is in flight, all will be refused."""
DENIED_ATTEMPTS = 3
"""The same number for attempts denied because of key, account or model, before any request was answered."""
HOPELESS_REQUESTS = 20
"""If so many requests in a row were given up, and none was answered meanwhile, the endpoint is gone. Fewer may be the
last few that it cannot answer. After as many denied attempts in a row, the endpoint has shut us out."""
LONGEST_ERROR = 100_000
"""Bytes of an error's body that are searched for a reason or a waiting time."""
OVERLOAD = frozenset({"429", "503", "529"})
LOST = frozenset({"connection", "timeout"})
"""Causes that say that a server may be gone."""
QUOTA = re.compile(r"insufficient_quota|credit balance is too low|exceeded your current quota.{0,40}billing", re.I)
"""How endpoints say, with status 400 or 429, that an account is empty."""
OWN_FAULT = re.compile(
    r"context.{0,8}length|too long|too many tokens|maximum.{0,12}(tokens|context)|content.{0,3}(filter|polic)"
    r"|content exists risk|inappropriate|flagged|moderation|usage polic|unsafe|sensitive|violat|harmful|prohibited"
    r"|error in the prompt",
    re.I,
)
"""A refusal that concerns this request alone."""


class _Retry(Exception):
    """One attempt failed, but another may succeed."""

    def __init__(self, cause: str, detail: str, wait: float | None = None, paid: Usage | None = None) -> None:
        """``paid``: tokens of a reply that came, or may have been generated, but cannot be used."""
        self.cause, self.detail, self.wait, self.paid = cause, detail, wait, paid
        self.elsewhere = False
        """Whether another server may answer at once."""
        super().__init__(detail)


class _Denied(_Retry):
    """One attempt failed for a reason that usually concerns all requests: the key, the account, the model's name.

    Proxies and load balancers answer like this at times, so it takes several such attempts to end the run.
    """

    def __init__(self, cause: str, detail: str, message: str) -> None:
        self.error = ModelError(message)
        super().__init__(cause, detail)


class _Refused(Exception):
    """The endpoint will never answer this request."""

    def __init__(self, status: int, said: str) -> None:
        self.status, self.said = status, said
        super().__init__(said)


class EventLoop:
    """The event loop of one model, in a thread of its own, with the connections that all its runs share."""

    def __init__(self, sender: Sender) -> None:
        """``sender`` is opened on the loop, and closed with it."""
        self.sender = sender
        self.runs: set[RequestStream] = set()
        """Those that go on. Only the loop changes it."""
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="judgebench-http", daemon=True)
        self._thread.start()
        self._ready.wait()

    def start(self, work: Coroutine[Any, Any, None]) -> "Future[None]":
        """Run a coroutine on the loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def resize(self, endpoint: Endpoint) -> None:
        """Let as many requests be in flight as the endpoint's concurrency says now. Any thread may call this."""

        def resize() -> None:
            endpoint.gate.resize(endpoint.concurrency)
            for run in list(self.runs):
                run.grow()
            endpoint.gate.serve()

        self.loop.call_soon_threadsafe(resize)

    def stop(self, *, wait: bool) -> None:
        """Cancel all runs and end the thread."""
        self.loop.call_soon_threadsafe(self._stopping.set)
        if wait:
            self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        async with self.sender:
            self._ready.set()
            await self._stopping.wait()
            runs = asyncio.all_tasks() - {asyncio.current_task()}
            for run in runs:
                run.cancel()
            await asyncio.gather(*runs, return_exceptions=True)


class Replies(Iterator[tuple[int, Completion]]):
    """The replies of one run. Not a generator: :meth:`close` must work while another thread waits for a reply."""

    def __init__(self, run: "RequestStream") -> None:
        self._run = run
        self._ended = False
        self._here: Iterator[tuple[int, Completion]] = iter(())
        """Those that came together and were not yet given."""

    def __next__(self) -> tuple[int, Completion]:
        while (reply := next(self._here, None)) is None:
            if self._ended:
                raise StopIteration
            item = self._run.out.get()
            if isinstance(item, list):
                self._here = iter(item)
                continue
            self._ended = True
            if item is not None:
                raise item
        return reply

    def close(self) -> None:
        """Pull no more requests, and abandon the calls in flight."""
        self._run.cancel()

    def __del__(self) -> None:
        self.close()


class RequestStream:
    """One ``complete``: worker coroutines that take requests from the feed and put completions into ``out``."""

    def __init__(self, endpoint: Endpoint, engine: EventLoop, requests: Iterable[Request]) -> None:
        self.out: SimpleQueue[list[tuple[int, Completion]] | BaseException | None] = SimpleQueue()
        self._replies: list[tuple[int, Completion]] = []
        """Those that go into ``out`` next."""
        self._endpoint = endpoint
        self._engine = engine
        self._sender = engine.sender
        self._loop = engine.loop
        self._random = random.Random()
        self._idle: deque[asyncio.Future[tuple[int, Request] | None]] = deque()
        self._waking = False
        self._refused = ""
        self._under_way = 0
        """Requests that were taken and are not yet answered or given up."""
        self._sending = 0
        """Attempts whose reply has not come yet."""
        self._finished = asyncio.Event()
        """Set when a request is finished. Whoever waits for it replaces it first."""
        self._probing = False
        self._probed = asyncio.Event()
        self._workers: set[asyncio.Task[None]] = set()
        self._grown = asyncio.Event()
        self._feed = Feed(requests, ahead=self._room, on_ready=self._ready)
        self._future = engine.start(self._main())
        # Nobody must wait for ever, even if the coroutine is cancelled before its first step.
        out = self.out
        self._future.add_done_callback(lambda _: out.put(None))

    def cancel(self) -> None:
        """End soon; any thread may call this. Finished replies stay in ``out``."""
        self._feed.close()
        self._future.cancel()

    def grow(self) -> None:
        """Start the workers that the endpoint's concurrency asks for. Too many do no harm: the gate lets in no more."""
        missing = self._endpoint.concurrency - len(self._workers)
        if missing > 0 and not self._over():
            self._workers |= {self._loop.create_task(self._work()) for _ in range(missing)}
            self._grown.set()

    async def _main(self) -> None:
        end: BaseException | None = None
        self._engine.runs.add(self)
        try:
            await self._sender.ready()
            self.grow()
            await self._all_work()
            end = self._feed.error
            if end is None and self._refused and not self._endpoint.answered:
                end = self._all_refused()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - carried to the thread that iterates
            end = error
        finally:
            self._engine.runs.discard(self)
            self._feed.close()
            for worker in self._workers:
                worker.cancel()
            await asyncio.gather(*self._workers, return_exceptions=True)
            self._hand_over()
            self.out.put(end)

    async def _all_work(self) -> None:
        """Wait until all workers have ended, those of later as well. Raises the first error of one."""
        ended: set[asyncio.Task[Any]] = set()
        while going := self._workers - ended:
            self._grown.clear()
            grown = asyncio.create_task(self._grown.wait())
            try:
                done, _ = await asyncio.wait({*going, grown}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                grown.cancel()
            ended |= done
            for task in done:
                task.result()

    def _room(self) -> int:
        """How many requests may be pulled ahead: one for each idle worker, so that they come together, and a few."""
        return min(PREFETCH, self._endpoint.concurrency) + len(self._idle)

    def _ready(self) -> None:
        """Wake the loop, if a worker is idle and no other call is about to wake it. The feeding thread calls this."""
        if not self._idle or self._waking:
            return
        self._waking = True
        try:
            self._loop.call_soon_threadsafe(self._hand_out)
        except RuntimeError:
            # The loop is closed: the run was abandoned while the iterable was still working.
            self._feed.close()

    def _hand_out(self) -> None:
        """Give the ready requests to the idle workers, and end the workers once no more will come."""
        self._waking = False
        # Until the feed is empty: it announces only the first new item after that.
        while self._idle and (taken := self._feed.arrivals(len(self._idle), idle=False)):
            for item in taken:
                _resolve(self._idle.popleft(), item)
        if self._idle and self._over():
            while self._idle:
                _resolve(self._idle.popleft(), None)

    def _over(self) -> bool:
        """Whether no more requests will come. The iterable's exception is raised after the calls in flight."""
        return self._feed.ended or self._feed.error is not None

    async def _next(self) -> tuple[int, Request] | None:
        turn: asyncio.Future[tuple[int, Request] | None] = self._loop.create_future()
        self._idle.append(turn)
        # Some may be there: the feed announces only those that come after it was empty.
        self._hand_out()
        return await turn

    async def _work(self) -> None:
        while (item := await self._next()) is not None:
            index, request = item
            self._under_way += 1
            completion = await self._answer(request)
            self._under_way -= 1
            self._replied(index, completion)
            self._finished.set()
            while self._all_seem_refused():
                if not self._under_way:
                    raise self._all_refused()
                self._finished = asyncio.Event()
                await self._finished.wait()

    def _replied(self, index: int, completion: Completion) -> None:
        """Hand a reply over with those that come in the next moment, or at once if no other can come."""
        self._replies.append((index, completion))
        if not self._under_way:
            self._hand_over()
        elif len(self._replies) == 1:
            self._loop.call_later(GATHER_SECONDS, self._hand_over)

    def _hand_over(self) -> None:
        if self._replies:
            self.out.put(self._replies)
            self._replies = []

    def _all_seem_refused(self) -> bool:
        """Whether so many requests were refused, and none answered, that the calls in flight must come back first."""
        endpoint = self._endpoint
        # A setting that is not supported hardly depends on the prompt.
        least = DENIED_ATTEMPTS if REFUSES.search(self._refused) else REFUSED_REQUESTS
        return endpoint.refused_at_first >= least and not (endpoint.answered or endpoint.answered_before)

    async def _answer(self, request: Request) -> Completion:
        """The reply or, after all retries, a completion that says why there is none."""
        endpoint = self._endpoint
        asked_logprobs = request.sampling.top_logprobs > 0
        lacking = attempt = tries = 0
        discarded = Usage()
        answered = endpoint.answered
        if asked_logprobs and not endpoint.gives_logprobs:
            await self._probe()
        while True:
            attempt, tries = attempt + 1, tries + 1
            try:
                completion = await self._attempt(request)
                if asked_logprobs and (why := self._without_logprobs(completion)):
                    lacking += 1
                    raise self._lacks_logprobs(lacking, why, completion.usage)
            except _Retry as again:
                trouble = again
            except _Refused as refused:
                self._probed.set()
                return _with(self._refusal(refused, asked_logprobs), discarded)
            else:
                self._probed.set()
                self._succeeded(completion)
                return _with(completion, discarded)
            if trouble.paid is not None:
                discarded += trouble.paid
                endpoint.on_discarded(trouble.paid)
            if trouble.cause != "no_logprobs":
                self._probed.set()
            if isinstance(trouble, _Denied):
                self._denied(trouble)
            if trouble.cause in OVERLOAD and endpoint.answered > answered:
                # It answers others, so this request will get its turn if it waits long enough.
                answered, tries = endpoint.answered, 0
            if tries >= endpoint.max_attempts or (not endpoint.reached and attempt > len(UNREACHABLE_WAITS)):
                break
            endpoint.retries[trouble.cause] += 1
            await asyncio.sleep(self._wait(trouble, attempt))
        return _with(self._given_up(trouble, attempt, others_answered=endpoint.answered > answered), discarded)

    async def _probe(self) -> None:
        """Send the first request that wants logprobs alone, so that an endpoint that gives none is found before a whole
        concurrency's worth of requests is paid for. Whatever else the first reply is, the others follow.
        """
        if self._probing:
            await self._probed.wait()
        self._probing = True

    async def _attempt(self, request: Request) -> Completion:
        """The reply. For each setting that the endpoint turns out to refuse, the request is sent again at once."""
        endpoint = self._endpoint
        while True:
            refused, body = endpoint.refused, endpoint.body(request)
            (status, headers, data), sent_at, route = await self._send(body, request)
            now = time.monotonic()
            route.heard(headers, sent_at, now, time.time())
            if 200 <= status < 300:
                completion = self._read(data, request, refused)
                route.answered(sent_at, now)
                return completion
            said = endpoint.error_message(data)
            field = endpoint.drop_rejected_field(body, said, request) if status in (400, 422) else None
            if field is None:
                trouble = self._trouble(status, headers, data, route)
                self._note(trouble, status, route, sent_at, now)
                raise trouble
            endpoint.retries[f"refused {field}"] += 1

    def _note(self, trouble: Exception, status: int, route: Route, sent_at: float, now: float) -> None:
        """Tell the route of an error status, and the attempt's error whether another route may do better at once."""
        if not isinstance(trouble, _Retry):
            return
        several = len(self._endpoint.gate.routes) > 1
        if trouble.cause in OVERLOAD:
            route.refused(trouble.wait, sent_at, now, hold=several)
        elif isinstance(trouble, _Denied) and several:
            route.leave_out(trouble.detail, DENIED_SECONDS, sent_at, now)
        elif several and status >= 500:
            route.failed(trouble.detail, sent_at, now, surely=False)
        trouble.elsewhere = self._endpoint.gate.elsewhere(route, now)

    async def _send(self, body: bytes, request: Request) -> tuple[Reply, float, Route]:
        """The response, when the request was sent (by the monotonic clock), and where."""
        endpoint = self._endpoint
        if endpoint.paced:
            await self._pace(body, request)
        route, place = await endpoint.gate.enter(self, endpoint.size_of(body, request), time.monotonic())
        sent_at = time.monotonic()
        self._sending += 1
        endpoint.sending += 1
        try:
            reply = await self._post(route, body, request)
        except _Retry as trouble:
            now = time.monotonic()
            if len(endpoint.gate.routes) > 1 and trouble.cause in LOST:
                route.failed(trouble.detail, sent_at, now, surely=True)
            trouble.elsewhere = endpoint.gate.elsewhere(route, now)
            raise
        finally:
            self._sending -= 1
            endpoint.sending -= 1
            endpoint.gate.leave(route, place)
        return reply, sent_at, route

    async def _post(self, route: Route, body: bytes, request: Request) -> Reply:
        endpoint = self._endpoint
        try:
            reply = await self._sender.post(route.target, endpoint.wire_for(request).path, body)
        except NoReply as failure:
            endpoint.reached |= failure.reached
            paid = most_tokens(request) if failure.begun else None
            raise _Retry(failure.cause, endpoint.redacted(failure.detail), paid=paid) from failure
        endpoint.reached = True
        return reply

    async def _pace(self, body: bytes, request: Request) -> None:
        now = time.monotonic()
        tokens = len(body) / 4 + (request.sampling.max_tokens or ASSUMED_REPLY_TOKENS)
        await asyncio.sleep(
            max(self._endpoint.requests_pace.wait_for(1, now), self._endpoint.tokens_pace.wait_for(tokens, now))
        )

    def _read(self, data: bytes, request: Request, refused: Collection[str]) -> Completion:
        try:
            return self._endpoint.read(data, request, refused)
        except NoAnswer as error:
            paid = error.usage or most_tokens(request)
            why = self._endpoint.redacted(str(error))
            raise _Retry(error.cause, f"a reply that is no answer: {why}", paid=paid) from error

    def _trouble(self, status: int, headers: Mapping[str, str], data: bytes, route: Route) -> Exception:
        """The exception for a status that is not a success."""
        endpoint = self._endpoint
        said = endpoint.error_message(data)
        told = f"HTTP {status}: {said}"
        called = f"Could not call {endpoint.name} at {route.address}"
        if status == 402 or (status in (400, 403, 429) and QUOTA.search(data[:LONGEST_ERROR].decode(errors="replace"))):
            return _Denied(
                "no quota",
                told,
                f"{called}: the account has no quota left ({told}). Add credit or use another key, then start the same "
                "command again: what is finished is kept.",
            )
        if status in {408, 409, 425, 429} or status >= 500:
            wait = retry_after(headers, time.time())
            return _Retry(str(status), told, wait_in_body(data[:LONGEST_ERROR]) if wait is None else wait)
        if status == 401 or (status == 403 and not OWN_FAULT.search(said) and "logprob" not in said.lower()):
            return _Denied(
                str(status),
                told,
                f"{called}: the endpoint refused {route.key_source} ({told}). Check that the key is valid, belongs "
                "to this endpoint and may use the model.",
            )
        if status in {404, 405, 410} or status < 400:
            return _Denied(
                str(status),
                told,
                f"{called}: the endpoint answered {told}. Check the model's name ({endpoint.served_model}), and that "
                f"the address ends where /{endpoint.wire.path} follows.",
            )
        return _Refused(status, said)

    def _denied(self, trouble: _Denied) -> None:
        """Count a denied attempt, and raise its error once it is certain to concern all requests."""
        endpoint = self._endpoint
        endpoint.denied_in_a_row += 1
        least = HOPELESS_REQUESTS if endpoint.answered else DENIED_ATTEMPTS
        if endpoint.denied_in_a_row >= least and not self._sending:
            raise trouble.error

    def _refusal(self, refused: "_Refused", asked_logprobs: bool) -> Completion:
        """The completion of a request refused for its content. Before any answer, this may concern all requests."""
        endpoint = self._endpoint
        error = f"{endpoint.address} refused the request (HTTP {refused.status}: {refused.said})"
        if endpoint.answered or endpoint.answered_before or OWN_FAULT.search(refused.said):
            return Completion(error=error)
        if asked_logprobs and "logprob" in refused.said.lower():
            raise endpoint.no_logprobs(f"refuses to give them (HTTP {refused.status}: {refused.said})")
        endpoint.refused_at_first += 1
        self._refused = error
        return Completion(error=error)

    def _all_refused(self) -> ModelError:
        return ModelError(
            f"Could not call {self._endpoint.name}: {self._refused}, and it answered no request before. "
            "Change the sampling settings or model arguments that it names, or use another endpoint."
        )

    def _without_logprobs(self, completion: Completion) -> str:
        """Why the reply's first token tells nothing; empty if it does, or if there is no reply."""
        if not self._endpoint.gives_logprobs and split_completion(completion).unclosed:
            return "spends the reply on thinking, which comes before the label"
        if completion.top_logprobs or completion.finish_reason == "content_filter":
            return ""
        return "gave none" if completion.text or completion.finish_reason == "length" else ""

    def _lacks_logprobs(self, times: int, why: str, paid: Usage) -> Exception:
        """The exception for a reply without logprobs.

        If one request lacks them twice, and no reply ever had them, the endpoint gives none.
        """
        endpoint = self._endpoint
        if times > 1 and not endpoint.gives_logprobs:
            return endpoint.no_logprobs(f"{why}, twice")
        first, endpoint.logprobs_doubted = not endpoint.logprobs_doubted, True
        detail = "a reply without the requested logprobs"
        return _Retry("no_logprobs", detail, 0.0 if first else None, paid)

    def _succeeded(self, completion: Completion) -> None:
        endpoint = self._endpoint
        endpoint.answered += 1
        endpoint.note_length(completion)
        endpoint.given_up_in_a_row = endpoint.denied_in_a_row = 0
        if completion.top_logprobs:
            endpoint.gives_logprobs = True

    def _wait(self, trouble: _Retry, attempt: int) -> float:
        """Seconds before the next attempt: as the endpoint asks, or longer each time; never the same for all.

        None if another server may answer: the gate knows when.
        """
        if trouble.elsewhere:
            return 0.0
        if trouble.wait is not None:
            return min(trouble.wait, LONGEST_WAIT_SECONDS) * self._random.uniform(1.0, 1.1)
        if not self._endpoint.reached:
            return UNREACHABLE_WAITS[min(attempt, len(UNREACHABLE_WAITS)) - 1]
        longest: float = min(LONGEST_BACKOFF_SECONDS, self._endpoint.backoff_seconds * 2.0 ** min(attempt - 1, 30))
        # Wait out an overload in full: the default of eight attempts spans more than the minute of most limits.
        least, most = (1.0, 1.1) if trouble.cause in OVERLOAD else (0.5, 1.0)
        return longest * self._random.uniform(least, most)

    def _given_up(self, trouble: _Retry, attempts: int, *, others_answered: bool) -> Completion:
        """A completion with an error. Raises :class:`ModelError` if the endpoint seems gone.

        If others were answered while this request was retried, only this request is in trouble.
        """
        endpoint = self._endpoint
        if not endpoint.reached:
            raise endpoint.unreachable(trouble.detail, attempts)
        endpoint.given_up_in_a_row += not others_answered
        if endpoint.given_up_in_a_row >= HOPELESS_REQUESTS:
            raise ModelError(
                f"Stopped calling {endpoint.name} at {endpoint.address}: {endpoint.given_up_in_a_row} requests in a "
                f"row got no usable reply in {attempts} attempts each (the last: {trouble.detail}). Check the "
                "endpoint, then start the same command again: what is finished is kept."
            )
        return Completion(
            error=f"{endpoint.address} gave no usable reply in {attempts} attempts (the last: {trouble.detail})"
        )


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, which takes a sixth less CPU for each call; ``None``, asyncio's own, where there is no uvloop."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _with(completion: Completion, discarded: Usage) -> Completion:
    """The completion, with the cost of the unusable replies before it."""
    return msgspec.structs.replace(completion, discarded=discarded) if discarded != Usage() else completion


def _resolve(turn: "asyncio.Future[Any]", value: object) -> None:
    if not turn.done():
        turn.set_result(value)
