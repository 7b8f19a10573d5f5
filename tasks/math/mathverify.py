r"""Math-Verify's verdict on a whole output, with its package's own functions, made fast and safe.

Its verdict is any of: an expression read from the output equals the one read from the reference solution, or the texts
that the two were read from are the same. So equal texts decide before anything is parsed, and so do different whole
numbers and texts that only their layout tells apart. What is left goes within the limits of ``limits.py`` to the
package's parser and comparison, without its alarms: C code does not hear them. The grading pool's limits hold.
Where the package rounds (2/1500! and 1/1500! are one to it, both nearly nothing), its verdict stands.

Followed: math-verify 0.9.0 ``parser.py`` (``extract_target_from_pred``, ``extract_latex``, ``extract_expr``) and
``grader.py`` (``verify``), all settings at their defaults.
"""

import gc
import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, lru_cache
from itertools import groupby
from typing import Any

from judgebench.records import Verdict

from . import hendrycks, limits
from .arithmetic import plainly_apart
from .numeric import certainly_differ

CACHED_REFERENCES = 1000
PARTS = ("first", "next1", "next2", "next3", "next4", "next5")
"""How the package names the formulas that it reads as one list."""
LONG_BLANK = re.compile(r"(\s{30})\s+")
"""The package's patterns take time cubic in the length of white space; what is over is no part of an answer."""
NOT_LAYOUT = re.compile(rf"[%=]|{re.escape(hendrycks.UNIT)}|[\w.]\s+[\w.]")
"""Where Hendrycks' rule drops more than layout: percent signs, left sides, units, blanks between words or numbers."""

WORDS = {"(?i:final answer": "nal an", "(?i:answer)": "wer", r"\boxed{": r"\boxed{"}
"""Marks of patterns, and what a text that they match holds in small letters: without the letters ``i`` and ``s``, which
regular expressions without case match to further ones.
"""

Place = tuple[re.Match[str], Any]
"""Where an answer may be read, and the package's settings of how."""


class Found:
    """What Math-Verify finds in a text, read no further than it is asked for."""

    def __init__(self, text: str) -> None:
        self._places = _places(LONG_BLANK.sub(r"\1", text))
        self._first = next(self._places, None)
        self.text = _text_of(self._first)
        """What the first place holds, as it would be parsed; ``None`` without a place or if it holds a list."""
        self._values: list[Any] | None = None

    @property
    def percentage(self) -> bool:
        """The first place holds one."""
        return self._first is not None and bool(_groups(self._first[0], "percent"))

    @property
    def values(self) -> list[Any]:
        """The expression, if one can be read, then the text of the first place; nothing where the package raises, as
        there. Raises :class:`~.limits.OverLimit`.
        """
        if self._values is None:
            try:
                self._values = list(self._read())
            except Exception:  # noqa: BLE001 - the package takes whatever is raised for "nothing found"
                self._values = []
        return self._values

    @property
    def readable(self) -> bool:
        """The first place holds an expression. Raises :class:`~.limits.OverLimit`."""
        return len(self.values) == 2 and self.values[1] == self.text

    def _read(self) -> Iterator[Any]:
        from math_verify.parser import extract_match

        fallback, place = None, self._first
        while place is not None:
            for part in _parts(place):
                if problem := limits.text_problem(part):
                    raise limits.OverLimit(problem)
            value, text = extract_match(*place)
            fallback = fallback or text
            if value is not None:
                yield value
                break
            place = next(self._places, None)
        if fallback:
            yield fallback


def _places(text: str) -> Iterator[Place]:
    """Where to read an answer, the likeliest first, as ``extract_target_from_pred`` orders them."""
    lowered = text.lower()
    for patterns in _patterns():
        found = [
            (match, settings)
            for pattern, settings, word in patterns
            if word in lowered
            for match in pattern.finditer(text)
        ]
        yield from sorted(found, key=lambda place: (place[0].end(), -place[0].start()), reverse=True)


@cache
def _patterns() -> list[list[tuple[re.Pattern[str], Any, str]]]:
    """The package's patterns by priority, with the settings for what each finds and a word it cannot do without."""
    from math_verify.parser import ExprExtractionConfig, LatexExtractionConfig, get_extraction_regexes

    _prepare()
    groups = get_extraction_regexes((LatexExtractionConfig(), ExprExtractionConfig()))
    entries = sorted(
        ((priority, pattern, settings) for group, settings in groups for pattern, priority in group),
        key=lambda entry: entry[0],
    )
    return [
        [(pattern, settings, _word(pattern.pattern)) for _, pattern, settings in same]
        for _, same in groupby(entries, key=lambda entry: entry[0])
    ]


def _word(pattern: str) -> str:
    return next((word for mark, word in WORDS.items() if mark in pattern), "")


def _prepare() -> None:
    """Make the package quiet, and its LaTeX parser fast."""
    from antlr4 import CommonTokenStream
    from antlr4.atn.PredictionMode import PredictionMode
    from latex2sympy2_extended import latex2sympy2

    class TwoStageParser(latex2sympy2.PSParser):  # type: ignore[misc]
        """Two-stage parsing (Parr, The Definitive ANTLR 4 Reference, 13.7): a text that the cheap prediction mode takes
        without an error has the same tree in the full one, which takes three times as long and is the second try.
        """

        def math(self) -> Any:
            self._interp.predictionMode = PredictionMode.SLL
            try:
                return super().math()
            except Exception:  # noqa: BLE001 - what the package raises at a syntax error
                lexer = self.getTokenStream().tokenSource
                lexer.reset()
                self.setTokenStream(CommonTokenStream(lexer))
                self._interp.predictionMode = PredictionMode.LL
                return super().math()

    latex2sympy2.PSParser = TwoStageParser
    # It warns of each time limit that is off and each answer that it cannot read.
    logging.getLogger("math_verify").setLevel(logging.ERROR)
    gc.freeze()  # what sympy consists of is not looked through again and again


def _groups(match: re.Match[str], kind: str) -> list[str]:
    return [name for name, value in match.groupdict().items() if value and name.endswith(kind)]


def _parts(place: Place) -> list[str]:
    """The texts that would be parsed at a place: LaTeX after the package's normalisation, else what stands there."""
    from latex2sympy2_extended.latex2sympy2 import normalize_latex

    match, settings = place
    if not hasattr(settings, "normalization_config"):
        return [match.groupdict().get("expr") or match[0]]
    parts = []
    for part in PARTS:
        name = next((n for n, v in match.groupdict().items() if v and n.startswith(f"{part}_latex")), None)
        if name is not None:
            config = settings.normalization_config
            config = replace(config, boxed="last") if name.endswith("Boxed") else config
            parts.append(normalize_latex(match[name], config=config))
    return parts


def _text_of(place: Place | None) -> str | None:
    from math_verify.parser import extract_match

    if place is None:
        return None
    first, *more = _parts(place)
    if more:
        return None
    if hasattr(place[1], "normalization_config") or place[0].groupdict().get("expr"):
        return first
    try:
        return str(extract_match(*place)[1])
    except Exception:  # noqa: BLE001 - as above
        return None


@lru_cache(maxsize=CACHED_REFERENCES)
def _reference(solution: str) -> Found:
    return Found(solution)


def verify_output(output: str, solution: str) -> Verdict:
    """Hold a whole output against a whole reference solution."""
    if len(output) > limits.OUTPUT_CHARACTERS:
        return Verdict(value=0.0, label="too_long")
    answer, reference = Found(output), _reference(solution)
    details = {"answer": answer.text[: hendrycks.SHOWN_CHARACTERS]} if answer.text else {}
    try:
        with limits.bounded():
            label = _label(answer, reference)
    except limits.OverLimit as limit:
        label = str(limit)
    return Verdict(value=float(label == "equal"), label=label, details=details)


def _label(answer: Found, reference: Found) -> str:
    settled = _without_parsing(answer, reference)
    if settled is not None:
        return settled
    from math_verify import verify

    if not answer.values:
        return "no_answer"
    if answer.readable and reference.readable and certainly_differ(answer.values[0], reference.values[0]):
        return "not_equal"
    if verify(reference.values, answer.values, timeout_seconds=None):
        return "equal"
    return "not_equal" if len(answer.values) > 1 else "parse_error"


def _without_parsing(answer: Found, reference: Found) -> str | None:
    """The verdict where the texts alone make it certain."""
    if not answer.text or not reference.text:
        return None
    if answer.text.strip() == reference.text.strip():
        return "equal"
    if plainly_apart(answer.text, reference.text, percent=answer.percentage or reference.percentage):
        return "not_equal"
    return "equal" if _same_but_for_layout(answer.text, reference.text) and reference.readable else None


def _same_but_for_layout(first: str, second: str) -> bool:
    if NOT_LAYOUT.search(first) or NOT_LAYOUT.search(second):
        return False
    try:
        return hendrycks.normalise(first, lenient=True) == hendrycks.normalise(second, lenient=True)
    except hendrycks.Unreadable:
        return False
