"""Replies that grade an answer by several criteria at once, a line ``NAME: NUMBER`` for each.

Two readings are kept of each reply. The lenient one is that of EQ-Bench's creative writing: any text before a colon is
a name, wherever it stands. The strict one looks only behind a heading, and takes decoration off names.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from judgebench.records import Verdict

GRADES, STRICT_GRADES = "grades", "strict_grades"
"""Keys of a verdict's details: grades by name in the lenient reading, and in the strict one if that is another."""
OTHERWISE = "otherwise"
"""Key of a verdict's details: its value in the other reading, if that is another; null if that finds nothing."""
DECORATION = "*-#_ \t"
LEAST = -1e9
"""Upstream takes numbers below the scale as they are; one of hundreds of digits would be every mean's only part."""
# The colon of upstream's ``(.*?):\s*(?:Score\s+)?(-?\d+(?:\.\d+)?)``; what stands before it on the line is the name, so
# that no position of a long line is a beginning that has to be tried.
_BARE = re.compile(r":\s*(?:Score\s+)?(-?\d+(?:\.\d+)?)")
_BRACKETED = re.compile(r":\s*\[(-?\d+(?:\.\d+)?)\]")


def grade_lines(text: str) -> dict[str, float]:
    r"""The numbers of a text by the names before their colons; later ones win, and bracketed ones over bare ones.

    >>> grade_lines("At 10:30 he left: 5 men\nCoherent: [12]")
    {'At 10': 30.0, 'he left': 5.0, 'Coherent': 12.0}
    """
    found = {}
    for pattern in (_BARE, _BRACKETED):
        end = 0
        for match in pattern.finditer(text):
            start = max(end, text.rfind("\n", end, match.start()) + 1)
            found[text[start : match.start()].strip()] = float(match[1])
            end = match.end()
    return found


def lines_verdict(text: str, scale: tuple[float, float], after: str) -> Verdict:
    """Read a reply in both ways; ``after`` is the heading of its grades.

    A grade above the scale is none; one below it is none in the strict reading, and in the other if it is absurd.
    """
    low, high = scale
    lenient = {name: value for name, value in grade_lines(text).items() if LEAST <= value <= high}
    behind = text.rpartition(after)[2] if after in text else ""
    strict = {name.strip(DECORATION): value for name, value in grade_lines(behind).items() if low <= value <= high}
    if not lenient and not strict:
        return Verdict(value=None, error="the reply holds no line with a name, a colon and a number on the scale")
    details = {GRADES: lenient, **({STRICT_GRADES: strict} if strict != lenient else {})}
    grades = [*(lenient or strict).values()]
    return Verdict(value=sum(grades) / len(grades), details=details)


@dataclass(frozen=True, kw_only=True)
class GradedCriteria:
    """What the names in a reply mean."""

    names: Sequence[str]
    lower_is_better: frozenset[str]
    scale: tuple[float, float]
    strict: bool
    """Whether the strict reading counts."""

    def settled(self, verdict: Verdict) -> Verdict:
        """The verdict with the mean grade as its value, where more is better, and that of the other reading."""
        if verdict.details.get(GRADES) is None:
            return verdict
        try:
            lenient = msgspec.convert(verdict.details[GRADES], dict[str, float])
            strict = msgspec.convert(verdict.details.get(STRICT_GRADES, lenient), dict[str, float])
        except msgspec.ValidationError as error:
            return Verdict(value=None, error=f"the grades cannot be read: {error}")
        known = {name: value for name, value in strict.items() if name in self.names}
        values = self._mean(lenient), self._mean(known)
        value, other = reversed(values) if self.strict else values
        details = {name: kept for name, kept in verdict.details.items() if name != OTHERWISE}
        if value != other:
            details[OTHERWISE] = other
        if value is None:
            return Verdict(value=None, error="the reply grades none of the criteria", details=details)
        return Verdict(value=value, details=details)

    def _mean(self, grades: Mapping[str, float]) -> float | None:
        turned = (sum(self.scale) - grade if name in self.lower_is_better else grade for name, grade in grades.items())
        kept = [grade for grade in turned if grade <= self.scale[1]]
        return sum(kept) / len(kept) if kept else None
