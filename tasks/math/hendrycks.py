r"""MATH's own rule: take the last box of an answer and compare two normalised strings. It does no mathematics.

Source: hendrycks/math@985bdc1696e88e8643f081a0ff4719da39f2ae2a ``modeling/math_equivalence.py`` and, where the two
differ, lm-eval 0.4.13 ``lm_eval/tasks/hendrycks_math/utils.py``. Both raise on some strings
and then compare the strings as they are; that is part of the rule.
"""

import re
from collections.abc import Callable

from judgebench.records import Verdict

BOXES = (r"\boxed", r"\fbox")
SHOWN_CHARACTERS = 200
"""Length to which an extracted answer is cut when it is stored with its verdict."""

DELETED = (r"^{\circ}", r"^\circ", r"\$")
UNIT = r"\text{ "
"""Start of a unit in the reference solutions; the rule drops everything from here on."""


class Unreadable(ValueError):
    """Upstream's normalisation raises on this string."""


def last_box(text: str) -> str | None:
    r"""Return the content of the last box, or ``None`` if there is no box or the last one is not closed.

    As upstream, a box written ``\boxed `` with a space takes precedence over later boxes without one, and its content
    extends to the next dollar sign. Unlike upstream, braces after that space delimit the content, and ``\fbox`` is read
    where upstream raises.

    >>> last_box(r"so $\boxed{\frac{1}{2}}$, not \boxed{3")
    >>> last_box(r"first \boxed{3}, then $\boxed{\frac{1}{2}}$")
    '\\frac{1}{2}'
    """
    _, spaced, rest = text.rpartition(BOXES[0] + " ")
    if spaced:
        return _braced(rest) if rest.lstrip().startswith("{") else rest.partition("$")[0]
    for command in BOXES:
        _, found, rest = text.rpartition(command)
        if found:
            return _braced(rest)
    return None


def _braced(text: str) -> str | None:
    """Return the content of the pair of braces that opens the text, or ``None`` if there is no such pair."""
    start = len(text) - len(text.lstrip()) + 1
    if text[start - 1 : start] != "{":
        return None
    depth = 0
    for brace in re.finditer(r"[{}]", text):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return text[start : brace.start()]
    return None


def equal(first: str, second: str) -> bool:
    r"""Whether two answers are equal under lm-eval's version of the rule.

    >>> equal(r"\dfrac12 \text{ cm}", "0.5")
    True
    """
    try:
        return normalise(first) == normalise(second)
    except Unreadable:
        return first == second


def normalise(text: str, *, lenient: bool = False) -> str:
    """Return the string that the rule compares. Raise :class:`Unreadable` where lm-eval raises.

    ``lenient`` follows the original in the one place where the two differ: it leaves a fraction ``a/b`` unchanged
    unless both parts are integers.
    """
    text = text.replace("\n", "").replace(r"\!", "").replace("\\\\", "\\")
    text = text.replace("tfrac", "frac").replace("dfrac", "frac").replace(r"\left", "").replace(r"\right", "")
    for part in DELETED:
        text = text.replace(part, "")
    if text.count(UNIT) > 1:
        raise Unreadable("two units")
    text = text.partition(UNIT)[0].replace(r"\%", "").replace(" .", " 0.").replace("{.", "{0.")
    if not text:
        return text
    if text.startswith("."):
        text = "0" + text
    left, *right = text.split("=")
    if len(right) == 1 and len(left) <= 2:
        text = right[0]
    text = _with_braces(text, r"\sqrt", _root).replace(" ", "")
    text = _with_braces(text, r"\frac", _fraction)
    if text == "0.5":
        text = r"\frac{1}{2}"
    return _slashed(text, lenient=lenient)


def _with_braces(text: str, command: str, fix: Callable[[str], str | None]) -> str:
    """Put each argument of a command in braces. Return the text unchanged if one of the arguments is incomplete."""
    found, *parts = text.split(command)
    for part in parts:
        if not part:
            raise Unreadable(f"{command} without an argument")
        fixed = part if part[0] == "{" else fix(part)
        if fixed is None:
            return text
        found += command + fixed
    return found


def _root(rest: str) -> str:
    return f"{{{rest[0]}}}{rest[1:]}"


def _fraction(rest: str) -> str | None:
    if len(rest) < 2:
        return None
    return f"{{{rest[0]}}}{rest[1:]}" if rest[1] == "{" else f"{{{rest[0]}}}{{{rest[1]}}}{rest[2:]}"


def _slashed(text: str, *, lenient: bool) -> str:
    parts = text.split("/")
    if len(parts) != 2:
        return text
    try:
        numerator, denominator = map(int, parts)
    except ValueError as error:
        if lenient:
            return text
        raise Unreadable("a fraction of other things than integers") from error
    return rf"\frac{{{numerator}}}{{{denominator}}}" if text == f"{numerator}/{denominator}" else text


def verify_boxed(output: str, gold: str) -> Verdict:
    """Compare the last box of an output with the reference answer."""
    answer = last_box(output)
    if answer is None:
        return Verdict(value=0.0, label="no_answer")
    same = equal(answer, gold)
    details = {"answer": answer[:SHOWN_CHARACTERS]}
    return Verdict(value=float(same), label="equal" if same else "not_equal", details=details)
