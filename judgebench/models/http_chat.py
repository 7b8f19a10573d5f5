"""Any OpenAI-compatible chat-completions endpoint, over one small aiohttp path.

The SDK costs about ten times the CPU per call, so requests are encoded and replies decoded here. Retries, their causes
and their waits, the concurrency that adapts to the endpoint, and the difference between "this request failed" (a
completion with ``error``) and "no request can be answered" (:class:`ModelError`) are decided here too. The call store,
prices and budgets are wrappers' business.
"""

import asyncio
import base64
import math
import os
import random
import re
import threading
import time
import urllib.request
from collections import Counter, deque
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from concurrent.futures import Future
from email.utils import parsedate_to_datetime
from queue import SimpleQueue
from typing import Any

import aiohttp
import msgspec
from msgspec import Struct
from yarl import URL

from judgebench.errors import ModelError, UsageError
from judgebench.models.feed import Feed
from judgebench.records import Completion, Request, TokenLogprob, Usage

OPENAI_BASE_URL = "https://api.openai.com/v1"
LONGEST_WAIT_SECONDS = 120.0
"""A longer Retry-After is cut to this."""
LONGEST_BACKOFF_SECONDS = 32.0
ASSUMED_REPLY_TOKENS = 512
"""What a reply counts towards tokens per minute where the request sets no limit."""
CONNECT_SECONDS = 10.0
UNREACHABLE_WAITS = (0.3, 1.0)
"""Waits between the tries of an endpoint that never answered: a closed port is reported within a few seconds."""
HOPELESS_REQUESTS = 3
"""So many requests given up before any was answered mean that none will be."""
HOPELESS_REQUESTS_LATER = 10
"""So many given up in a row after some were answered mean that the endpoint is gone."""
OVERLOAD = frozenset({429, 503, 529})
TOO_LONG = re.compile(
    r"context.{0,8}length|too long|too many tokens|maximum.{0,12}(tokens|context)|content.{0,3}(filter|polic)", re.I
)
"""A refusal that concerns the request, whatever the others'."""
KEY_LIKE = re.compile(r"\b(sk|pk|gsk|xai)[-_][\w*.-]{6,}")


class _Alternative(Struct):
    token: str
    logprob: float


class _Position(Struct):
    token: str
    logprob: float
    top_logprobs: list[_Alternative] = []

    def alternatives(self) -> tuple[TokenLogprob, ...]:
        if not self.top_logprobs:
            return ((self.token, self.logprob),)
        return tuple([(alternative.token, alternative.logprob) for alternative in self.top_logprobs])


class _Logprobs(Struct):
    content: list[_Position] | None = None


class _ReplyMessage(Struct):
    content: str | None = None
    refusal: str | None = None


class _Choice(Struct):
    message: _ReplyMessage
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Tokens(Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Reply(Struct):
    choices: list[_Choice]
    usage: _Tokens | None = None
    model: str | None = None


_decoder = msgspec.json.Decoder(_Reply)
_encoder = msgspec.json.Encoder()


class _Again(Exception):
    """One attempt failed in a way that another may not."""

    def __init__(self, cause: str, detail: str, wait: float | None = None) -> None:
        self.cause, self.detail, self.wait = cause, detail, wait
        super().__init__(detail)


class _Refused(Exception):
    """The endpoint will not answer this request, however often it is asked."""

    def __init__(self, status: int, said: str) -> None:
        self.status, self.said = status, said
        super().__init__(said)


class ConcurrencyLimit:
    """How many requests may be in flight: up under the cap while all goes well, down when the endpoint is overloaded.

    Additive increase, multiplicative decrease, as TCP does it. Signals from requests that were sent before the last
    decrease say nothing about the lower limit and are ignored, so one burst of refusals counts once. Lives on one
    event loop.
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
        """Wait for room, first come first served, and take it."""
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
        """Give the room back."""
        self.in_flight -= 1
        while self._waiting and self.in_flight < int(self.limit):
            turn = self._waiting.popleft()
            if not turn.done():
                self.in_flight += 1
                turn.set_result(None)

    def succeeded(self) -> None:
        """One more success; a whole limit's worth of them raises the limit by one step."""
        if self.limit < self.cap:
            self.limit = min(float(self.cap), self.limit + self._increase / self.limit)

    def overloaded(self, sent_at: float, now: float) -> None:
        """The endpoint refused a request, sent at ``sent_at``, for want of capacity."""
        if sent_at >= self._decreased_at:
            self.limit = max(1.0, self.limit * self.DECREASE)
            self._decreased_at = now


class Pace:
    """Spaces requests (or their tokens) evenly so that no minute holds more than the limit."""

    def __init__(self, per_minute: float | None) -> None:
        self._seconds_each = 60.0 / per_minute if per_minute else 0.0
        self._free_at = 0.0

    def wait_for(self, units: float, now: float) -> float:
        """Seconds to wait before sending; the units are booked."""
        if not self._seconds_each:
            return 0.0
        start = max(now, self._free_at)
        self._free_at = start + units * self._seconds_each
        return start - now


class HttpChat:
    """A model behind ``{base_url}/chat/completions``.

    The event loop runs in a thread of its own from the first ``complete`` to :meth:`close`, so that all calls of
    ``complete`` share one connection pool and one concurrency limit.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        served_model: str,
        api_key: str | None = None,
        *,
        concurrency: int = 64,
        rpm: float | None = None,
        tpm: float | None = None,
        timeout_seconds: float = 600.0,
        max_attempts: int = 8,
        backoff_seconds: float = 0.5,
        max_tokens_field: str = "max_tokens",
        extra_body: Mapping[str, Any] | None = None,
        key_source: str = "the API key",
    ) -> None:
        """``rpm`` and ``tpm`` limit requests and tokens per minute. ``extra_body`` is added to each request's body and
        to the identity; ``max_tokens_field`` is for endpoints that want ``max_completion_tokens``. ``key_source`` is
        where the key came from, for messages. Credentials in ``base_url`` are sent, and shown nowhere.
        """
        url = _parsed(base_url)
        authorization = _authorization(api_key, url, key_source)
        self.concurrency = _positive("concurrency", concurrency)
        self.max_attempts = _positive("max_attempts", max_attempts)
        self.timeout_seconds = timeout_seconds
        self.backoff_seconds = backoff_seconds
        self.endpoint = str(url.with_user(None).with_query(None).with_fragment(None)).rstrip("/")
        """The address as it may be shown."""
        self.url = (url.with_user(None).with_fragment(None) / "chat/completions").with_query(url.query)
        self.host = url.host or ""
        self.served_model = served_model
        self.key_source = key_source if authorization else "a request without a key"
        self._name = name
        sent = authorization.get("Authorization", "").partition(" ")[2]
        self._secrets = tuple(secret for secret in (sent, url.password, *url.query.values()) if secret)
        self.headers = {"Content-Type": "application/json", **authorization}
        self._max_tokens_field = max_tokens_field
        self._extra_body = dict(extra_body or {})
        self._retries: Counter[str] = Counter()
        self.limit = ConcurrencyLimit(concurrency)
        self.paced = bool(rpm or tpm)
        self.requests_pace, self.tokens_pace = Pace(rpm), Pace(tpm)
        # What is known of the endpoint so far. Written on the event loop only.
        self.reached = False
        self.answered = 0
        self.given_up_in_a_row = 0
        self.refused_at_first = 0
        self.gives_logprobs = False
        self.logprobs_doubted = False
        self._engine: _Engine | None = None
        self._starting = threading.Lock()

    @property
    def name(self) -> str:
        """What people call it."""
        return self._name

    @property
    def identity(self) -> str:
        """Endpoint without credentials, served name, and the extra body if there is one."""
        extra = "?" + msgspec.json.encode(self._extra_body, order="sorted").decode() if self._extra_body else ""
        return f"http:{self.endpoint}#{self.served_model}{extra}"

    @property
    def local(self) -> bool:
        """It computes elsewhere."""
        return False

    @property
    def retries(self) -> Counter[str]:
        """Attempts made again, by cause: a status, ``timeout``, ``truncated``, ``malformed``, ``connection`` or
        ``no_logprobs``.
        """
        return self._retries

    def complete(self, requests: Iterable[Request]) -> Iterator[tuple[int, Completion]]:
        """Ask up to ``concurrency`` requests at once; replies come as they finish."""
        with self._starting:
            if self._engine is None:
                self._engine = _Engine(self)
            return _Replies(_Run(self, self._engine, requests))

    def close(self) -> None:
        """Abandon what is in flight, close the connections and end the thread."""
        with self._starting:
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.stop(wait=True)

    def __del__(self) -> None:
        engine = getattr(self, "_engine", None)
        if engine is not None:
            # Not waited for: this may be the loop's own thread, or the interpreter's end.
            engine.stop(wait=False)

    def body(self, request: Request) -> bytes:
        """The JSON to send: what is set, and nothing else."""
        sampling = request.sampling
        if sampling.choices:
            raise ModelError(
                f"{self.name} was asked to score the labels {', '.join(sampling.choices)} by likelihood, but an HTTP "
                "endpoint cannot do that. Use a local judge (hf:… or vllm:…), or a protocol that reads logprobs."
            )
        body: dict[str, Any] = {"model": self.served_model, "messages": request.messages}
        if sampling.temperature is not None:
            body["temperature"] = sampling.temperature
        if sampling.top_p is not None:
            body["top_p"] = sampling.top_p
        if sampling.max_tokens is not None:
            body[self._max_tokens_field] = sampling.max_tokens
        if sampling.stop:
            body["stop"] = sampling.stop
        if sampling.seed is not None:
            body["seed"] = sampling.seed
        if sampling.top_logprobs:
            body["logprobs"] = True
            body["top_logprobs"] = sampling.top_logprobs
        body.update(self._extra_body)
        return _encoder.encode(body)

    def said(self, data: bytes) -> str:
        """What the endpoint said of an error: one short printable line without secrets."""
        text = data.decode(errors="replace")
        try:
            found = msgspec.json.decode(data)
            error = found.get("error", found) if isinstance(found, dict) else found
            message = error.get("message") or error.get("detail") if isinstance(error, dict) else error
            text = message if isinstance(message, str) else text
        except msgspec.DecodeError:
            pass
        return self.shown(text) or "nothing"

    def shown(self, text: str) -> str:
        """The text as it may stand in a message: secrets and control characters taken out, and cut short."""
        for secret in self._secrets:
            text = text.replace(secret, "[key]")
        text = KEY_LIKE.sub("[key]", text)
        text = "".join(character if character.isprintable() else " " for character in text)
        text = " ".join(text.split())
        return text if len(text) <= 300 else text[:297] + "..."


class _Engine:
    """The event loop of one model, in its thread, with the session that all runs share."""

    def __init__(self, chat: HttpChat) -> None:
        self._timeout = chat.timeout_seconds
        self._headers = chat.headers
        # Looking up proxies costs CPU at each request, so only where there can be one.
        self._proxied = bool(urllib.request.getproxies()) and chat.host not in {"localhost", "127.0.0.1", "::1"}
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._main, name="judgebench-http", daemon=True)
        self._thread.start()
        self._ready.wait()

    def start(self, work: Coroutine[Any, Any, None]) -> "Future[None]":
        """Run a coroutine on the loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def stop(self, *, wait: bool) -> None:
        """Cancel all runs and end the thread."""
        self.loop.call_soon_threadsafe(self._stopping.set)
        if wait:
            self._thread.join()

    def _main(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300),
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(total=self._timeout, sock_connect=CONNECT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=self._proxied,
        ) as self.session:
            self._ready.set()
            await self._stopping.wait()
            runs = asyncio.all_tasks() - {asyncio.current_task()}
            for run in runs:
                run.cancel()
            await asyncio.gather(*runs, return_exceptions=True)


class _Replies:
    """The iterator of one run. Not a generator: :meth:`close` must work while another thread waits in it."""

    def __init__(self, run: "_Run") -> None:
        self._run = run
        self._ended = False

    def __iter__(self) -> "_Replies":
        return self

    def __next__(self) -> tuple[int, Completion]:
        if self._ended:
            raise StopIteration
        item = self._run.out.get()
        if isinstance(item, tuple):
            return item
        self._ended = True
        if item is None:
            raise StopIteration
        raise item

    def close(self) -> None:
        """Pull no more and abandon what is in flight."""
        self._run.cancel()

    def __del__(self) -> None:
        self.close()


class _Run:
    """One ``complete``: worker coroutines that take requests from the feed and put completions into ``out``."""

    def __init__(self, chat: HttpChat, engine: _Engine, requests: Iterable[Request]) -> None:
        self.out: SimpleQueue[tuple[int, Completion] | BaseException | None] = SimpleQueue()
        self._chat = chat
        self._engine = engine
        self._session = engine.session
        self._loop = engine.loop
        self._random = random.Random()
        self._idle: deque[asyncio.Future[tuple[int, Request] | None]] = deque()
        self._waking = False
        self._feed_error: BaseException | None = None
        self._refused = ""
        self._probing = False
        self._probed = asyncio.Event()
        self._feed = Feed(requests, ahead=chat.concurrency, on_ready=self._ready)
        self._future = engine.start(self._main())
        # Whatever becomes of the coroutine, even if it is cancelled before its first step, nobody waits for ever.
        out = self.out
        self._future.add_done_callback(lambda _: out.put(None))

    def cancel(self) -> None:
        """End soon, from any thread. What is finished stays in ``out``."""
        self._feed.close()
        self._future.cancel()

    async def _main(self) -> None:
        end: BaseException | None = None
        workers = [asyncio.create_task(self._work()) for _ in range(self._chat.concurrency)]
        try:
            await asyncio.gather(*workers)
            end = self._feed_error or self._only_refusals()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - carried to the thread that iterates
            end = error
        finally:
            self._feed.close()
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            self.out.put(end)

    def _ready(self) -> None:
        """Called by the feeding thread. Wakes the loop only if a worker is idle and no wake is on its way."""
        if not self._idle or self._waking:
            return
        self._waking = True
        try:
            self._loop.call_soon_threadsafe(self._hand_out)
        except RuntimeError:
            # The loop is closed: the run was abandoned while the iterable still worked.
            self._feed.close()

    def _hand_out(self) -> None:
        """Give what is there to the workers that wait, and send them home once nothing more will come."""
        self._waking = False
        # Until the feed is seen empty: only its next new item after that is told of.
        while self._idle and (taken := self._take(len(self._idle))):
            for item in taken:
                _resolve(self._idle.popleft(), item)
        if self._idle and self._over():
            while self._idle:
                _resolve(self._idle.popleft(), None)

    def _take(self, at_most: int) -> list[tuple[int, Request]]:
        if self._feed_error is not None:
            return []
        try:
            return self._feed.take(at_most, wait=False)
        except BaseException as error:  # noqa: BLE001 - the iterable's: raised to the caller once those in flight end
            self._feed_error = error
            return []

    def _over(self) -> bool:
        return self._feed_error is not None or self._feed.ended

    async def _next(self) -> tuple[int, Request] | None:
        taken = self._take(1)
        if taken:
            return taken[0]
        if self._over():
            return None
        turn: asyncio.Future[tuple[int, Request] | None] = self._loop.create_future()
        self._idle.append(turn)
        # Something may have come between the look and the queueing, when nobody was there to be told.
        self._hand_out()
        return await turn

    async def _work(self) -> None:
        while (item := await self._next()) is not None:
            index, request = item
            self.out.put((index, await self._answer(request)))

    async def _answer(self, request: Request) -> Completion:
        """The reply, or after all retries a completion that says why there is none."""
        chat = self._chat
        body = chat.body(request)
        asked_logprobs = request.sampling.top_logprobs > 0
        lacking = answered = 0
        if asked_logprobs and not chat.gives_logprobs:
            await self._probe()
        for attempt in range(1, chat.max_attempts + 1):
            try:
                completion = await self._attempt(body, request)
                if asked_logprobs and not completion.top_logprobs and completion.text:
                    lacking += 1
                    raise self._lacks_logprobs(lacking)
            except _Again as again:
                trouble = again
            except _Refused as refused:
                self._probed.set()
                return self._refusal(refused, asked_logprobs)
            else:
                self._probed.set()
                self._succeeded(completion)
                return completion
            if trouble.cause != "no_logprobs":
                self._probed.set()
            if attempt == 1:
                answered = chat.answered
            if attempt == chat.max_attempts or (not chat.reached and attempt > len(UNREACHABLE_WAITS)):
                break
            chat.retries[trouble.cause] += 1
            await asyncio.sleep(self._wait(trouble, attempt))
        return self._given_up(trouble, attempt, others_answered=chat.answered > answered)

    async def _probe(self) -> None:
        """Let the first request that wants logprobs go alone: an endpoint that gives none is found before it is sent
        (and paid for) a whole concurrency's worth. Whatever else the first reply is, the others follow.
        """
        if self._probing:
            await self._probed.wait()
        self._probing = True

    async def _attempt(self, body: bytes, request: Request) -> Completion:
        chat = self._chat
        if chat.paced:
            await self._pace(body, request)
        await chat.limit.enter()
        sent_at = time.monotonic()
        try:
            async with self._session.post(chat.url, data=body, allow_redirects=False) as response:
                data = await response.read()
        except aiohttp.ConnectionTimeoutError as error:
            raise _Again("connection", f"no connection within {CONNECT_SECONDS:g} s") from error
        except TimeoutError as error:
            raise _Again("timeout", f"no reply within {chat.timeout_seconds:g} s") from error
        except aiohttp.ClientPayloadError as error:
            raise _Again("truncated", "a reply that broke off") from error
        except (aiohttp.ClientError, OSError) as error:
            raise _Again("connection", chat.shown(str(error)) or type(error).__name__) from error
        finally:
            chat.limit.leave()
        chat.reached = True
        if response.status == 200:
            completion = self._read(data)
            chat.limit.succeeded()
            return completion
        if response.status in OVERLOAD:
            chat.limit.overloaded(sent_at, time.monotonic())
        raise self._trouble(response.status, response.headers, data)

    async def _pace(self, body: bytes, request: Request) -> None:
        now = time.monotonic()
        tokens = len(body) / 4 + (request.sampling.max_tokens or ASSUMED_REPLY_TOKENS)
        await asyncio.sleep(
            max(self._chat.requests_pace.wait_for(1, now), self._chat.tokens_pace.wait_for(tokens, now))
        )

    def _read(self, data: bytes) -> Completion:
        try:
            reply = _decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            said = self._chat.said(data)
            raise _Again("malformed", f"a reply that is no chat completion ({error}): {said}") from error
        if not reply.choices:
            raise _Again("malformed", f"a reply without choices: {self._chat.said(data)}")
        return _completion(reply)

    def _trouble(self, status: int, headers: Mapping[str, str], data: bytes) -> Exception:
        """What to raise for a status other than 200."""
        chat = self._chat
        said = chat.said(data)
        if status == 401 or (status == 403 and not chat.answered):
            return ModelError(
                f"{chat.name} was to be asked at {chat.endpoint}, but it refused {chat.key_source} "
                f"(HTTP {status}: {said}). Check that the key is valid, belongs to this endpoint and may use the model."
            )
        if status == 429 and b"insufficient_quota" in data:
            return ModelError(
                f"{chat.name} was to be asked at {chat.endpoint}, but the account has no quota left "
                f"(HTTP 429: {said}). Add credit or use another key, then start the same command again: what is "
                "finished is kept."
            )
        if status in {408, 409, 429} or status >= 500:
            return _Again(str(status), f"HTTP {status}: {said}", retry_after(headers, time.time()))
        if (status == 404 or status < 400) and not chat.answered:
            return ModelError(
                f"The model {chat.served_model} was wanted at {chat.endpoint}, but the endpoint answered "
                f"HTTP {status}: {said}. Check the model's name, and that the address ends where /chat/completions "
                "follows (often in /v1)."
            )
        return _Refused(status, said)

    def _refusal(self, refused: "_Refused", asked_logprobs: bool) -> Completion:
        """A request that was refused for what it says; or, before any was answered, the same for all of them."""
        chat = self._chat
        error = f"{chat.endpoint} refused the request (HTTP {refused.status}: {refused.said})"
        if chat.answered or TOO_LONG.search(refused.said):
            return Completion(error=error)
        if asked_logprobs and "logprob" in refused.said.lower():
            raise self._no_logprobs(f"refuses to give them (HTTP {refused.status}: {refused.said})")
        chat.refused_at_first += 1
        self._refused = error
        if chat.refused_at_first >= HOPELESS_REQUESTS:
            raise self._all_refused()
        return Completion(error=error)

    def _all_refused(self) -> ModelError:
        return ModelError(
            f"{self._chat.name} was to be asked, but {self._refused}, and no request before it was answered. "
            "Change the sampling settings or model arguments that it names, or use another endpoint."
        )

    def _only_refusals(self) -> ModelError | None:
        return self._all_refused() if self._refused and not self._chat.answered else None

    def _lacks_logprobs(self, times: int) -> Exception:
        """What to raise for a reply without logprobs.

        One request that lacks them twice, when no reply ever had them, is taken as proof.
        """
        chat = self._chat
        if times > 1 and not chat.gives_logprobs:
            return self._no_logprobs("gave none, twice")
        first, chat.logprobs_doubted = not chat.logprobs_doubted, True
        return _Again("no_logprobs", "a reply without the logprobs that were asked for", 0.0 if first else None)

    def _no_logprobs(self, found: str) -> ModelError:
        chat = self._chat
        return ModelError(
            f"Token log-probabilities were wanted from {chat.name}, because this protocol reads its verdict from them, "
            f"but {chat.endpoint} {found}. Use a judge or server that returns logprobs (vLLM does), or a local judge "
            "(hf:… or vllm:…), which scores the labels itself; another judge is another protocol."
        )

    def _succeeded(self, completion: Completion) -> None:
        chat = self._chat
        chat.answered += 1
        chat.given_up_in_a_row = 0
        if completion.top_logprobs:
            chat.gives_logprobs = True

    def _wait(self, trouble: _Again, attempt: int) -> float:
        """Seconds before the next attempt: what the endpoint asks for, or longer and longer; never all at once."""
        if trouble.wait is not None:
            return min(trouble.wait, LONGEST_WAIT_SECONDS) * self._random.uniform(1.0, 1.1)
        if not self._chat.reached:
            return UNREACHABLE_WAITS[min(attempt, len(UNREACHABLE_WAITS)) - 1]
        longest = min(LONGEST_BACKOFF_SECONDS, self._chat.backoff_seconds * 2.0 ** (attempt - 1))
        return longest * self._random.uniform(0.5, 1.0)

    def _given_up(self, trouble: _Again, attempts: int, *, others_answered: bool) -> Completion:
        """A completion without a reply; or, if the endpoint seems gone, a :class:`ModelError`.

        ``others_answered`` while this request was tried again: then the trouble is this request's own.
        """
        chat = self._chat
        if not chat.reached:
            raise ModelError(
                f"{chat.name} was to be asked at {chat.endpoint}, but it cannot be reached ({trouble.detail}; "
                f"{attempts} tries). Check the address and that the server runs, then start the same command again."
            )
        chat.given_up_in_a_row += not others_answered
        if chat.given_up_in_a_row >= (HOPELESS_REQUESTS_LATER if chat.answered else HOPELESS_REQUESTS):
            raise ModelError(
                f"{chat.name} was to be asked at {chat.endpoint}, but {chat.given_up_in_a_row} requests in a row got "
                f"no usable reply in {attempts} attempts each (the last: {trouble.detail}). Check the endpoint, then "
                "start the same command again: what is finished is kept."
            )
        return Completion(
            error=f"{chat.endpoint} gave no usable reply in {attempts} attempts (the last: {trouble.detail})"
        )


def openai_chat(
    name: str, *, base_url: str | None = None, api_key_env: str = "OPENAI_API_KEY", **options: Any
) -> HttpChat:
    """OpenAI's own endpoint, or the one that OPENAI_BASE_URL names; the key comes from the environment.

    ``options`` are those of :class:`HttpChat`.
    """
    api_key = os.environ.get(api_key_env, "").strip()
    if not api_key:
        raise UsageError(
            f"openai:{name} needs an API key, but the environment variable {api_key_env} is not set. "
            "Set it, name another variable with --api-key-env, or use a local model (hf:… or vllm:…)."
        )
    address = base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_BASE_URL
    return HttpChat(name, address, name, api_key, key_source=f"the key in {api_key_env}", **options)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait as the endpoint asks for them: ``retry-after-ms``, or ``Retry-After`` in seconds or as a date."""
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


def _completion(reply: _Reply) -> Completion:
    choice = reply.choices[0]
    message, tokens = choice.message, reply.usage or _Tokens()
    content = choice.logprobs.content if choice.logprobs else None
    return Completion(
        text=message.content if message.content is not None else message.refusal or "",
        finish_reason=choice.finish_reason,
        usage=Usage(prompt_tokens=tokens.prompt_tokens, completion_tokens=tokens.completion_tokens),
        top_logprobs=None if content is None else tuple([position.alternatives() for position in content]),
        model=reply.model,
    )


def _resolve(turn: "asyncio.Future[Any]", value: object) -> None:
    if not turn.done():
        turn.set_result(value)


def _parsed(base_url: str) -> URL:
    try:
        url = URL(base_url)
    except ValueError:
        url = URL()
    if url.scheme not in {"http", "https"} or not url.host:
        shown = re.sub(r"//[^/]*@", "//", base_url).partition("?")[0]
        raise UsageError(
            f"The address of an OpenAI-compatible server was wanted, but {shown!r} is none. "
            "Write it as http://HOST:PORT/v1 or https://HOST/v1."
        )
    return url


def _authorization(api_key: str | None, url: URL, key_source: str) -> dict[str, str]:
    if api_key:
        if not (api_key.isascii() and api_key.isprintable()) or " " in api_key:
            raise UsageError(
                f"A key was to be sent to {url.host}, but {key_source} holds spaces or unprintable characters. "
                "Copy the key again."
            )
        return {"Authorization": f"Bearer {api_key}"}
    if url.user:
        pair = f"{url.user}:{url.password or ''}".encode()
        return {"Authorization": "Basic " + base64.b64encode(pair).decode()}
    return {}


def _positive(name: str, value: int) -> int:
    if value < 1:
        raise UsageError(f"{name} was to be at least 1, but {value} was given.")
    return value
