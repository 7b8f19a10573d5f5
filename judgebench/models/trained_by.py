"""Which vendor trained a model, by its name: ``templates/model_vendors.toml``, and what the user says instead.

Who serves a model, and for what price, is another question: ``vendors``.
"""

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import msgspec

from judgebench.data.resources import resource
from judgebench.data.rows import read_rows
from judgebench.errors import UsageError

COLUMNS = ("model", "vendor")
Vendors = Mapping[str, str | None]
"""What the user says: a model's vendor by its name, ``None`` for nobody that makes judges."""
NO_VENDORS: Vendors = {}


class _Maker(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    orgs: tuple[str, ...]
    models: tuple[str, ...]
    weights: tuple[str, ...] = ()


def vendor_of(model: str, own: Vendors = NO_VENDORS) -> str | None:
    """Who trained the model of this name; ``None`` if nobody knows.

    >>> vendor_of("gpt-4.1"), vendor_of("google/gemma-2-9b-it"), vendor_of("gemma-2-9b-it-SimPO"), vendor_of("my-sft")
    ('openai', 'google', None, None)
    """
    if model in own:
        return own[model]
    org, _, name = model.strip().casefold().rpartition("/")
    return next(
        (vendor for vendor, maker in _makers().items() if org in maker.orgs or _fits(maker.models, name)),
        None,
    )


def base_vendor_of(model: str, own: Vendors = NO_VENDORS) -> str | None:
    """Who trained the open weights that a model of somebody else was made from, as far as its name says so.

    >>> base_vendor_of("gemma-2-9b-it-SimPO"), base_vendor_of("google/gemma-2-9b-it"), base_vendor_of("my-sft")
    ('google', None, None)
    """
    vendor, name = vendor_of(model, own), model.strip().casefold().rpartition("/")[2]
    return next(
        (base for base, maker in _makers().items() if base != vendor and _fits(maker.weights, name)),
        None,
    )


def read_vendors(path: Path | None) -> Vendors:
    """What a table of the user's says, with the columns ``model`` and ``vendor``; an empty vendor is nobody's.

    Raises :class:`UsageError` if it is no such table.
    """
    if path is None:
        return NO_VENDORS
    found: dict[str, str | None] = {}
    for row in read_rows(path, "a table of vendors"):
        if missing := [name for name in COLUMNS if name not in row.fields]:
            raise row.error(f"the columns model and vendor were expected, and {' and '.join(missing)} is missing")
        model = row.text("model").strip()
        if model in found:
            raise row.error(f"the model {model[:80]!r} stands there twice")
        found[model] = (row.value("vendor") or "").strip().casefold() or None
    if not found:
        raise UsageError(f"{path} names no model; write a table with the columns model and vendor")
    return found


def _fits(patterns: tuple[str, ...], name: str) -> bool:
    return any(re.fullmatch(pattern, name) for pattern in patterns)


@cache
def _makers() -> Mapping[str, _Maker]:
    table = tomllib.loads((resource("templates") / "model_vendors.toml").read_text("utf-8"))
    return msgspec.convert(table, dict[str, _Maker])
