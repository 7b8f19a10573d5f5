"""Word tokens as NLTK 3.9.1's ``word_tokenize`` makes them from a sentence, for the count of words in capitals.

The substitutions and their order are those of ``nltk/tokenize/destructive.py`` (Apache-2.0). Its two rules for a final
period take quadratic time on a run of spaces; here they look from the end of the sentence and take linear time.
"""

import re
from collections.abc import Iterable

_OPENING = (
    (re.compile("([«“‘„]|`+)"), r" \1 "),
    (re.compile('^"'), "``"),
    (re.compile("(``)"), r" \1 "),
    (re.compile(r"([ (\[{<])(\"|'{2})"), r"\1 `` "),
    (re.compile(r"(')(?!re|ve|ll|m|t|s|d|n)(\w)\b", re.IGNORECASE), r"\1 \2"),
)
_PUNCTUATION = (
    (re.compile(r"([:,])([^\d])"), r" \1 \2"),
    (re.compile(r"([:,])$"), r" \1 "),
    (re.compile(r"\.{2,}"), r" \g<0> "),
    (re.compile(r"[;@#$%&]"), r" \g<0> "),
)
_MORE_PUNCTUATION = (
    (re.compile(r"[?!]"), r" \g<0> "),
    (re.compile(r"([^'])' "), r"\1 ' "),
    (re.compile(r"[*]"), r" \g<0> "),
    (re.compile(r"[\]\[(){}<>]"), r" \g<0> "),
    (re.compile(r"--"), r" -- "),
)
_CLOSING = (
    (re.compile("([»”’])"), r" \1 "),
    (re.compile("''"), " '' "),
    (re.compile('"'), " '' "),
    (re.compile(r"\s+"), " "),
    (re.compile(r"([^' ])('[sS]|'[mM]|'[dD]|') "), r"\1 \2 "),
    (re.compile(r"([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) "), r"\1 \2 "),
)
_CONTRACTIONS = tuple(
    (re.compile(pattern, re.IGNORECASE), r" \1 \2 ")
    for pattern in (
        r"\b(can)(not)\b",
        r"\b(d)('ye)\b",
        r"\b(gim)(me)\b",
        r"\b(gon)(na)\b",
        r"\b(got)(ta)\b",
        r"\b(lem)(me)\b",
        r"\b(more)('n)\b",
        r"\b(wan)(na)(?=\s)",
        r" ('t)(is)\b",
        r" ('t)(was)\b",
    )
)


def word_tokens(sentence: str) -> list[str]:
    """The tokens of one sentence.

    >>> word_tokens("HE CAN'T STOP.")
    ['HE', 'CA', "N'T", 'STOP', '.']
    """
    text = _substitute(_OPENING, sentence)
    text = _split_period(text, "])}>\"'»”’ ", " ")
    text = _substitute(_PUNCTUATION, text)
    text = _split_period(text, "])}>\"'", "")
    text = _substitute(_MORE_PUNCTUATION, text)
    text = _substitute(_CLOSING, f" {text} ")
    return _substitute(_CONTRACTIONS, text).split()


def _substitute(rules: Iterable[tuple[re.Pattern[str], str]], text: str) -> str:
    for pattern, replacement in rules:
        text = pattern.sub(replacement, text)
    return text


def _split_period(text: str, closers: str, between: str) -> str:
    r"""A final period, followed by nothing but closers and then whitespace, set apart from what stands before it.

    As ``re.sub(r"([^.])(\.)([closers]*)\s*$", r"\1 \2" + between + r"\3 ", text)``.
    """
    last = len(text.rstrip().rstrip(closers))
    if last < 2 or text[last - 1] != "." or text[last - 2] == ".":
        return text
    rest = text[last:]
    closing = rest[: len(rest) - len(rest.lstrip(closers))]
    return f"{text[: last - 1]} .{between}{closing} "
