"""The batch endpoints of two protocols, each through its vendor's SDK: OpenAI's files and batches, Anthropic's message
batches. The SDKs are told to retry nothing; what follows from a failure is decided in ``batching``.

What a server says is only material: its lines are read one at a time and within limits, and a line counts for the call
whose key it names.
"""

import itertools
import tempfile
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any, ClassVar, Protocol

import msgspec
from msgspec import Struct
from yarl import URL

from judgebench.errors import ModelError
from judgebench.models.batch_book import Batch, Fetched
from judgebench.models.http.client import MAX_BODY_BYTES
from judgebench.models.http.endpoint import Endpoint
from judgebench.models.http.run import LONGEST_ERROR
from judgebench.models.http.wire import fields, message_of
from judgebench.models.http.wire_messages import Messages

METADATA = "judgebench"
"""Under this name a batch carries our token, where the protocol has a place for it."""
CLOCKS_APART_SECONDS = 900.0
"""How far the clocks of this machine and the vendor's may be apart."""
WINDOW = "24h"
MOST_COUNTED = 10**9
REFUSALS = ("invalid_request_error", "request_too_large", "not_found_error", "authentication_error", "permission_error")
"""Anthropic's words for errors that a second try would meet again."""


class BatchFault(Exception):
    """A call of a batch endpoint failed."""

    def __init__(self, status: int | None, said: str, retry_after: str | None = None) -> None:
        """``status`` is ``None`` if no whole answer came."""
        self.status, self.said, self.retry_after = status, said, retry_after
        super().__init__(f"HTTP {status}: {said}" if status else said)

    @property
    def unclear(self) -> bool:
        """Whether the endpoint may have done what it was asked to do."""
        return self.status is None or self.status in (408, 409) or self.status >= 500

    @property
    def passing(self) -> bool:
        """Whether a later try may succeed."""
        return self.unclear or self.status in (425, 429)


class Undecided(Exception):
    """Whether a batch was submitted cannot be told yet."""


class Seen(Struct, frozen=True, kw_only=True):
    """A batch as its vendor describes it."""

    batch_id: str
    word: str
    """The vendor's word for its state."""
    ended: bool
    """Whether nothing more will come."""
    rejected: str = ""
    """Why the vendor did not begin it, if so."""
    done: int = 0
    failed: int = 0
    files: tuple[str, ...] = ()
    """Where its results lie."""


class BatchApi(Protocol):
    """One protocol's batches. Every method but ``line`` may raise :class:`BatchFault`."""

    most_calls: ClassVar[int]
    most_bytes: ClassVar[int]

    def line(self, key: bytes, body: bytes) -> bytes:
        """How a call is written in a batch."""

    def upload(self, token: str, lines: Iterable[bytes]) -> str:
        """Bring the calls to the endpoint and return their place; nothing is begun."""

    def submit(self, batch: Batch, place: str, lines: Callable[[], Iterable[bytes]]) -> Seen:
        """Begin a batch."""

    def find(self, batch: Batch, keys: Collection[bytes], known: Collection[str]) -> Seen | None:
        """The batch, if it was submitted; the ids that are ``known`` are others. May raise :class:`Undecided`."""

    def look(self, batch_id: str) -> Seen:
        """The batch as it is now."""

    def results(self, seen: Seen) -> Iterator[Fetched]:
        """What there is to say of each call, in any order."""

    def cancel(self, batch_id: str) -> None:
        """Ask for no more of it."""

    def list_one(self) -> None:
        """Ask for the list of batches, of one at most."""


def batch_api(endpoint: Endpoint) -> BatchApi:
    """The batches of an endpoint's protocol."""
    return MessageBatches(endpoint) if isinstance(endpoint.wire, Messages) else FileBatches(endpoint)


def serves_batches(endpoint: Endpoint) -> bool:
    """Whether an endpoint has a list of batches. What else may be wrong shows at the first call."""
    try:
        batch_api(endpoint).list_one()
    except BatchFault as fault:
        return fault.status not in (404, 405, 501)
    return True


class _SdkBatches(BatchApi):
    """What both vendors' SDKs have in common."""

    package: ClassVar[str]

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    @property
    @abstractmethod
    def _batches(self) -> Any:
        """The part of the SDK's client that is about batches."""

    @abstractmethod
    def _seen(self, batch: Any) -> Seen:
        """A batch as the SDK gives it."""

    def look(self, batch_id: str) -> Seen:
        """Retrieve the batch."""
        with self._calling():
            return self._seen(self._batches.retrieve(batch_id))

    def cancel(self, batch_id: str) -> None:
        """Cancel the batch."""
        with self._calling():
            self._batches.cancel(batch_id)

    def list_one(self) -> None:
        """Ask for a page of the list."""
        with self._calling():
            self._batches.list(limit=1)

    @property
    def _reached(self) -> dict[str, Any]:
        """Where and how patiently the SDK's client calls; when to try again is up to us."""
        endpoint = self._endpoint
        return {
            "base_url": endpoint.base_url,
            "max_retries": 0,
            "timeout": endpoint.timeout_seconds,
            "default_query": endpoint.query,
        }

    def _text(self, value: Any) -> str:
        return _text(value, self._endpoint)

    @contextmanager
    def _calling(self) -> Iterator[None]:
        with _calling(self._endpoint, self.package):
            yield


class _Response(Struct):
    status_code: int = 0
    body: msgspec.Raw = msgspec.Raw(b"null")


class _FileLine(Struct):
    custom_id: str
    response: _Response | None = None
    error: Any = None


class FileBatches(_SdkBatches):
    """OpenAI's protocol, which other servers speak too: a file of calls, and files of results.

    A batch carries our token as metadata; the file's id, which is written down before, tells it from others where a
    server drops metadata.
    """

    package = "openai"
    most_calls = 50_000
    most_bytes = 100_000_000
    """What Groq takes; OpenAI takes twice as much."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self._lines = msgspec.json.Decoder(_FileLine)

    @cached_property
    def _client(self) -> Any:
        from openai import Omit, OpenAI

        headers: dict[str, Any] = {"Authorization": Omit(), **_headers(self._endpoint)}
        return OpenAI(api_key="in the headers", default_headers=headers, **self._reached)

    @property
    def _batches(self) -> Any:
        return self._client.batches

    def line(self, key: bytes, body: bytes) -> bytes:
        """A line of the file."""
        url = f"/v1/{self._endpoint.wire.path}"
        call = {"custom_id": key.hex(), "method": "POST", "url": url, "body": msgspec.Raw(body)}
        return msgspec.json.encode(call) + b"\n"

    def upload(self, token: str, lines: Iterable[bytes]) -> str:
        """Upload the file, which is written to the disk first."""
        with tempfile.TemporaryFile() as file:
            file.writelines(lines)
            file.seek(0)
            with self._calling():
                made = self._client.files.create(file=(f"judgebench-{token}.jsonl", file), purpose="batch")
        return self._text(made.id)

    def submit(self, batch: Batch, place: str, lines: Callable[[], Iterable[bytes]]) -> Seen:
        """Begin a batch over the uploaded file."""
        with self._calling():
            made = self._batches.create(
                input_file_id=place,
                endpoint=f"/v1/{self._endpoint.wire.path}",
                completion_window=WINDOW,
                metadata={METADATA: batch.token},
            )
        return self._seen(made)

    def find(self, batch: Batch, keys: Collection[bytes], known: Collection[str]) -> Seen | None:
        """Look for our token or file among the batches since then."""
        since, seen = batch.created - CLOCKS_APART_SECONDS, set[str]()
        with self._calling():
            for other in self._batches.list(limit=100):
                # A server that knows no pages, such as Groq's, gives the same list as the next one, without end.
                if (other.created_at or since) < since or other.id in seen:
                    return None
                seen.add(other.id)
                of_file = bool(batch.place) and other.input_file_id == batch.place
                if (other.metadata or {}).get(METADATA) == batch.token or of_file:
                    return self._seen(other)
        return None

    def results(self, seen: Seen) -> Iterator[Fetched]:
        """The lines of the files of replies and of errors."""
        for file in seen.files:
            with self._calling(), self._client.files.with_streaming_response.content(file) as response:
                for data in lines_of(response.iter_bytes()):
                    yield from self._fetched(data)

    def _fetched(self, data: bytes) -> Iterator[Fetched]:
        try:
            line = self._lines.decode(data)
            key = bytes.fromhex(line.custom_id)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError):
            return
        if line.response is not None and line.response.status_code == 200:
            yield Fetched(key, bytes(line.response.body))
        elif line.response is not None and line.response.status_code:
            yield Fetched(key, trouble=f"error {line.response.status_code}")
        else:
            yield Fetched(key, trouble=_word(fields(line.error).get("code")))

    def _seen(self, batch: Any) -> Seen:
        counts, word = batch.request_counts, self._text(batch.status)
        errors = (batch.errors.data if batch.errors else None) or []
        said = "; ".join(f"{error.code}: {error.message}" for error in errors[:3])
        return Seen(
            batch_id=self._text(batch.id),
            word=word,
            ended=word in ("completed", "failed", "expired", "cancelled"),
            rejected=(self._endpoint.redacted(said) or "no reason given") if word == "failed" else "",
            done=_count(getattr(counts, "completed", None)),
            failed=_count(getattr(counts, "failed", None)),
            files=tuple(file for file in (batch.output_file_id, batch.error_file_id) if file),
        )


class _Result(Struct):
    type: str
    message: msgspec.Raw = msgspec.Raw(b"null")
    error: Any = None


class _ResultLine(Struct):
    custom_id: str
    result: _Result


class MessageBatches(_SdkBatches):
    """Anthropic's protocol: the calls themselves are sent, and results come as one stream.

    It has no place for our token. A batch whose submission is in doubt is known by its calls, once it has ended; until
    then a batch of the same size from the same time may be it.
    """

    package = "anthropic"
    most_calls = 100_000
    most_bytes = 64_000_000
    """A quarter of what the vendor takes, because the SDK builds the body in memory."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self._lines = msgspec.json.Decoder(_ResultLine)

    @cached_property
    def _client(self) -> Any:
        from anthropic import Anthropic, Omit

        headers: dict[str, Any] = {"Authorization": Omit(), **_headers(self._endpoint)}
        key = headers.pop("x-api-key", None)
        if key is None:
            headers["X-Api-Key"] = Omit()
        return Anthropic(api_key=key or "none", default_headers=headers, **self._reached)

    @property
    def _batches(self) -> Any:
        return self._client.messages.batches

    def line(self, key: bytes, body: bytes) -> bytes:
        """An element of the list of calls."""
        return msgspec.json.encode({"custom_id": key.hex(), "params": msgspec.Raw(body)})

    def upload(self, token: str, lines: Iterable[bytes]) -> str:
        """Nothing: the calls are sent with the submission."""
        return ""

    def submit(self, batch: Batch, place: str, lines: Callable[[], Iterable[bytes]]) -> Seen:
        """Send the calls."""
        with self._calling():
            return self._seen(self._batches.create(requests=list(map(msgspec.json.decode, lines()))))

    def find(self, batch: Batch, keys: Collection[bytes], known: Collection[str]) -> Seen | None:
        """Look for a batch with as many calls since then, and compare the calls."""
        since = batch.created - CLOCKS_APART_SECONDS
        undecided = False
        with self._calling():
            for other in self._batches.list(limit=100):
                if other.created_at.timestamp() < since:
                    break
                counts = other.request_counts
                parts = (counts.processing, counts.succeeded, counts.errored, counts.canceled, counts.expired)
                size = sum(map(_count, parts))
                if other.id in known or size != len(keys):
                    continue
                seen = self._seen(other)
                if not seen.ended:
                    undecided = True
                elif (first := next(self.results(seen), None)) is not None and first.key in keys:
                    return seen
        if undecided:
            raise Undecided
        return None

    def results(self, seen: Seen) -> Iterator[Fetched]:
        """The lines of the stream."""
        for place in seen.files:
            # The SDK sends the key there.
            if URL(place).host != self._endpoint.host:
                raise ModelError(
                    f"Could not fetch the batch {seen.batch_id}: {self._endpoint.address} says that its results lie at "
                    f"{self._endpoint.redacted(str(URL(place).host))}, and the key is not for that host."
                )
        with self._calling(), self._batches.with_streaming_response.results(seen.batch_id) as response:
            for data in lines_of(response.iter_bytes()):
                yield from self._fetched(data)

    def _fetched(self, data: bytes) -> Iterator[Fetched]:
        try:
            line = self._lines.decode(data)
            key = bytes.fromhex(line.custom_id)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError):
            return
        if line.result.type == "succeeded":
            yield Fetched(key, bytes(line.result.message))
        elif line.result.type == "errored":
            error = fields(line.result.error)
            word = _word(fields(error.get("error")).get("type") or error.get("type"))
            yield Fetched(key, trouble="error 400" if word in REFUSALS else f"error {word}")
        else:
            yield Fetched(key, trouble=_word(line.result.type))

    def _seen(self, batch: Any) -> Seen:
        counts, word = batch.request_counts, self._text(batch.processing_status)
        return Seen(
            batch_id=self._text(batch.id),
            word=word,
            ended=word == "ended",
            done=_count(counts.succeeded),
            failed=sum(map(_count, (counts.errored, counts.canceled, counts.expired))),
            files=(batch.results_url,) if batch.results_url else (),
        )


def lines_of(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a stream. One that is longer than any reply may be is skipped.

    >>> list(lines_of([b"on", b"e\\ntwo\\n\\nthr", b"ee"]))
    [b'one', b'two', b'three']
    """
    rest, skipping = b"", False
    for chunk in itertools.chain(chunks, [b"\n"]):
        *whole, last = chunk.split(b"\n")
        for line in whole:
            if (found := (rest + line).strip()) and not skipping:
                yield found
            rest, skipping = b"", False
        rest += last
        if len(rest) > MAX_BODY_BYTES:
            rest, skipping = b"", True


def _headers(endpoint: Endpoint) -> dict[str, str]:
    """What identifies us, as with single calls; the SDK writes the rest."""
    return {name: value for name, value in endpoint.headers.items() if name not in ("Content-Type", "Accept-Encoding")}


def _text(value: Any, endpoint: Endpoint) -> str:
    """A name that the endpoint gave. Raises :class:`BatchFault` for what is none."""
    if not isinstance(value, str) or not value or len(value) > 200 or not value.isprintable():
        raise BatchFault(None, f"it gave {endpoint.redacted(repr(value))[:60]} for a name")
    return value


def _count(value: Any) -> int:
    """A number of calls that the endpoint gave; 0 for what is none."""
    return value if isinstance(value, int) and 0 <= value <= MOST_COUNTED else 0


def _word(value: Any) -> str:
    """The endpoint's word for what happened to a call.

    >>> _word("batch_expired"), _word(None), _word("a b")
    ('expired', 'error', 'error')
    """
    return (
        value.removeprefix("batch_") if isinstance(value, str) and value.isidentifier() and len(value) < 40 else "error"
    )


@contextmanager
def _calling(endpoint: Endpoint, sdk: str) -> Iterator[None]:
    """Turn every failure of an SDK and its transport into a :class:`BatchFault` with a message without secrets."""
    try:
        yield
    except (BatchFault, Undecided, GeneratorExit):
        raise
    except Exception as error:  # each SDK, its transport and its decoder have exceptions of their own
        response = getattr(error, "response", None)
        headers: Mapping[str, str] = getattr(response, "headers", None) or {}
        body = getattr(error, "body", None)
        said = message_of(body) if body else f"{type(error).__name__}: {error}"
        raise BatchFault(
            getattr(error, "status_code", None), endpoint.redacted(said[:LONGEST_ERROR]), headers.get("retry-after")
        ) from error
