"""Text from models and files made safe to show: it cannot move a cursor, colour a line or turn its direction."""

import unicodedata

_KEPT = "\t"


def printable(text: str, limit: int | None = None) -> str:
    """The text with control, bidirectional and other invisible characters written as escapes, cut to ``limit``.

    >>> printable("a\\x1b[31mb\\u202ec")
    'a\\\\x1b[31mb\\\\u202ec'
    """
    if limit is not None and len(text) > limit:
        text = text[: max(0, limit - 1)] + "…"
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if _shows(character) else _escape(character) for character in text)


def _shows(character: str) -> bool:
    return character in _KEPT or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def cell(text: str, limit: int = 60) -> str:
    """A value for one cell of a terminal or Markdown table: one line, no markup."""
    return printable(text.replace("\n", "⏎"), limit)
