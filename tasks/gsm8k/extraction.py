"""Extracts the result from an answer and decides whether it is right: lm-eval's two filters, and a rule of ours.

``strict`` and ``flexible`` follow EleutherAI/lm-evaluation-harness 0.4.13, ``lm_eval/filters/extraction.py``
``RegexFilter`` and ``lm_eval/api/metrics.py`` ``exact_match_fn`` as the gsm8k tasks configure them, whose patterns
these are. ``numeric`` is ours: see :func:`numeric_answer`. All of it takes time linear in the length of the answer.
"""

import re
from collections import deque
from collections.abc import Callable
from fractions import Fraction

from judgebench.grading.pool import NOTHING
from judgebench.records import Verdict

MAX_CHARACTERS = 1_000_000
"""The rules do not read longer answers; no honest answer to a word problem is that long."""
SHOWN_CHARACTERS = 10_000
"""How much of an extracted string a record keeps; the whole string decides the verdict."""

STRICT: dict[str, tuple[str, int]] = {
    "5shot": (r"#### (\-?[0-9\.\,]+)", 0),
    "chat": (r"#### (\-?[0-9\.\,]+)", 0),
    "cot8": (r"The answer is (\-?[0-9\.\,]+).", 0),
    "cot-llama": (r"The final answer is ((-?[$0-9.,]{2,})|(-?[0-9]+))", -1),
}
"""The pattern of ``strict-match`` by version of the task, and which of its matches counts. As upstream, the last dot of
``cot8`` matches any character, so an answer that ends with its last digit loses that digit.
"""
FLEXIBLE = (r"(-?[$0-9.,]{2,})|(-?[0-9]+)", -1)
"""The pattern of ``flexible-extract``."""


def filtered(text: str, pattern: str, select: int) -> str:
    r"""Apply lm-eval's regex filter: return a match's first non-empty group without the white space around it.

    >>> filtered("$\\boxed{18}$.", *FLEXIBLE)
    '$.'
    """
    found = re.findall(pattern, text)
    if not found:
        return NOTHING
    match = found[select]
    if isinstance(match, tuple):
        match = next((group for group in match if group), NOTHING)
    return str(match).strip()


def normalised(text: str) -> str:
    """Normalise a prediction or a whole gold answer as lm-eval's metric does before it compares.

    >>> normalised("6 x 3 = <<6*3=18>>18. #### $1,800.")
    '1800'
    """
    text = text.replace(",", "").replace("$", "")
    # Upstream deletes the pattern (?s).*#### , with the same result, but in quadratic time if it does not occur.
    text = text.rpartition("#### ")[2]
    return re.sub(r"\.$", "", text).lower()


def gold_of(answer: str) -> str:
    """The number that an official answer ends with."""
    return answer.rpartition("#### ")[2].strip()


# -- numeric: ours

_SIGNS = str.maketrans({"−": "-", "–": "-", "\N{NO-BREAK SPACE}": " ", "\N{NARROW NO-BREAK SPACE}": " "})
_CURRENCY = r"(?:\\?\$|€|£|¥|₹)"
_NUMBER = re.compile(
    rf"((?<![\w)}}\]%$.,])-[ ]?)?(?:{_CURRENCY}[ ]?(-)?)?"
    r"(?:\\[dt]?frac\{(-?\d++)\}\{(\d++)\}|"
    r"(\d{1,3}(?:,\d{3})+(?!\d)|\d+)(\.\d+)?|(?<!\d)(\.\d+))"
    r"(?:[ ]?/[ ]?(\d++)(?![\d.,]*/))?"
)
"""Sign, currency, sign; then a LaTeX fraction, or digits (in groups of three or not) with decimals, or decimals alone;
then the lower half of a plain fraction. A minus after a digit, a letter or a bracket is a subtraction.
"""
_MAX_DIGITS = 4000
"""Of a number with its parts: Python converts no more than 4,300."""
_MARKER = re.compile(
    r"####|\\f?boxed\s{0,8}\{|\b[aA](?:nswer|NSWER)(?: to [^.\n:=]{0,80}?)?[*_\s\"']{0,8}(?:\b(?:is|was|equals)\b|[:=])"
)
"""What announces an answer: GSM8K's own mark, a box, or "answer is", "answer to … is", "Answer:"."""
_MARKS = 100
"""How many marks the rule tries, from the end."""
_SEGMENT_CHARACTERS = 200
_REST_OF_NUMBER = re.compile(rf"(?:(?<=[\d.,/{{}}])[\d.,/{{}}]{{1,{_MAX_DIGITS}}})?")
_SENTENCE_END = re.compile(r"\n|(?<=[^\d])\.\s|\.\s+(?=[A-Z])")


def numeric_answer(text: str) -> Fraction | None:
    r"""The number that an answer ends in, exactly; ``None`` if it has none.

    The last mark that is followed by a number counts: ``####``, ``\boxed{``, or a phrase such as "the answer is" or
    "Answer:". Of what follows (to the end of the box, line or sentence), an equation gives its right side, and the
    first number of that is the answer. Without any mark it is the last number of the text. Commas between groups of
    three, currency signs, percent signs and a final full stop are no part of a number; ``3/4`` and ``\frac{3}{4}`` are.

    >>> [str(numeric_answer(text)) for text in ("It is $\\boxed{18}$.", "The answer is $1,234.50.", "5-3", "none")]
    ['18', '2469/2', '3', 'None']
    """
    text = text.translate(_SIGNS).replace("{,}", ",").replace("\\!", "").replace("\\,", "")
    for mark in reversed(deque(_MARKER.finditer(text), maxlen=_MARKS)):
        segment = _segment(text, mark.end())
        segment = _boxed(segment) if mark[0].endswith("{") else _unboxed(segment)
        found = _first_number(segment.rpartition("=")[2]) or _first_number(segment)
        if found is not None:
            return found[0]
    last = deque(_NUMBER.finditer(text), maxlen=1)
    return _value(last[0]) if last else None


def _segment(text: str, start: int) -> str:
    """Return what follows a mark, without cutting a number."""
    rest = _REST_OF_NUMBER.match(text, min(start + _SEGMENT_CHARACTERS, len(text)))
    return text[start : rest.end() if rest else None]


def _boxed(segment: str) -> str:
    """Cut at the brace that closes the box."""
    depth = 1
    for place, character in enumerate(segment):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if not depth:
            return segment[:place]
    return segment


def _unboxed(segment: str) -> str:
    """Cut at the end of the line or sentence, after skipping a line break right after the mark."""
    segment = segment.lstrip(" \n*_\"'")
    return _SENTENCE_END.split(segment, maxsplit=1)[0]


def _first_number(segment: str) -> tuple[Fraction] | None:
    """Return the first number in a tuple, so that zero is not false."""
    match = _NUMBER.search(segment)
    value = _value(match) if match else None
    return None if value is None else (value,)


def _value(match: re.Match[str]) -> Fraction | None:
    sign, inner_sign, upper, lower, digits, decimals, bare_decimals, below = match.groups()
    if len(match[0]) > _MAX_DIGITS:
        return None
    if upper is not None:
        value = Fraction(int(upper), int(lower)) if int(lower) else None
    else:
        value = Fraction((digits or "0").replace(",", "") + (decimals or bare_decimals or ""))
    if value is not None and below is not None:
        value = value / int(below) if int(below) else None
    return None if value is None else -value if sign or inner_sign else value


def numeric_gold(answer: str) -> Fraction | None:
    """The number that an official answer ends with, exactly."""
    match = _NUMBER.search(gold_of(answer))
    return _value(match) if match else None


# -- the verifier


def verify(output: str, answer: str, version: str) -> Verdict:
    """Compare one output with the official answer by all three rules.

    The verdict's value is that of ``strict``; its details hold ``{rule: [extracted string, right or not]}`` for
    ``strict``, ``flexible`` and ``numeric``. The label is ``too_long`` if the rules did not read the output.
    """
    if len(output) > MAX_CHARACTERS:
        nothing = {rule: [NOTHING, False] for rule in RULES}
        return Verdict(value=0.0, label="too_long", details=nothing)
    details = {rule: _shown(*check(output, answer, version)) for rule, check in RULES.items()}
    right = bool(details["strict"][1])
    label = "equal" if right else "no_answer" if details["strict"][0] == NOTHING else "not_equal"
    return Verdict(value=float(right), label=label, details=details)


def _shown(extracted: str, right: bool) -> list[str | bool]:
    return [extracted[:SHOWN_CHARACTERS], right]


def _strict(output: str, answer: str, version: str) -> tuple[str, bool]:
    extracted = filtered(output, *STRICT[version])
    return extracted, normalised(extracted) == normalised(answer)


def _flexible(output: str, answer: str, version: str) -> tuple[str, bool]:
    extracted = filtered(output, *FLEXIBLE)
    return extracted, normalised(extracted) == normalised(answer)


def _numeric(output: str, answer: str, version: str) -> tuple[str, bool]:
    found = numeric_answer(output)
    return (NOTHING, False) if found is None else (str(found), found == numeric_gold(answer))


RULES: dict[str, Callable[[str, str, str], tuple[str, bool]]] = {
    "strict": _strict,
    "flexible": _flexible,
    "numeric": _numeric,
}
"""Each rule's extracted string and whether it is right, from output, official answer and version of the task."""
