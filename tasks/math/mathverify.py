r"""Math-Verify's verdict on a whole output: it calls the package's own functions, but faster and within safe limits.

Math-Verify accepts an answer if the expression read from the output equals the one read from the reference solution, or
if both were read from the same text. So the answer need not be parsed if the two texts are equal or differ only in
layout, or if their values are plainly apart. All other answers go to the package's parser and comparison within the
limits of ``limits.py``. The package's own timeouts are off, because C code does not react to its alarms; the limits of
the grading pool apply instead. Where the package rounds, its verdict stands: 2/1500! and 1/1500! are equal to it, since
both are nearly 0.

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
"""The package's group names for the formulas that it reads as one list."""
LONG_BLANK = re.compile(r"(\s{30})\s+")
"""White space to shorten: the package's patterns take time cubic in its length, and answers contain no such run."""
NOT_LAYOUT = re.compile(rf"[%=]|{re.escape(hendrycks.UNIT)}|[\w.]\s+[\w.]")
"""Where Hendrycks' rule drops more than layout: percent signs, left sides, units, spaces between words or numbers."""

WORDS = {"(?i:final answer": "nal an", "(?i:answer)": "wer", r"\boxed{": r"\boxed{"}
"""For each part of a pattern, a string that every matching text contains in lower case.

The strings avoid ``i`` and ``s``, which case-insensitive regular expressions also match to other letters.
"""

Place = tuple[re.Match[str], Any]
"""A match that may hold the answer, and the package's settings for reading it."""


class Found:
    """What Math-Verify finds in a text. It reads the text only as far as a caller needs."""

    def __init__(self, text: str) -> None:
        self._places = _places(LONG_BLANK.sub(r"\1", text))
        self._first = next(self._places, None)
        self.text = _text_of(self._first)
        """The text of the first place, as it would be parsed; ``None`` if there is no place or it holds a list."""
        self._values: list[Any] | None = None

    @property
    def percentage(self) -> bool:
        """Whether the first place holds a percentage."""
        return self._first is not None and bool(_groups(self._first[0], "percent"))

    @property
    def values(self) -> list[Any]:
        """The expression, if one can be read, then the text of the first place. Empty if the package raises.

        Raise :class:`~.limits.OverLimit` if a text is over a limit.
        """
        if self._values is None:
            try:
                self._values = list(self._read())
            except Exception:  # noqa: BLE001 - the package treats any exception as "nothing found"
                self._values = []
        return self._values

    @property
    def readable(self) -> bool:
        """Whether the first place holds an expression. Raise :class:`~.limits.OverLimit` if a text is over a limit."""
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
    """Yield the places that may hold the answer, likeliest first, in the order of ``extract_target_from_pred``."""
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
    """Return the package's patterns by priority, each with its settings and a string that every match contains."""
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
    """Silence the package's warnings and speed up its LaTeX parser."""
    from antlr4 import CommonTokenStream
    from antlr4.atn.PredictionMode import PredictionMode
    from latex2sympy2_extended import latex2sympy2

    class TwoStageParser(latex2sympy2.PSParser):  # type: ignore[misc]
        """Parse in two stages (Parr, The Definitive ANTLR 4 Reference, 13.7).

        If the cheap prediction mode parses a text without an error, the full mode would give the same tree. The full
        mode takes three times as long, so it is tried second.
        """

        def math(self) -> Any:
            self._interp.predictionMode = PredictionMode.SLL
            try:
                return super().math()
            except Exception:  # noqa: BLE001 - the package raises this on a syntax error
                lexer = self.getTokenStream().tokenSource
                lexer.reset()
                self.setTokenStream(CommonTokenStream(lexer))
                self._interp.predictionMode = PredictionMode.LL
                return super().math()

    latex2sympy2.PSParser = TwoStageParser
    # It warns about every disabled time limit and every answer that it cannot read.
    logging.getLogger("math_verify").setLevel(logging.ERROR)
    gc.freeze()  # keep the garbage collector from scanning sympy's objects again and again


def _groups(match: re.Match[str], kind: str) -> list[str]:
    return [name for name, value in match.groupdict().items() if value and name.endswith(kind)]


def _parts(place: Place) -> list[str]:
    """Return the texts to parse at a place: LaTeX after the package's normalisation, any other text as it is."""
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
    """Compare a whole output with a whole reference solution."""
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
    """Return the verdict if the texts alone settle it, else ``None``."""
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
