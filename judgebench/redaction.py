"""Secrets kept out of everything that is shown or stored, in whatever form a server gives them back."""

import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus, unquote, unquote_plus

REDACTED = "[key]"
KEY_LIKE = re.compile(r"\b(sk|pk|gsk|xai)[-_][\w*.-]{6,}")
"""How the vendors' keys begin: shown in no message, whoever's they are."""
SHORTEST = 6
"""Characters of a secret that is looked for in replies too: a shorter one is a syllable of some word."""


class Redactor:
    """Takes the secrets of one endpoint out of text: as they are, percent-encoded, decoded, as JSON escapes them."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets for form in _forms(secret) if form}
        self._all = _pattern(forms)
        self._unmistakable = _pattern({form for form in forms if _unmistakable(form)})

    def reply(self, text: str) -> str:
        """A model's words without the secrets; a password that could be one of those words stays."""
        return text if self._unmistakable is None else self._unmistakable.sub(REDACTED, text)

    def message(self, text: str) -> str:
        """A message without the secrets, and without whatever looks like a key."""
        return KEY_LIKE.sub(REDACTED, text if self._all is None else self._all.sub(REDACTED, text))


known: list[Redactor] = []
"""Of every endpoint that this process has opened: what it prints of an error goes through all of them."""


def redacted(text: str) -> str:
    """A message without the secrets of any endpoint."""
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
    """Longest first, so that no form is taken out of the middle of another; hexadecimal digits have no case.

    A short one is looked for where it stands by itself.
    """
    if not forms:
        return None
    listed = sorted(forms, key=len, reverse=True)
    words = (re.escape(form) if len(form) >= SHORTEST else rf"(?<!\w){re.escape(form)}(?!\w)" for form in listed)
    return re.compile("|".join(words), re.I)
