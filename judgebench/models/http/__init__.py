"""Models behind an HTTP endpoint: three wire protocols, one client that paces, retries and counts.

Which backend a model spec names is decided in ``models.opening``; replies are stored by ``models.call_store``.
"""

import os
from urllib.parse import urlsplit

from judgebench.errors import UsageError
from judgebench.models.vendors import callable_vendors

MOST_ADDRESSES = 32
"""No model is called at more addresses."""


def own_address(vendor: str) -> str:
    """Where OpenAI or Anthropic serves its own models."""
    return callable_vendors()[vendor].address


def openai_address() -> str:
    """Where OpenAI's models are called: at OpenAI, or at the endpoint that OPENAI_BASE_URL names."""
    return os.environ.get("OPENAI_BASE_URL") or own_address("openai")


def anthropic_address(base_url: str | None = None) -> str:
    """Where Anthropic's models are called: at ``base_url``, at the endpoint of ANTHROPIC_BASE_URL, or at Anthropic."""
    return base_url or os.environ.get("ANTHROPIC_BASE_URL") or own_address("anthropic")


def addresses_of(text: str) -> list[str]:
    """The addresses in a text, between bars. One without a path has that of the last.

    Raises :class:`UsageError` for a text that is none.

    >>> addresses_of("http://a:8000|http://b:8000/v1")
    ['http://a:8000/v1', 'http://b:8000/v1']
    """
    found = [part.strip() for part in text.split("|")] if text else []
    if not all(found) or len(found) > MOST_ADDRESSES:
        raise UsageError(
            f"several addresses of one model stand between bars, http://A|http://B/v1, and are {MOST_ADDRESSES} at "
            f"most; {len(found)} were found, {sum(not one for one in found)} of them empty"
        )
    if len(found) < 2:
        return found
    path = _path(found[-1])
    return [one.rstrip("/") + path if not _path(one) and "?" not in one else one for one in found]


def _path(address: str) -> str:
    try:
        return urlsplit(address).path.rstrip("/")
    except ValueError:
        return ""
