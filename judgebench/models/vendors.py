"""What is known of the vendors of served models: how they are called, what they ask for tokens, and until when they
serve a model.

These are tables that ship with the program (``templates/vendors.toml``, ``prices.toml``, ``shutdowns.toml``), each
entry with its source and day. A vendor is known by the host that is called, so a server elsewhere that gives its model
a vendor's name is nobody's concern here. No vendor is asked; ``http.listing`` does that.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from functools import cache
from typing import Any, Literal, TypeVar
from urllib.parse import quote, urlsplit

import msgspec
from msgspec import Struct, field

from judgebench.data.resources import resource
from judgebench.errors import UsageError
from judgebench.models.pricing import Price

T = TypeVar("T")
STALE_DAYS = 90
"""A price list of this age is doubted."""
SOON_DAYS = 60
"""A shutdown is mentioned from this many days before it."""
_VARIABLE = re.compile(r"\{([A-Z][A-Z0-9_]*)\}")
_DATED = re.compile(r"(?:[-@](?:\d{4}-\d{2}-\d{2}|\d{8}|\d{4}|latest))$")
_PREVIEW = re.compile(r"-\d{4}-preview$|-preview-\d{2}-(?:\d{2}|\d{4})$")
"""A preview's date, before that word or behind it. Nothing is listed without it, so it is no part of ``_DATED``."""


def today() -> date:
    """The day it is, or that ``JUDGEBENCH_TODAY`` names: what will be served, and what is known, on another day."""
    given = os.environ.get("JUDGEBENCH_TODAY")
    if not given:
        return datetime.now(UTC).date()
    try:
        return date.fromisoformat(given)
    except ValueError as error:
        raise UsageError(f"JUDGEBENCH_TODAY={given!r:.40} is not a day; write it as 2027-01-31, or unset it") from error


class RateHeaders(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The headers by which an endpoint tells one limit."""

    kind: Literal["requests", "tokens", "prompt", "reply"]
    """What is limited: requests, all their tokens, those of prompts alone, those of replies alone."""
    limit: str
    left: str
    reset: str = ""
    """Empty if the endpoint does not tell when the allowance is back."""
    window: float = 0.0
    """Seconds in which all of it comes back, for an endpoint that does not tell."""


class PriceList(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a vendor asks."""

    source: str
    """Where the prices were read."""
    as_of: date
    """The last day on which the prices can be taken to be those of the vendor's page."""
    usd_per_million: dict[str, tuple[float, float]]
    """Model → USD for a million prompt tokens and a million completion tokens."""
    later: dict[str, dict[str, tuple[float, float]]] = {}
    """Day → prices that hold from then on."""
    batch: float = 1.0
    """What share of these prices is asked for tokens of a batch."""
    note: str = ""
    """What the prices leave out."""

    def price(self, model: str) -> Price | None:
        """What a model's tokens cost today, if that is known."""
        listed = dict(self.usd_per_million)
        for day in sorted(self.later):
            if today() >= date.fromisoformat(day):
                listed |= self.later[day]
        found = _entry(listed, model)
        return None if found is None else Price(prompt=found[0], completion=found[1], batch=self.batch)

    def listed(self, model: str) -> str | None:
        """The name under which its price list has a model: its own, or that without the date at its end."""
        return next((name for name in (model, _DATED.sub("", model)) if name in self.usd_per_million), None)

    @property
    def age_days(self) -> int:
        """The age of its price list."""
        return (today() - self.as_of).days


class Vendor(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who serves models at some hosts: how it is called, and its prices, if they are known."""

    title: str
    """Its name in messages."""
    prefixes: tuple[str, ...]
    """What stands before the colon of a model spec; the first is the usual one."""
    hosts: tuple[str, ...]
    address: str
    """Where it is called; environment variables stand in braces."""
    dated_address: str = ""
    """The same with an ``{api_version}``, if it has dated versions."""
    keys: tuple[str, ...]
    """Environment variables that hold the key; the first that is set is used."""
    key_header: str = ""
    """A header that holds the key besides the usual one."""
    protocol: Literal["chat", "messages"]
    logprobs: Literal["yes", "no", "some", "unknown"]
    batch_api: bool = field(name="batch")
    thinking: dict[str, dict[str, Any]] = {}
    """What ``on`` and ``off`` add to a request's body."""
    max_completion_tokens: bool = False
    """Whether the token limit has its newer name from the first request on."""
    refuses: tuple[str, ...] = ()
    """Settings that are left out from the first request on."""
    rate_headers: tuple[RateHeaders, ...] = ()
    """Headers that tell limits, besides the usual ones."""
    quirks: str = field(default="", name="note")
    models_page: str
    """The page that lists its models."""
    facts: str
    """The page where most of the above was read."""
    facts_as_of: date
    not_read: tuple[str, ...] = ()
    """The keys of the table, of those above, that no page of the vendor's was found for."""
    prices: PriceList | None = None

    @property
    def prefix(self) -> str:
        """What stands before the colon of a model spec."""
        return self.prefixes[0]

    def place(self, model: str, api_version: str | None = None) -> str:
        """Where a model is called. Raises :class:`UsageError` for a variable in the address that is not set."""
        template = self.dated_address if api_version and self.dated_address else self.address
        missing = [name for name in _VARIABLE.findall(template) if not os.environ.get(name, "").strip()]
        if missing:
            raise UsageError(
                f"{self.prefix}:{model} is called at {template}, but the environment variable {missing[0]} is not set. "
                f"Set it, or give the address with --endpoint."
            )
        found = _VARIABLE.sub(lambda name: os.environ[name[1]].strip().rstrip("/"), template)
        return found.replace("{model}", quote(model, safe="")).replace(
            "{api_version}", quote(api_version or "", safe="")
        )

    def key_variable(self) -> str:
        """The variable that holds the key: the first that is set, else the first."""
        return next((name for name in self.keys if os.environ.get(name, "").strip()), self.keys[0])

    def price(self, model: str) -> Price | None:
        """What a model's tokens cost today, if that is known."""
        return None if self.prices is None else self.prices.price(model)

    def listed(self, model: str) -> str | None:
        """The name under which its price list has a model, if it has one and the model is in it."""
        return None if self.prices is None else self.prices.listed(model)

    @property
    def batch(self) -> float:
        """What share of its prices is asked for tokens of a batch."""
        return 1.0 if self.prices is None else self.prices.batch


class _Source(Struct, frozen=True, forbid_unknown_fields=True):
    page: str
    as_of: date


class Shutdown(Struct, frozen=True, kw_only=True):
    """The end of a model at its vendor's own address."""

    model: str
    vendor: str
    """The vendor's name in messages."""
    day: date
    """The first day on which the vendor serves it no longer."""
    replaced_by: str | None
    """The model that the vendor recommends in its place."""
    answered_by: str | None
    """The model that from that day answers under the old name; ``None`` if nobody does."""
    source: str
    """The page that says so."""
    as_of: date
    """When that page was read."""

    @property
    def days_left(self) -> int:
        """Days until then: 0 or less if it is over."""
        return (self.day - today()).days

    @property
    def over(self) -> bool:
        """Whether the vendor serves the model no longer."""
        return self.days_left <= 0

    @property
    def soon(self) -> bool:
        """Whether it is over, or will be within two months."""
        return self.days_left <= SOON_DAYS

    @property
    def short(self) -> str:
        """The fact in a few words."""
        if not self.over:
            return f"served until {self.day}"
        return (
            f"since {self.day} answered by {self.answered_by}" if self.answered_by else f"not served since {self.day}"
        )

    @property
    def sentence(self) -> str:
        """The fact as a clause, once it is over, with the vendor's advice."""
        if self.answered_by:
            fact = f"since {self.day} {self.vendor} has {self.answered_by} answer under this name"
        else:
            fact = f"{self.vendor} has not served it since {self.day}"
        advice = f"; it recommends {self.replaced_by}" if self.replaced_by not in (None, self.answered_by) else ""
        return f"{fact} ({self.source}, as of {self.as_of}){advice}"


class _Entry(Struct, frozen=True, forbid_unknown_fields=True):
    vendor: str
    day: date
    models: tuple[str, ...]
    replaced_by: str | None = None
    answered_by: str | None = None


class _Shutdowns(Struct, frozen=True, forbid_unknown_fields=True):
    sources: dict[str, _Source]
    shutdowns: tuple[_Entry, ...]


@cache
def vendors() -> Mapping[str, Vendor]:
    """All vendors by their short names, such as ``openai``."""
    lists = msgspec.convert(_table("prices.toml")["vendors"], dict[str, PriceList])
    return {
        name: msgspec.structs.replace(vendor, prices=lists.get(name)) for name, vendor in callable_vendors().items()
    }


@cache
def callable_vendors() -> Mapping[str, Vendor]:
    """The same without their prices, for those who only call them."""
    return msgspec.convert(_table("vendors.toml"), dict[str, Vendor])


def price_lists() -> Mapping[str, PriceList]:
    """The price lists by the vendors' short names."""
    return {name: vendor.prices for name, vendor in vendors().items() if vendor.prices is not None}


def vendor_at(address: str) -> Vendor | None:
    """The vendor whose host this URL names, if it is a known one."""
    try:
        host = urlsplit(address).hostname
    except ValueError:
        return None
    return next((vendor for vendor in vendors().values() if host in vendor.hosts), None)


def shutdown(vendor: Vendor, model: str) -> Shutdown | None:
    """When a vendor stops, or stopped, serving a model; ``None`` if no day is known."""
    return _entry(_shutdowns().get(vendor.title, {}), model)


def ends_as_of() -> date:
    """When the first of the pages that announce ends was read: of each of them this much is known."""
    return min(source.as_of for source in _shutdown_table().sources.values())


def is_dated(model: str) -> bool:
    """Whether a model's name says of which day it is, so that no vendor can let it mean another model.

    >>> is_dated("gpt-4.1-2025-04-14"), is_dated("gpt-4.1"), is_dated("gpt-4-latest")
    (True, False, False)
    >>> is_dated("gpt-4-0613"), is_dated("gpt-4-1106-preview"), is_dated("gemini-2.5-pro-preview-03-25")
    (True, True, True)
    """
    return bool(_DATED.search(model) or _PREVIEW.search(model)) and not model.endswith("latest")


def near(name: str, known: Iterable[str]) -> list[str]:
    """Up to three of the known names that look like this one, the likeliest first."""
    by_folded = {other.casefold(): other for other in known}
    return [by_folded[match] for match in difflib.get_close_matches(name.casefold(), by_folded, n=3, cutoff=0.6)]


@cache
def _shutdown_table() -> _Shutdowns:
    return msgspec.convert(_table("shutdowns.toml"), _Shutdowns)


@cache
def _shutdowns() -> Mapping[str, Mapping[str, Shutdown]]:
    """The ends of models, by their vendor's name in messages and their own."""
    table = _shutdown_table()
    found: dict[str, dict[str, Shutdown]] = {}
    for entry in table.shutdowns:
        title, source = vendors()[entry.vendor].title, table.sources[entry.vendor]
        for model in entry.models:
            found.setdefault(title, {})[model] = Shutdown(
                model=model,
                vendor=title,
                day=entry.day,
                replaced_by=entry.replaced_by,
                answered_by=entry.answered_by,
                source=source.page,
                as_of=source.as_of,
            )
    return found


def _table(name: str) -> dict[str, object]:
    return tomllib.loads((resource("templates") / name).read_text("utf-8"))


def _entry(table: Mapping[str, T], model: str) -> T | None:
    """A model's entry: its own, else that of its name without the date at its end."""
    return table.get(model, table.get(_DATED.sub("", model)))
