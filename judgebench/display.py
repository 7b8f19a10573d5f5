"""Text from models and files made safe to show: it cannot move a cursor, colour a line or turn its direction."""

import html
import re
import unicodedata
from collections.abc import Iterable

_KEPT = "\t"
_TEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "`": "{`}",
    "*": "{*}",
    "[": "{[}",
    "]": "{]}",
    **{character: f"\\{character}" for character in "{}$&#%_"},
    "–": "--",
    "\0": "{}",  # not of the text, of which none is left: it keeps two hyphens from becoming a dash
    "…": r"\ldots{}",
}


SHOWN_NAMES = 3
"""How many names of what has one reason in common a line holds."""


def reasons(given: Iterable[tuple[str, str | None]], between: str = ": ") -> list[str]:
    """A line for each reason, with the names of what it is about; what has none is left out.

    >>> reasons([("a", "no items"), ("b", None), ("c", "no items"), ("d", "ties")])
    ['a, c: no items', 'd: ties']
    """
    named: dict[str, dict[str, None]] = {}
    for name, why in given:
        if why is not None:
            named.setdefault(why, {})[name] = None
    lines = []
    for why, names in named.items():
        shown = list(names)[: SHOWN_NAMES if len(names) > SHOWN_NAMES + 1 else None]
        more = f" and {len(names) - len(shown)} more" if len(shown) < len(names) else ""
        lines.append(f"{', '.join(shown)}{more}{between}{why}")
    return lines


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


def slug(name: str) -> str:
    """A model's name as a folder name: no separators, dots in front, control characters or endless length."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:80] or "model"


def is_plain_name(text: str) -> bool:
    """Whether a name is made of letters, digits, ``-`` and ``_`` alone, so that it is the name of its folder, too."""
    return re.fullmatch(r"[A-Za-z0-9_]+(?:-[A-Za-z0-9_]+)*", text) is not None and slug(text) == text


def markdown(text: str) -> str:
    """Text for a cell of a Markdown table: neither markup, a link, HTML, a mention nor the end of the cell.

    >>> markdown("a | b <i> *c*")
    'a \\\\| b \\\\<i\\\\> \\\\*c\\\\*'
    """
    shown = re.sub(r"([\\|`*_<>\[\]~#&!$])", r"\\\1", cell(text, len(text)))
    # An address becomes a link without any markup.
    shown = re.sub(r"(?i)(?<=http)(?=:)|(?<=https)(?=:)|(?<=www)(?=\.)|(?<=ftp)(?=:)", r"\\", shown)
    # GitHub tells whoever is named after an @ that follows no letter, escaped or not, unless something stands between
    # the two; and a name@v2.0 becomes an address to write to.
    return re.sub(r"(?<![A-Za-z0-9])@|@(?=[\w\\-]+\.)", "@<!-- -->", shown)


def markup(text: str) -> str:
    """Text for HTML, within an element or a quoted attribute; ASCII, so that no declared encoding can change it.

    >>> markup("<b> é")
    '&lt;b&gt; &#233;'
    """
    return html.escape(printable(text)).encode("ascii", "xmlcharrefreplace").decode()


def latex(text: str) -> str:
    """Text for LaTeX: no command, and nothing that a plain pdflatex cannot set (it shows as its code point).

    >>> latex("100 % of a_b 模")
    '100 \\\\% of a\\\\_b \\\\texttt{U+6A21}'
    """
    shown = re.sub("-(?=-)", "-\0", printable(text.replace("\n", " ")).replace("\t", " "))
    return "".join(
        _TEX.get(c) or (c if ord(c) < 128 or 0xC0 <= ord(c) < 256 else f"\\texttt{{U+{ord(c):04X}}}") for c in shown
    )


def figure(value: float | None, unit: str, *, signed: bool = False) -> str:
    """A number in the unit of a score; a dash where there is none, and never a zero with a minus.

    >>> figure(-0.001, "percent"), figure(-1.25, "points", signed=True), figure(2155.2, "characters")
    ('0.00', '-1.25', '2155')
    """
    if value is None:
        return "–"
    digits = 0 if unit == "characters" else 2
    return f"{round(value, digits) + 0.0:{'+' if signed else ''}.{digits}f}"
