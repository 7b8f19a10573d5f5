"""Asks an endpoint which models it lists: ``GET …/models``, which costs nothing.

The list says whether a name is known there, and with some servers what the tokens cost (OpenRouter, Together) or when a
model ends (OpenAI). It is asked once, briefly, and nothing depends on an answer: a server without a list, or that says
nonsense, has none.
"""

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import date
from typing import Any

from msgspec import Struct
from yarl import URL

from judgebench.models.http.endpoint import Endpoint
from judgebench.models.pricing import Price

CONNECT_SECONDS, LONGEST_SECONDS = 5.0, 10.0
LARGEST_BYTES = 16 * 2**20
MOST_MODELS = 20_000
LONGEST_NAME = 200


class ListedModel(Struct, frozen=True):
    """What an endpoint says of one of its models."""

    name: str
    price: Price | None = None
    shutdown: date | None = None
    """The day from which it is served no longer."""


def listed_models(endpoint: Endpoint) -> Mapping[str, ListedModel] | None:
    """The models that the endpoint lists, by name; ``None`` if no list can be had."""
    try:
        found = json.loads(_fetch(endpoint))
    except (OSError, ValueError, RecursionError, http.client.HTTPException):
        return None
    rows = found.get("data") if isinstance(found, dict) else found
    if not isinstance(rows, list):
        return None
    models = [_read(row) for row in rows[:MOST_MODELS] if isinstance(row, dict) and isinstance(row.get("id"), str)]
    return {model.name: model for model in models if len(model.name) <= LONGEST_NAME} or None


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """The key is meant for this address and for no other."""

    def redirect_request(self, *_: Any) -> None:
        """Follow nothing: the redirect is an error."""


def list_url(endpoint: Endpoint) -> URL:
    """Where the endpoint lists its models: beside the path of its calls."""
    versions = endpoint.wire.path.split("/")[:1] if endpoint.wire.path.startswith("v1/") else []
    base = URL(endpoint.address)
    for part in (*versions, "models"):
        base /= part
    return base.with_query(endpoint.url.query)


def _fetch(endpoint: Endpoint) -> bytes:
    url = list_url(endpoint)
    headers = {name: value for name, value in endpoint.headers.items() if name != "Accept-Encoding"}
    request = urllib.request.Request(str(url), headers=headers)
    end, parts, size = time.monotonic() + LONGEST_SECONDS, [], 0
    with urllib.request.build_opener(NoRedirect).open(request, timeout=CONNECT_SECONDS) as reply:
        while part := reply.read1(2**16):
            size += len(part)
            parts.append(part)
            if size > LARGEST_BYTES or time.monotonic() > end:
                raise OSError("the list is too long, or takes too long")
    return b"".join(parts)


def _read(row: Mapping[str, Any]) -> ListedModel:
    try:
        shutdown = date.fromisoformat(row.get("shutdown_date") or "")
    except (TypeError, ValueError):
        shutdown = None
    return ListedModel(row["id"], _price(row.get("pricing")), shutdown)


def _price(pricing: Any) -> Price | None:
    """USD for a token as OpenRouter writes it (``prompt``), or for a million as Together does (``input``)."""
    if not isinstance(pricing, dict):
        return None
    for prompt, completion, unit in (("prompt", "completion", 1e6), ("input", "output", 1.0)):
        try:
            return Price(
                prompt=round(float(pricing[prompt]) * unit, 6), completion=round(float(pricing[completion]) * unit, 6)
            )
        except (KeyError, TypeError, ValueError, OverflowError):
            continue
    return None
