r"""lm-eval's ``exact_match`` for its Minerva tasks, version 3.1: a closing phrase, normalised strings, sympy.

Source: EleutherAI/lm-evaluation-harness 0.4.13 ``lm_eval/tasks/minerva_math/utils.py`` (after Lewkowycz et al. 2022,
arXiv 2206.14858, appendix D). The rule sometimes accepts a wrong answer: sympy's parser stops silently at a comma, so
``2, 5`` equals ``2``. That is part of the rule.
"""

import re
from functools import lru_cache
from typing import Any

from judgebench.records import Verdict

from . import hendrycks, limits
from .numeric import certainly_differ

CACHED_REFERENCES = 1000
OPENING = "Final Answer: The final answer is"
CLOSING = " I hope it is correct"
APPENDED = "I hope it is correct."
"""Appended to every output, as upstream does."""

REPLACED = (
    *(("an ", ""), ("a ", ""), (".$", "$"), (r"\$", ""), ("\\ ", ""), (" ", ""), ("mbox", "text")),
    *((r",\text{and}", ","), (r"\text{and}", ","), (r"\text{m}", r"\text{}")),
)
REMOVED = (
    *("square", "ways", "integers", "dollars", "mph", "inches", "ft", "hours", "km", "units", r"\ldots"),
    *("sue", "points", "feet", "minutes", "digits", "cents", "degrees", "cm", "gm", "pounds", "meters", "meals"),
    *("edges", "students", "childrentickets", "multiples"),
    *(r"\text{s}", r"\text{.}", "\\text{\ns}", r"\text{}^2", r"\text{}^3", "\\text{\n}", r"\text{}", r"\mathrm{th}"),
    *(r"^\circ", r"^{\circ}", r"\;", r",\!", "{,}", '"', r"\dots"),
)
"""Removed in this order. Words are removed only outside the names of LaTeX commands."""
UNWRAPPED = (
    (re.compile(r"(.*?)(\$)(.*?)(\$)(.*)"), r"$\3$"),
    (re.compile(r"(\\text\{)(.*?)(\})"), r"\2"),
    (re.compile(r"(\\textbf\{)(.*?)(\})"), r"\2"),
    (re.compile(r"(\\overline\{)(.*?)(\})"), r"\2"),
    (re.compile(r"(\\boxed\{)(.*)(\})"), r"\2"),
    (re.compile(r"(frac)([^{])(.)"), r"frac{\2}{\3}"),
    (re.compile(r"(sqrt)(\[[^\]]*\])(\w)"), r"\1\2{\3}"),
    (re.compile(r"(sqrt)(?!\[)([^{])"), r"sqrt{\2}"),
)
COMMAND = re.compile(r"(\\[a-zA-Z]+)")
THOUSANDS = re.compile(r"-?\d{1,3}(,\d{3})+")
WHOLE_NUMBER = re.compile(r"0|-?[1-9][0-9]*")
"""A whole number in its only spelling, which sympy's parser cannot read as anything else."""


def closing_answer(output: str) -> str | None:
    r"""Return the answer that follows the closing phrase of the worked examples, or ``None`` if the phrase is missing.

    >>> closing_answer("Final Answer: The final answer is $7$. I hope it is correct.")
    '$7$'
    """
    for line in (output + APPENDED).split("\n"):
        _, opened, rest = line.partition(OPENING)
        if not opened:
            continue
        # The two full stops in upstream's pattern match any character: one before and one after the closing words.
        end = rest.find(CLOSING, 1)
        if 0 < end < len(rest) - len(CLOSING):
            return rest[: end - 1].strip()
    return None


def normalise(answer: str) -> str:
    """Return the string to compare and parse. Takes quadratic time, so limit the length of the answer first."""
    answer = answer.rpartition("=")[2]
    for part in REMOVED:
        if part.isalpha():
            answer = re.sub(rf"(?<!\\)\b{part}\b", "", answer)
    for before, after in REPLACED:
        answer = answer.replace(before, after)
    for part in REMOVED:
        answer = _without(answer, part) if part.isalpha() else answer.replace(part, "")
    for pattern, replacement in UNWRAPPED:
        answer = pattern.sub(replacement, answer)
    answer = answer.replace("$", "")
    return answer.replace(",", "") if THOUSANDS.fullmatch(answer) else answer


def _without(answer: str, word: str) -> str:
    if word not in answer:
        return answer
    parts = COMMAND.split(answer)
    parts[::2] = [part.replace(word, "") for part in parts[::2]]
    return "".join(parts)


def verify_closing(output: str, gold: str) -> Verdict:
    """Compare the answer in an output's closing phrase with the reference answer, the solution's last box."""
    if len(output) > limits.OUTPUT_CHARACTERS:
        return Verdict(value=0.0, label="too_long")
    found = closing_answer(output)
    if found is None:
        return Verdict(value=0.0, label="no_answer")
    label = "too_long" if len(found) > limits.ANSWER_CHARACTERS else _label(normalise(found), normalise(gold))
    return Verdict(value=float(label == "equal"), label=label, details={"answer": found[: hendrycks.SHOWN_CHARACTERS]})


def _label(answer: str, gold: str) -> str:
    if answer and answer == gold:
        return "equal"
    if WHOLE_NUMBER.fullmatch(answer) and WHOLE_NUMBER.fullmatch(gold):
        return "not_equal"
    try:
        with limits.bounded():
            return _label_of_parsed(answer, gold)
    except limits.OverLimit as limit:
        return str(limit)


def _label_of_parsed(answer: str, gold: str) -> str:
    first = _parsed(answer)
    second = None if first is None else _reference(gold)
    if second is None:
        return "parse_error"
    return "equal" if _same(first, second) else "not_equal"


@lru_cache(maxsize=CACHED_REFERENCES)
def _reference(gold: str) -> Any:
    return _parsed(gold)


def _parsed(text: str) -> Any:
    """Parse a LaTeX string into an unevaluated sympy expression; return ``None`` if that fails.

    Raise :class:`~.limits.OverLimit` if the text is over a limit.
    """
    if problem := limits.text_problem(text):
        raise limits.OverLimit(problem)
    from sympy.parsing.latex import parse_latex

    try:
        return parse_latex(text)
    except ImportError:
        # Of antlr's runtime, which says nothing of the answer: no verdict is better than a wrong one.
        raise
    except Exception:  # noqa: BLE001 - as upstream
        return None


def _same(first: Any, second: Any) -> bool:
    import sympy

    try:
        if certainly_differ(first, second):
            return False
        return bool(sympy.simplify(first - second) == 0)
    except Exception:  # noqa: BLE001 - as above
        return False
