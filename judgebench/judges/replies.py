"""MT-Bench's reading rules: ratings and labels in brackets.
Other benchmarks keep their rules in their own ``judges.py``.

The rules are MT-Bench's, to the letter: lm-sys/FastChat@0e6d3e4beaab66f4d3f93db72541a4abab8af28d:
fastchat/llm_judge/common.py (``run_judge_single``, ``run_judge_pair``).
"""

import math
import re
from collections.abc import Sequence

# Possessive digits: the same matches as upstream's, in time linear in the reply.
_NUMBER = r"(\d++\.?\d*+)"
_RATING, _RATING_SINGLE = re.compile(rf"\[\[{_NUMBER}\]\]"), re.compile(rf"\[{_NUMBER}\]")
_PAIR, _PAIR_SINGLE = re.compile(rf"\[\[{_NUMBER},\s?{_NUMBER}\]\]"), re.compile(rf"\[{_NUMBER},\s?{_NUMBER}\]")
RATING_BRACKETS = ("[[", "brackets")
"""How a prompt asks for a rating that is read here: it shows the brackets, or has the word."""
_TIE_DELTA = 0.1
"""Two ratings that are no further apart are a tie."""


def bracketed_rating(text: str) -> float | str:
    """Read the first number in double brackets, else the first in single ones; otherwise say why there is none.

    >>> bracketed_rating("char buf[256]; Rating: [[7.5]]")
    7.5
    >>> bracketed_rating("see x[0]")
    0.0
    >>> bracketed_rating("Rating: [[8/10]]")
    'the reply holds no number in brackets'
    """
    found = _RATING.search(text) or _RATING_SINGLE.search(text)
    return "the reply holds no number in brackets" if found is None else _literal(found[1])


def first_label(text: str, labels: Sequence[str]) -> str | None:
    """Return the first of the labels, in the order given, that occurs anywhere in the text.

    >>> first_label("[[B]] or rather [[A]]", ["[[A]]", "[[B]]", "[[C]]"])
    '[[A]]'
    """
    return next((label for label in labels if label in text), None)


def pair_of_ratings(text: str) -> float | str:
    """Read the first answer's share of the win from two ratings in one pair of brackets: 1, 0, or 0.5 for a tie.

    >>> pair_of_ratings("[[8, 7.95]]")
    0.5
    """
    found = _PAIR.search(text) or _PAIR_SINGLE.search(text)
    if found is None:
        return "the reply holds no two numbers in brackets"
    first, second = _literal(found[1]), _literal(found[2])
    if isinstance(first, str) or isinstance(second, str):
        return first if isinstance(first, str) else str(second)
    return 0.5 if abs(first - second) <= _TIE_DELTA else float(first > second)


def _literal(digits: str) -> float | str:
    """Evaluate the digits as a Python literal, as upstream does: it fails at ``08``, which is not one."""
    padded = digits.isdigit() and digits[0] == "0" and digits.strip("0") != ""
    value = float(digits)
    if padded or not digits.isascii() or not math.isfinite(value):
        return f"the number {digits[:20]} in the reply cannot be evaluated"
    return value
