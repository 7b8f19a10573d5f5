"""Sends one body and returns what came back: a :class:`Reply`, or :class:`NoReply` with the reason.

It knows nothing of requests, paces or prices, so the same client runs in this process and in the actors of a cluster.
"""

import zlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, Self

import aiohttp

from judgebench.models.http.endpoint import CONNECT_SECONDS
from judgebench.models.http.routes import Target

MAX_BODY_BYTES = 32 * 2**20
"""Size limit of a reply after inflating. Five alternatives for each of 32,000 tokens take half of it."""
_TOO_LARGE = f"a reply of more than {MAX_BODY_BYTES // 2**20} MiB, which was not read"


class Reply(NamedTuple):
    """A response, whatever its status."""

    status: int
    headers: Mapping[str, str]
    """Their names are compared without regard to case."""
    body: bytes


class NoReply(Exception):
    """No whole response came."""

    def __init__(self, cause: str, detail: str, reached: bool = False, begun: bool = False) -> None:
        """``detail`` may hold secrets. ``reached``: a server was there. ``begun``: it may have made a reply, for
        which somebody pays.
        """
        self.cause, self.detail, self.reached, self.begun = cause, detail, reached, begun
        super().__init__(cause, detail, reached, begun)


class Sender(Protocol):
    """What sends the bodies of one model."""

    async def __aenter__(self) -> Self:
        """Open the connections."""

    async def __aexit__(self, *error: object) -> None:
        """Close them."""

    async def ready(self) -> None:
        """Wait until something can be sent."""

    async def post(self, target: Target, path: str, body: bytes) -> Reply:
        """Send a body to a path of a target. Raises :class:`NoReply`."""


class Client:
    """Sends from this process, over one session."""

    def __init__(self, targets: Sequence[Target], timeout_seconds: float, *, proxied: bool) -> None:
        """``proxied``: the environment's proxy is used. Looking it up costs CPU at each request."""
        self._timeout_seconds = timeout_seconds
        self._proxied = proxied
        # Targets of a model that is served at several places have headers of their own.
        self._several = len(targets) > 1
        self._headers = {} if self._several else targets[0].headers

    async def __aenter__(self) -> Self:
        """Open the session, on the running event loop."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300),
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(total=self._timeout_seconds, sock_connect=CONNECT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=self._proxied,
            auto_decompress=False,
        )
        return self

    async def __aexit__(self, *error: object) -> None:
        """Close the session."""
        await self._session.close()

    async def ready(self) -> None:
        """It always is."""

    async def post(self, target: Target, path: str, body: bytes) -> Reply:
        """Send a body to a path of a target. Raises :class:`NoReply`."""
        reached = begun = False
        try:
            url = target.url(path)
            own = target.headers if self._several else None
            async with self._session.post(url, data=body, headers=own, allow_redirects=False) as response:
                reached, begun = True, response.ok
                return Reply(response.status, response.headers, await _body(response))
        except aiohttp.ConnectionTimeoutError as error:
            raise NoReply("connection", f"no connection within {CONNECT_SECONDS:g} s", reached) from error
        except TimeoutError as error:
            raise NoReply("timeout", f"no reply within {self._timeout_seconds:g} s", reached, begun=True) from error
        except _Unusable as error:
            raise NoReply(error.cause, str(error), reached, begun) from error
        except aiohttp.ClientPayloadError as error:
            raise NoReply("truncated", "a reply that broke off", reached, begun) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NoReply("connection", str(error) or type(error).__name__, reached) from error


class _Unusable(Exception):
    """A body that cannot be read."""

    def __init__(self, cause: str, detail: str) -> None:
        self.cause = cause
        super().__init__(detail)


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """The response's body, inflated, up to a limit that holds for both. Raises :class:`_Unusable`."""
    chunks, size = [], 0
    async for chunk in response.content.iter_any():
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise _Unusable("too large", _TOO_LARGE)
    data, encoding = b"".join(chunks), response.headers.get("Content-Encoding", "identity").lower()
    if encoding in ("identity", ""):
        return data
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise _Unusable("malformed", f"a reply packed as {encoding[:20]!r}, which was not asked for")
    return _inflated(data)


def _inflated(data: bytes) -> bytes:
    # zlib finds out whether a header is gzip's or its own; raw streams, which some servers call deflate, have none.
    for window in (47, -15):
        try:
            inflater = zlib.decompressobj(window)
            inflated = inflater.decompress(data, MAX_BODY_BYTES)
        except zlib.error:
            continue
        if inflater.unconsumed_tail:
            raise _Unusable("too large", _TOO_LARGE)
        return inflated
    raise _Unusable("malformed", "a reply that cannot be inflated")
