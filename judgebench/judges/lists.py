"""Replies that hold several verdicts at once, as a list in their last line: ``[YES, NO, YES]``."""

import dataclasses
import re
from collections.abc import Callable, Mapping

import msgspec

from judgebench.judges import Judge
from judgebench.judges.text import TextJudge
from judgebench.records import Case, Completion, Verdict

MET = "met"
"""The key of a verdict's details that holds its parts, in order."""
LONGEST_LINE = 20_000
MOST_VERDICTS = 1000
QUOTES = "'\""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListJudge(TextJudge):
    """A judge whose replies hold as many verdicts as a case has parts."""

    count: Callable[[Case], int]
    read_list: Callable[[str, int], Verdict] | None = None
    """How a reply with so many verdicts is read, if the published rule depends on how many there are."""

    def read(self, case: Case, replies: tuple[Completion, ...]) -> Verdict:
        """Read the list; one of another length is none."""
        count, read = self.count(case), self.read_list
        if read is not None:
            return dataclasses.replace(self, read_list=None, read_text=lambda text: read(text, count)).read(
                case, replies
            )
        return counted(super().read(case, replies), count)


def of_lists(judge: Judge, count: Callable[[Case], int]) -> Judge:
    """Make a judge count the verdicts of its replies, if it reads texts."""
    if not isinstance(judge, TextJudge):
        return judge
    own = {field.name: getattr(judge, field.name) for field in dataclasses.fields(judge)}
    return ListJudge(**{**own, "count": count})


def counted(verdict: Verdict, wanted: int) -> Verdict:
    """Return a verdict whose parts are as many as wanted, or one that says why there is none."""
    found = verdict.details.get(MET)
    if found is None or len(found) == wanted:
        return verdict
    return Verdict(value=None, error=f"the reply's list has {len(found)} verdicts, and {wanted} were asked for")


def list_verdict(text: str, labels: Mapping[str, float]) -> Verdict:
    """Read the list in the last line of a reply: labels, quoted or not, in brackets.

    The verdict's value is their mean; its details have the parts.

    >>> list_verdict("Both hold.\\n['YES', 'NO']", {"YES": 1.0, "NO": 0.0}).details
    {'met': [1.0, 0.0]}
    """
    lines = text.strip("` \n\r\t").splitlines()
    line = lines[-1] if lines else ""
    if len(line) > LONGEST_LINE:
        return Verdict(value=None, error=f"the last line of the reply is longer than {LONGEST_LINE:,} characters")
    inner = line[line.find("[") + 1 : line.rfind("]")] if "[" in line and line.rfind("]") > line.find("[") else ""
    parts = [unquoted(part) for part in re.split(r"\s*,\s*", inner.strip().removesuffix(","))] if inner.strip() else []
    if not parts:
        return Verdict(value=None, error=f"the last line of the reply holds no list of {', '.join(labels)}")
    if strange := next((part for part in parts if part not in labels), None):
        return Verdict(value=None, error=f"{strange[:40]!r} in the reply's list is none of {', '.join(labels)}")
    if len(parts) > MOST_VERDICTS or not all(parts):
        return Verdict(value=None, error="the reply's list cannot be read")
    return of_parts([labels[part] for part in parts], label=", ".join(parts)[:80])


def of_parts(parts: list[float], label: str | None = None) -> Verdict:
    """The verdict that several verdicts are together."""
    return Verdict(value=sum(parts) / len(parts), label=label, details={MET: parts})


def parts_of(verdict: Verdict, count: int) -> list[float] | None:
    """The parts of a verdict on ``count`` things; ``None`` if it has others, as a file may hold.

    A verdict without parts is on all of them at once.
    """
    if verdict.value is None or not 0 <= verdict.value <= 1:
        return None
    try:
        found = msgspec.convert(verdict.details.get(MET), list[float] | None)
    except msgspec.ValidationError:
        return None
    if found is None:
        return [verdict.value]
    return found if len(found) == count and all(0 <= part <= 1 for part in found) else None


def unquoted(text: str) -> str:
    """A label without the quotes around it.

    >>> unquoted("'YES'"), unquoted("YES"), unquoted("'YES")
    ('YES', 'YES', "'YES")
    """
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in QUOTES else text
