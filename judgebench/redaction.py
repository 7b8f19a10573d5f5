"""Keeps secrets out of everything that is shown or stored, in whatever form a server returns them."""

import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus, unquote, unquote_plus

REDACTED = "[key]"
KEY_LIKE = re.compile(r"\b(sk|pk|gsk|xai)[-_][\w*.-]{6,}")
"""What looks like a vendor's key. No message shows it, whoever it belongs to."""
SHORTEST = 6
"""Minimum length of a secret that is also removed from replies; a shorter one may be part of a word."""


class Redactor:
    """Removes the secrets of one endpoint from text: as they are, percent-encoded, decoded or escaped for JSON."""

    def __init__(self, secrets: Iterable[str]) -> None:
        # The placeholder has this word itself, so replacing it would only nest placeholders.
        forms = {
            form for secret in secrets for form in _forms(secret) if form.lower() not in ("", REDACTED.strip("[]"))
        }
        self._all = _pattern(forms)
        self._unmistakable = _pattern({form for form in forms if _unmistakable(form)})

    def reply(self, text: str) -> str:
        """Remove the secrets from a model's reply, except a password that could be an ordinary word."""
        return text if self._unmistakable is None else self._unmistakable.sub(REDACTED, text)

    def message(self, text: str) -> str:
        """Remove the secrets, and whatever looks like a key, from a message."""
        return KEY_LIKE.sub(REDACTED, text if self._all is None else self._all.sub(REDACTED, text))


known: list[Redactor] = []
"""One for every endpoint that this process has opened. Every error that is printed goes through all of them."""


def redacted(text: str) -> str:
    """Remove the secrets of all endpoints from a message."""
    for redactor in known:
        text = redactor.message(text)
    return KEY_LIKE.sub(REDACTED, text)


def _forms(secret: str) -> set[str]:
    plain = {secret, unquote(secret), unquote_plus(secret), secret.replace("+", " ")}
    encoded = {encode(form, safe=safe) for form in plain for encode in (quote, quote_plus) for safe in ("", "/")}
    return {escaped for form in plain | encoded for escaped in (form, form.replace("/", "\\/"))}


def _unmistakable(form: str) -> bool:
    return len(form) >= 2 * SHORTEST or (len(form) >= SHORTEST and not form.isalpha())


def _pattern(forms: set[str]) -> "re.Pattern[str] | None":
    """Match the longest form first, so that no form is cut out of another; hexadecimal digits ignore case.

    A short form matches only where it stands alone.
    """
    if not forms:
        return None
    listed = sorted(forms, key=len, reverse=True)
    words = (re.escape(form) if len(form) >= SHORTEST else rf"(?<!\w){re.escape(form)}(?!\w)" for form in listed)
    return re.compile("|".join(words), re.I)
