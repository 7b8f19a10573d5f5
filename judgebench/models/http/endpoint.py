"""An endpoint that serves a model: its address and key, what is known of it so far, and its errors in our words.

Secrets live here and are shown nowhere: every text of the endpoint that enters a message goes through
:meth:`Endpoint.redacted`. How requests are sent and repeated is decided in ``run``.
"""

import base64
import re
import socket
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from yarl import URL

from judgebench import redaction
from judgebench.errors import ModelError, UsageError
from judgebench.models import Gauge
from judgebench.models.http.pacing import ASSUMED_REPLY_TOKENS, DEFAULT_CONCURRENCY, Pace
from judgebench.models.http.routes import Gate, Route, Size
from judgebench.models.http.wire import NoAnswer, Wire, decoded, message_of, read, rejected_field
from judgebench.models.http.wire_chat import ChatCompletions
from judgebench.models.http.wire_completions import EchoedCompletions
from judgebench.models.vendors import RateHeaders
from judgebench.records import Completion, Request, Usage

CONNECT_SECONDS = 10.0
UNREACHABLE_WAITS = (0.3, 1.0)
"""Waits between tries while an endpoint has never answered, so that a closed port is reported within seconds."""
LONGEST_MESSAGE = 300
"""Characters of an endpoint's own words in one of our messages."""
NOT_SECRET = ("api-version",)
"""Names of values in an address's query that are known to be no secret, and may be part of an answer."""

_encoder = msgspec.json.Encoder()


class Place(msgspec.Struct, frozen=True):
    """An address of a server, and the key for it."""

    base_url: str
    api_key: str | None = None
    key_source: str = "the API key"
    """Where the key came from, for messages."""


class Endpoint:
    """Where a served model is called, what is sent to it, and what is known of it so far."""

    local = False

    def __init__(
        self,
        name: str,
        base_url: str,
        served_model: str,
        api_key: str | None = None,
        *,
        wire: Wire | None = None,
        concurrency: int = DEFAULT_CONCURRENCY,
        rpm: float | None = None,
        tpm: float | None = None,
        timeout_seconds: float = 600.0,
        max_attempts: int = 8,
        backoff_seconds: float = 0.5,
        extra_body: Mapping[str, Any] | None = None,
        key_source: str = "the API key",
        more: Sequence[Place] = (),
        key_header: str = "",
        rate_headers: Sequence[RateHeaders] = (),
        refused: Collection[str] = (),
    ) -> None:
        """``wire`` is the protocol, by default chat completions. ``rpm`` and ``tpm`` limit requests and tokens per
        minute. ``extra_body`` is added to each request's body and to the identity. ``key_source`` says in messages
        where the key came from. Credentials in ``base_url`` are sent, but never shown. ``more`` are further places
        where the same model is served: they share the load. ``key_header`` is a header that holds the key besides the
        usual one; ``rate_headers`` tell the endpoint's limits besides the usual ones; ``refused`` are fields that it is
        known to refuse.
        """
        self.wire = wire or ChatCompletions()
        self.concurrency = _positive("concurrency", concurrency)
        self.max_attempts = _positive("max_attempts", max_attempts)
        self.timeout_seconds = timeout_seconds
        self.backoff_seconds = backoff_seconds
        self._key_header, self._rate_headers = key_header, rate_headers
        self._secrets: list[str] = []
        routes = [self._route(place) for place in (Place(base_url, api_key, key_source), *more)]
        self.gate = Gate(routes, self.concurrency)
        self.address = routes[0].address
        """The first address without secrets, for messages."""
        self.url = self.url_of(self.wire)
        self.host = self.url.host or ""
        self.served_model = served_model
        self.key_source = routes[0].key_source
        self.name = name
        self.redactor = redaction.Redactor(self._secrets)
        redaction.known.append(self.redactor)
        self.headers = routes[0].target.headers
        self._extra_body = dict(extra_body or {})
        self.retries: Counter[str] = Counter()
        """Attempts made again, by cause: a status, ``timeout``, ``truncated``, ``malformed``, ``broken off``,
        ``too large``, ``connection``, ``no_logprobs``, or ``refused`` and the field of the body that was given up for
        it.
        """
        self.paced = bool(rpm or tpm)
        self.requests_pace, self.tokens_pace = Pace(rpm), Pace(tpm)
        # What is known of the endpoint so far. Only the event loop writes these.
        self.reached = False
        self.sending = 0
        """Attempts whose reply has not come yet, of all runs."""
        self.answered = 0
        self.answered_before = False
        self.on_discarded: Callable[[Usage], None] = lambda _: None
        self.given_up_in_a_row = 0
        self.denied_in_a_row = 0
        self.refused_at_first = 0
        self.gives_logprobs = False
        self.logprobs_doubted = False
        self._reply_tokens: float | None = None
        """How long replies are, as of late."""
        self.refused = frozenset(refused)
        """Fields of the body that this endpoint refuses; from then on they are put another way or left out."""

    def wire_for(self, request: Request) -> Wire:
        """The protocol by which a request is sent: texts are scored by another one than replies."""
        return EchoedCompletions(request) if request.sampling.continuations else self.wire

    def _route(self, place: Place) -> Route:
        url = _parsed(place.base_url)
        authorization = _authorization(place.api_key, url, place.key_source)
        self._secrets += _secrets(place.api_key, url, authorization)
        headers = {
            "Content-Type": "application/json",
            "Accept-Encoding": "gzip, deflate",
            **self.wire.headers(place.api_key),
            **authorization,
            **({self._key_header: place.api_key} if self._key_header and place.api_key else {}),
        }
        return Route(
            str(url.with_user(None).with_query(None).with_fragment(None)).rstrip("/"),
            url.with_user(None).with_fragment(None),
            headers,
            place.key_source if authorization else "a request without a key",
            self._rate_headers,
        )

    def url_of(self, wire: Wire) -> URL:
        """Where a protocol is spoken: at the first address."""
        return self.gate.routes[0].target.url(wire.path)

    def size_of(self, body: bytes, request: Request) -> Size:
        """What a request is likely to count for in the endpoint's limits."""
        most = request.sampling.max_tokens or ASSUMED_REPLY_TOKENS
        return Size(len(body) / 4, most if self._reply_tokens is None else min(most, self._reply_tokens))

    def note_length(self, reply: Completion) -> None:
        """Note how long a reply is."""
        tokens = float(reply.usage.completion_tokens)
        self._reply_tokens = tokens if self._reply_tokens is None else 0.95 * self._reply_tokens + 0.05 * tokens

    @property
    def base_url(self) -> str:
        """The address that a client of the vendor's is given; credentials are in ``headers``."""
        return str(self.gate.routes[0].target.base.with_query(None))

    @property
    def query(self) -> dict[str, str]:
        """What is sent in the query of every address; it may be secret."""
        return dict(self.gate.routes[0].target.base.query)

    @property
    def places(self) -> str:
        """Its addresses, for messages."""
        return " and ".join(dict.fromkeys(route.address for route in self.gate.routes))

    @property
    def identity(self) -> str:
        """Protocol, endpoint without credentials, served name, and anything that is sent besides the request.

        What the endpoint refuses is not part of it: that follows from endpoint and request, and each completion records
        it. A model at several addresses is known by its name alone, so that addresses may come and go.
        """
        addresses = {route.address for route in self.gate.routes}
        address = self.address if len(addresses) == 1 else ""
        beside = {**self.wire.settings, **self._extra_body}
        extra = "?" + msgspec.json.encode(beside, order="sorted").decode() if beside else ""
        return f"{self.wire.scheme}:{address}#{self.served_model}{extra}"

    def render(self, request: Request) -> str | None:
        """``None``: the endpoint applies the chat template."""
        return None

    def check(self, requests: Sequence[Request]) -> None:
        """Accept every request: only the endpoint knows its template and its context."""

    def gauge(self) -> Gauge:
        """The attempts whose reply has not come yet. Their tokens are known when they are complete."""
        return Gauge(rows=self.sending, tokens=0)

    @property
    def proxied(self) -> bool:
        """Whether calls go through the environment's proxy."""
        hosts = {route.target.base.host for route in self.gate.routes}
        return bool(urllib.request.getproxies()) and not hosts <= {"localhost", "127.0.0.1", "::1"}

    def require_reachable(self) -> None:
        """Connect, at the third try if need be, and close the connection. Behind a proxy nothing is checked."""
        if self.proxied:
            return
        for wait in (*UNREACHABLE_WAITS, None):
            failure = self._first_failure()
            if failure is None:
                return
            if wait is None:
                raise self.unreachable(str(failure), 1 + len(UNREACHABLE_WAITS)) from failure
            time.sleep(wait)

    def _first_failure(self) -> OSError | None:
        """Why the first address cannot be connected to; ``None`` if any address can be."""
        first = None
        for route in self.gate.routes:
            try:
                socket.create_connection(
                    (route.target.base.host or "", route.target.base.port or 443), CONNECT_SECONDS
                ).close()
            except OSError as error:
                first = first or error
            else:
                return None
        return first

    def unreachable(self, reason: str, tries: int) -> ModelError:
        """The error for an address where nobody answers."""
        return ModelError(
            f"Could not call {self.name}: {self.places} cannot be reached ({reason}; {tries} tries). "
            "Check the address and that the server runs, then start the same command again."
        )

    def body(self, request: Request) -> bytes:
        """The JSON to send: only settings that the request makes and the endpoint has not refused."""
        sampling = request.sampling
        if sampling.choices:
            raise ModelError(
                f"Could not score the labels {', '.join(sampling.choices)} with {self.name}: an HTTP endpoint gives no "
                "likelihoods of labels. Use a local judge (hf:…), or a protocol that reads logprobs."
            )
        if sampling.top_logprobs and not self.wire.gives_logprobs:
            raise self.no_logprobs(f"is called over a protocol that has none (/{self.wire.path})")
        wire = self.wire_for(request)
        extra = {} if sampling.continuations else self._extra_body
        return _encoder.encode({**wire.body(self.served_model, request, self.refused), **extra})

    def read(self, data: bytes, request: Request, refused: Collection[str]) -> Completion:
        """The reply, without secrets, to a request that was sent without the ``refused`` fields.

        Raises :class:`~judgebench.models.http.wire.NoAnswer`.
        """
        return _map_texts(read(self.wire_for(request), data, request, refused), self.redactor.reply)

    def drop_rejected_field(self, sent: bytes, said: str, request: Request) -> str | None:
        """The field that this message refuses, if the request can do without it; later requests leave it out."""
        field = rejected_field(self.wire_for(request), sent, said)
        if field is not None:
            self.refused |= {field}
        return field

    def no_logprobs(self, reason: str) -> ModelError:
        """The error for an endpoint that gives no token log-probabilities to a judge that needs them."""
        return ModelError(
            f"The judge reads its verdict from the token log-probabilities of {self.name}, but {self.address} "
            f"{reason}. Use a judge or server that returns logprobs (vLLM does), or a "
            "local judge (hf:…), which scores the labels itself; another judge is another protocol."
        )

    def error_message(self, data: bytes) -> str:
        """The endpoint's own words about an error: one short printable line without secrets."""
        try:
            found = decoded(data)
            text = message_of(list(found) if isinstance(found, Iterator) else found)
        except NoAnswer:
            text = data.decode(errors="replace")
        return self.redacted(text) or "nothing"

    def redacted(self, text: str) -> str:
        """The text for a message: without secrets and control characters, and cut short."""
        text = self.redactor.message(text[: 100 * LONGEST_MESSAGE])
        text = "".join(character if character.isprintable() else " " for character in text)
        text = " ".join(text.split())
        return text if len(text) <= LONGEST_MESSAGE else text[: LONGEST_MESSAGE - 3] + "..."


def _map_texts(completion: Completion, change: Callable[[str], str]) -> Completion:
    """The completion with its texts changed."""
    texts: dict[str, Any] = {
        name: text
        for name in ("text", "reasoning", "model")
        if (before := getattr(completion, name)) and (text := change(before)) != before
    }
    tokens = completion.top_logprobs or ()
    if any(len(token) >= redaction.SHORTEST for position in tokens for token, _ in position):
        texts["top_logprobs"] = tuple(tuple((change(token), value) for token, value in place) for place in tokens)
    return msgspec.structs.replace(completion, **texts) if texts else completion


def _secrets(api_key: str | None, url: URL, authorization: Mapping[str, str]) -> list[str]:
    """Everything secret that is sent: the key, and the user, password and query of the address.

    The query is listed as parsed and as written, where a plus is a plus.
    """
    pairs = [pair.partition("=") for pair in url.raw_query_string.split("&")]
    written = [value for name, _, value in pairs if name not in NOT_SECRET]
    parsed = [value for name, value in url.query.items() if name not in NOT_SECRET]
    user = url.password or url.user
    sent = authorization.get("Authorization", "").partition(" ")[2]
    return [secret for secret in (api_key, sent, user, *parsed, *written) if secret]


def _parsed(base_url: str) -> URL:
    try:
        url = URL(base_url)
    except ValueError:
        url = URL()
    if url.scheme not in {"http", "https"} or not url.host:
        shown = re.sub(r"//[^/]*@", "//", base_url).partition("?")[0]
        raise UsageError(
            f"{shown!r} is not the address of a server. Write it as http://HOST:PORT/v1 or "
            "https://HOST/v1; for anthropic:NAME without the /v1."
        )
    return url


def _authorization(api_key: str | None, url: URL, key_source: str) -> dict[str, str]:
    if api_key:
        if not (api_key.isascii() and api_key.isprintable()) or " " in api_key:
            raise UsageError(
                f"Could not send a key to {url.host}: {key_source} holds spaces or unprintable characters. "
                "Copy the key again."
            )
        return {"Authorization": f"Bearer {api_key}"}
    if url.user:
        pair = f"{url.user}:{url.password or ''}".encode()
        return {"Authorization": "Basic " + base64.b64encode(pair).decode()}
    return {}


def _positive(name: str, value: int) -> int:
    if value < 1:
        raise UsageError(f"{name} must be at least 1, but {value} was given.")
    return value
