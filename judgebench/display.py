"""Makes text from models and files safe to show, and writes numbers as people read them.

Shown text cannot move the cursor, colour a line or reverse its direction. Tables are built in ``cli``.
"""

import re
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches

COMMAND = re.compile(r"`judgebench [^`]+`|(?:(?<=: )|^)judgebench [^`]+$")
"""A command in a line of ours: in backticks, or after a colon to the end. Folded, it could not be pasted."""
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
    "\0": "{}",  # never part of the text by now: it keeps two hyphens from becoming a dash
    "…": r"\ldots{}",
    **{
        character: f"$\\{name}$"
        for character, name in {
            "≥": "geq", "≤": "leq", "±": "pm", "×": "times", "÷": "div", "·": "cdot", "→": "rightarrow",
            "←": "leftarrow", "↑": "uparrow", "↓": "downarrow", "∞": "infty", "≈": "approx", "≠": "neq", "√": "surd",
            "∈": "in", "∼": "sim", "∆": "Delta", "Σ": "Sigma", "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta",
            "ε": "varepsilon", "ϵ": "epsilon", "ζ": "zeta", "η": "eta", "θ": "theta", "ι": "iota", "κ": "kappa",
            "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi", "π": "pi", "ρ": "rho", "σ": "sigma", "ς": "varsigma",
            "τ": "tau", "υ": "upsilon", "φ": "varphi", "ϕ": "phi", "χ": "chi", "ψ": "psi", "ω": "omega",
            "Γ": "Gamma", "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda", "Ξ": "Xi", "Π": "Pi", "Υ": "Upsilon",
            "Φ": "Phi", "Ψ": "Psi", "Ω": "Omega",
        }.items()
    },
    **dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΧο", "ABEZHIKMNOPTXo", strict=True)),  # Greek letters that look like Latin ones
    "−": "$-$", "—": "---", "‑": "-", "‐": "-", "\xa0": "~", "\u202f": r"\,", "‘": "`", "’": "'", "“": "``",
    "”": "''", "„": ",,", "′": "$'$", "•": r"\textbullet{}", "°": r"\textdegree{}", "µ": r"\textmu{}",
    "€": r"\texteuro{}", "£": r"\pounds{}", "©": r"\textcopyright{}", "®": r"\textregistered{}",
    "™": r"\texttrademark{}", "§": r"\S{}", "¶": r"\P{}", "¹": r"\textsuperscript{1}",
    "²": r"\textsuperscript{2}", "³": r"\textsuperscript{3}", "ı": r"\i{}", "ł": r"\l{}", "Ł": r"\L{}",
    "œ": r"\oe{}", "Œ": r"\OE{}", "⏎": " ",
}  # fmt: skip
_ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u", "\u0307": ".",
    "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0323": "d", "\u0327": "c", "\u0331": "b",
}  # fmt: skip
"""LaTeX's commands for accents, by the combining mark."""


SHOWN_NAMES = 3
"""How many of the names that share one reason a line shows."""


def reasons(given: Iterable[tuple[str, str | None]], between: str = ": ") -> list[str]:
    """Write a line for each reason, with the names that it applies to; names without a reason are left out.

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


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like this one, if one is.

    >>> nearest("evla", ["eval", "export"]), nearest("stone", ["eval", "export"])
    ('eval', None)
    """
    found = get_close_matches(word, list(known), n=1, cutoff=0.65)
    return found[0] if found else None


def did_you_mean(word: str, known: Iterable[str], before: str = "", after: str = "") -> str:
    """A part of a message about an unknown word, in brackets: the nearest known one, if there is one.

    >>> f"there is no preset simpo{did_you_mean('simpo', ['simpo-1', 'other'])}"
    'there is no preset simpo (did you mean simpo-1?)'
    """
    near = nearest(word, known)
    return f" (did you mean {before}{near}{after}?)" if near else ""


def counted(number: int, noun: str) -> str:
    """A number of things.

    >>> counted(1, "example"), counted(1200, "example")
    ('1 example', '1,200 examples')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def shortened(text: str, limit: int) -> str:
    """Cut a text to ``limit`` characters."""
    return text if len(text) <= limit else text[: max(0, limit - 1)] + "…"


def printable(text: str, limit: int | None = None) -> str:
    """Write control, bidirectional and other invisible characters as escapes, and cut the text to ``limit``.

    >>> printable("a\\x1b[31mb\\u202ec")
    'a\\\\x1b[31mb\\\\u202ec'
    """
    if limit is not None:
        text = shortened(text, limit)
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if _shows(character) else _escape(character) for character in text)


def _shows(character: str) -> bool:
    return character in _KEPT or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def cell(text: str, limit: int = 60) -> str:
    """Write a value for one cell of a terminal table: one line, without control characters."""
    return printable(text.replace("\n", "⏎"), limit)


def slug(name: str) -> str:
    """Turn a model's name into a folder name without separators, leading dots or control characters."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:80] or "model"


def is_plain_name(text: str) -> bool:
    """Whether a name has only letters, digits, ``-`` and ``_``, so that it can also be the name of its folder."""
    return re.fullmatch(r"[A-Za-z0-9_]+(?:-[A-Za-z0-9_]+)*", text) is not None and slug(text) == text


def is_metric_name(text: str) -> bool:
    """Whether a text is a word as metrics have it, such as ``win_rate`` or ``pass@10``, and not anything else.

    >>> is_metric_name("pass@10"), is_metric_name("pass@<b>")
    (True, False)
    """
    word, _, number = text.partition("@")
    return word.isidentifier() and text in (word, f"{word}@{number}" if number.isdecimal() else word)


def markdown(text: str) -> str:
    """Escape a text for a cell of a Markdown table: no markup, link, HTML or mention, and no end of the cell.

    >>> markdown("a | b <i> *c*")
    'a \\\\| b \\\\<i\\\\> \\\\*c\\\\*'
    """
    shown = re.sub(r"([\\|`*_<>\[\]~#&!$])", r"\\\1", cell(text, len(text)))
    # An address becomes a link without any markup.
    shown = re.sub(r"(?i)(?<=http)(?=:)|(?<=https)(?=:)|(?<=www)(?=\.)|(?<=ftp)(?=:)", r"\\", shown)
    # GitHub notifies whoever is named after an @ that follows no letter, even if it is escaped, unless something
    # stands between the two; and name@v2.0 becomes an e-mail address.
    return re.sub(r"(?<![A-Za-z0-9])@|@(?=[\w\\-]+\.)", "@<!-- -->", shown)


def latex(text: str) -> str:
    """Escape a text for LaTeX. What a plain pdflatex cannot set is shown as its code point.

    >>> latex("100 % of a_b 模 ≥ β")
    '100 \\\\% of a\\\\_b \\\\texttt{U+6A21} $\\\\geq$ $\\\\beta$'
    """
    shown = re.sub("-(?=-)", "-\0", printable(text.replace("\n", " ")).replace("\t", " "))
    return "".join(_TEX.get(c) or (c if ord(c) < 128 or _in_every_font(c) else _tex_of(c)) for c in shown)


def _in_every_font(character: str) -> bool:
    """Whether pdflatex sets a letter of Latin-1 without the package fontenc; it lacks those of Icelandic."""
    return 0xC0 <= ord(character) < 256 and character not in "ÐðÞþ"


def latex_caption(text: str) -> str:
    """Set a user's caption for LaTeX: plain text is escaped, and one with a command or a formula is LaTeX already.

    What would end it early is escaped in both.

    >>> latex_caption("100 % of a_b"), latex_caption("a_b with $x_1$, 95% of $n$")
    ('100 \\\\% of a\\\\_b', 'a\\\\_b with $x_1$, 95\\\\% of $n$')
    """
    if "\\" not in text and "$" not in text:
        return latex(text)
    found, formula = [], False
    for token in _LATEX_TOKEN.findall(_one_line(text)):
        formula = {"$": not formula, r"\(": True, r"\)": False}.get(token, formula)
        special = token in "%&#" or (token in "_^" and not formula)
        found.append("".join(latex(c) if special or not c.isascii() else c for c in token))
    return "".join(found)


def is_latex(text: str) -> bool:
    """Whether a caption's braces and formulas are closed, so that LaTeX does not read past its end."""
    opened: list[str] = []
    for token in _LATEX_TOKEN.findall(_one_line(text)):
        if token == "$" and "$" not in opened:
            opened.append("$")
        elif token in ("{", r"\("):
            opened.append(token)
        elif (token in _OPENERS and (not opened or opened.pop() != _OPENERS[token])) or token == "\\":
            return False
    return not opened


_LATEX_TOKEN = re.compile(r"\\(?:[A-Za-z]+|.)|.")
_OPENERS = {"}": "{", "$": "$", r"\)": r"\("}
"""What each of LaTeX's closing tokens closes."""


def _one_line(text: str) -> str:
    return " ".join(printable(text.replace("\n", " ")).split())


def _tex_of(character: str) -> str:
    """A letter with an accent as LaTeX writes it, and any other character as its code point."""
    letter, marks = (parts := unicodedata.normalize("NFD", character))[0], parts[1:]
    if letter.isascii() and letter.isalpha() and marks in _ACCENTS:
        dotless = letter in "ij" and marks[0] not in "\u0323\u0327\u0331"
        return f"\\{_ACCENTS[marks[0]]}{{{f'{chr(92)}{letter}' if dotless else letter}}}"
    return f"\\texttt{{U+{ord(character):04X}}}"


def latex_number(text: str, *, bold: bool = False) -> str:
    """Set a number for LaTeX: one with a sign is a formula, so that its minus is not a hyphen.

    >>> latex_number("5.40"), latex_number("-1.25"), latex_number("–")
    ('5.40', '$-1.25$', '--')
    """
    if not text.startswith(("-", "+")):
        return latex(text)
    return f"$\\mathbf{{{text}}}$" if bold else f"${text}$"


SMALLEST = 0.001
"""Smaller numbers are not told apart where space is short."""
_DIGITS = {"characters": ".0f", "coefficient": ".3f", "variance": ".4g", "share in percent": ".1f"}
"""Formats by unit. Numbers of all other units have two decimals."""
_ROUNDING = 1e-12
"""Less of a variance is what rounding leaves of none."""


def figure(value: float | None, unit: str = "", *, signed: bool = False, digits: int | None = None) -> str:
    """Write a number as its unit asks, or with so many ``digits`` after the point if the unit's numbers have any.

    A dash stands for ``None``, and zero never has a minus sign.

    >>> figure(-0.001, "percent"), figure(-1.25, "points", signed=True), figure(2155.2, "characters")
    ('0.00', '-1.25', '2155')
    """
    usual = _DIGITS.get(unit, ".2f")
    if unit == "variance" and value is not None and abs(value) < _ROUNDING:
        value = 0.0
    form = usual if digits is None or usual == ".0f" else f".{digits}f"
    return "–" if value is None else f"{value:{'+' if signed else ''}z{form}}"


def rough(value: float | None, unit: str = "") -> str:
    """Write a number that has at most three meaningful digits, with its unit.

    >>> rough(1.7825, "percent"), rough(None, "percent")
    ('1.78 percent', 'none')
    """
    return "none" if value is None else f"{value:.3g} {unit}".rstrip()


def interval(
    low: float | None, high: float | None, unit: str = "", *, signed: bool = False, digits: int | None = None
) -> str:
    """Write an interval as its unit asks, with "to" beside a sign; without an interval, the text is empty.

    >>> interval(2.624, 5.531, "percent"), interval(-1.5, 2, "points"), interval(None, None, "points")
    ('2.62 – 5.53', '-1.50 to 2.00', '')
    """
    if low is None or high is None:
        return ""
    ends = [figure(end, unit, signed=signed, digits=digits) for end in (low, high)]
    return (" to " if any(end.startswith(("-", "+")) for end in ends) else " – ").join(ends)


def brief(value: float | None) -> str:
    """A number in a few characters; a dash stands for ``None``.

    >>> brief(0.99999945), brief(0.00039), brief(1234.5), brief(0.25)
    ('1', '<0.001', '1234', '0.25')
    """
    if value is None:
        return "–"
    if 0 < abs(value) < SMALLEST:
        return f"{'>-' if value < 0 else '<'}{SMALLEST:g}"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3f}".rstrip("0").rstrip(".")


def ranks(low: int, high: int) -> str:
    """Write the ranks that a model may have.

    >>> ranks(1, 1), ranks(3, 4)
    ('1', '3 – 4')
    """
    return str(low) if low == high else f"{low} – {high}"


def percent(share: float | None, digits: int = 0) -> str:
    """Write a share from 0 to 1 in percent; a dash stands for ``None``.

    >>> percent(0.8312), percent(0.8312, 1)
    ('83 %', '83.1 %')
    """
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def chance(p: float | None) -> str:
    """Write a p-value for a table, with its meaningful digits; empty if there is none.

    >>> chance(0.0213), chance(0.0000213)
    ('0.021', '<0.001')
    """
    if p is None:
        return ""
    return f"{p:.3f}" if p >= 0.001 else "<0.001"


def p_value(p: float) -> str:
    """Write a p-value for a sentence.

    >>> p_value(0.0213), p_value(0.0000213)
    ('p = 0.021', 'p < 0.001')
    """
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"


def clock(seconds: float) -> str:
    """Seconds as people read them.

    >>> clock(7.9), clock(75), clock(3 * 3600 + 62)
    ('0:07', '1:15', '3:01:02')
    """
    minutes, rest = divmod(int(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def dollars(value: float) -> str:
    """A sum of money: small ones to a hundredth of a cent.

    >>> dollars(0.0421), dollars(12.3456), dollars(1234.5), dollars(0.0)
    ('$0.0421', '$12.35', '$1,234.50', '$0.00')
    """
    return f"${value:.4f}" if 0 < value < 1 else f"${value:,.2f}"
