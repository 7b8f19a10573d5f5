"""An OpenAI-compatible endpoint: its address and key, the bodies sent to it, its replies read, its errors told.

Secrets live here and are shown nowhere: whatever may stand in a message goes through :meth:`Endpoint.shown`.
"""

import base64
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct
from yarl import URL

from judgebench.errors import ModelError, UsageError
from judgebench.models.pacing import ConcurrencyLimit, Pace
from judgebench.records import Completion, Request, TokenLogprob, Usage

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


class Endpoint:
    """Where a served model is asked, what is sent to it, and what is known of it so far."""

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
        self.address = str(url.with_user(None).with_query(None).with_fragment(None)).rstrip("/")
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

    @property
    def name(self) -> str:
        """What people call it."""
        return self._name

    @property
    def identity(self) -> str:
        """Endpoint without credentials, served name, and the extra body if there is one."""
        extra = "?" + msgspec.json.encode(self._extra_body, order="sorted").decode() if self._extra_body else ""
        return f"http:{self.address}#{self.served_model}{extra}"

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

    def body(self, request: Request) -> bytes:
        """The JSON to send: what is set, and nothing else."""
        sampling = request.sampling
        if sampling.choices:
            raise ModelError(
                f"{self.name} was asked to score the labels {', '.join(sampling.choices)} by likelihood, but an HTTP "
                "endpoint cannot do that. Use a local judge (hf:…), or a protocol that reads logprobs."
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
        if sampling.json_object:
            body["response_format"] = {"type": "json_object"}
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


def read_reply(data: bytes) -> Completion:
    """The first choice of a chat completion.

    Raises ``ValueError`` for anything else: ``msgspec.DecodeError`` and ``UnicodeDecodeError`` are such.
    """
    try:
        reply = _decoder.decode(data)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not reply.choices:
        raise ValueError("no choices")
    return _completion(reply)


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
