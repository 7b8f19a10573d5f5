"""Whether one run leads another only because it writes more, in one sentence.

A benchmark that has a number with lengths held equal answers it by that number. For any other the changes of samples
are read where both answers are equally long.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from judgebench.analysis.comparison_records import TaskComparison
from judgebench.display import figure, interval, printable
from judgebench.report.collect import Report, TaskReport
from judgebench.stats.clustered import Estimate, cluster_totals, clustered_estimate
from judgebench.stats.equal_lengths import FEWEST, change_at_equal_lengths, within_twofold

FEW_SHARE = 0.2
"""A lead that no more than this share of the samples carries is said to come from few."""
FEWEST_SHARE = 0.1
"""With a smaller share of pairs of like length, a fit that holds lengths equal extrapolates."""


@dataclass(frozen=True)
class LengthAnswer:
    """What is said of two runs, or of one run and the side that it met."""

    short: str
    """``No``, ``Not only``, ``Perhaps``, ``Yes`` or ``Not known``; empty of one run."""
    words: str
    how: str
    """By which numbers."""


@dataclass(frozen=True)
class Lead:
    """By how much one run lies above another, with the interval."""

    value: float
    low: float | None
    high: float | None

    def turned(self) -> "Lead":
        """The same from the other run's side."""
        return Lead(-self.value, *(None if end is None else -end for end in (self.high, self.low)))


def length_answers(
    report: Report, task: TaskReport, compared: TaskComparison | None, controlled: str | None
) -> list[LengthAnswer]:
    """An answer for each run beside the first one; of a single run, what length does to its number.

    ``controlled`` is the metric that is the task's measure with lengths held equal.
    """
    if len(task.runs) == 1:
        return list(_alone(report, task, controlled))
    if not task.first.task_manifest.protocol.get("judges") and not task.opened[0].judged:
        words = "No judge reads these answers: they are verified, and right or wrong whatever their length."
        return [LengthAnswer("No", words, "")]
    found = [_beside(report, task, compared, controlled, other) for other in range(1, len(task.runs))]
    known = [one for one in found if one.short != "Not known"]
    # Many runs of which nothing is known are told in the words of one.
    return known or found[:1]


def _beside(
    report: Report, task: TaskReport, compared: TaskComparison | None, controlled: str | None, other: int
) -> LengthAnswer:
    names = report.names[task.runs[0]], report.names[task.runs[other]]
    by_metric = {
        one.metric: one
        for one in (compared.differences if compared else ())
        if one.group is None and one.second == task.runs[other] and one.difference is not None
    }
    raw, equal = by_metric.get(task.measure or ""), by_metric.get(controlled or "")
    changes, lengths = _changes(task, other)
    few = from_few_long_answers(names, changes, lengths, _unit(task))
    if raw is not None and equal is not None and raw.difference is not None and equal.difference is not None:
        lead = Lead(raw.difference, raw.low, raw.high)
        at_equal = Lead(equal.difference, equal.low, equal.high)
        how = f"{controlled} beside {task.measure}, over the {equal.n:,} samples that both runs have"
        answer = answer_of(names, lead, at_equal, equal.unit, task.measure or "", how)
        return with_words(as_far_as_lengths_meet(answer, controlled or "", *lengths), few)
    found = clustered_estimate(cluster_totals(changes)) if changes else None
    if found is None or found.value is None:
        return LengthAnswer("Not known", "No sample has a value and an answer in both runs.", "")
    near, unit = change_at_equal_lengths(changes, *lengths), _unit(task)
    if near.value is None:
        return LengthAnswer("Not known", printable(_led(names, _lead_of(found), unit, near.reason), 600), "")
    how = (
        f"{task.measure}: a straight line through the changes of the {near.n:,} samples whose two answers differ "
        "less than twofold in length, read at equal lengths"
    )
    return with_words(answer_of(names, _lead_of(found), _lead_of(near), unit, task.measure or "", how), few)


def with_words(answer: LengthAnswer, further: str) -> LengthAnswer:
    """An answer with a further sentence, if there is one."""
    return replace(answer, words=f"{answer.words} {further}".strip())


def from_few_long_answers(
    names: tuple[str, str], changes: Sequence[float], lengths: tuple[Sequence[int], Sequence[int]], unit: str
) -> str:
    """A sentence if few samples carry a lead, those in which the leader wrote more; without them it does not lead.

    ``changes`` are from the first run to the second, ``lengths`` those of both answers.
    """
    if sum(changes) == 0:
        return ""
    side = int(sum(changes) > 0)
    ahead = changes if side else [-change for change in changes]
    wrote_more = [own > other for own, other in zip(lengths[side], lengths[1 - side], strict=True)]
    carrying = [change for change, more in zip(ahead, wrote_more, strict=True) if more]
    others = [change for change, more in zip(ahead, wrote_more, strict=True) if not more]
    if not 0 < len(carrying) <= FEW_SHARE * len(changes) or fmean(others) > 0:
        return ""
    rest = f"{names[1 - side]} is, by {figure(-fmean(others), unit)}" if fmean(others) < 0 else "neither is"
    told = (
        f"The lead comes from {len(carrying):,} of {len(changes):,} samples, in which {names[side]} wrote more: there "
        f"it is ahead by {figure(fmean(carrying), unit)} on average; over the other {len(others):,} {rest}."
    )
    return printable(told, 500)


def as_far_as_lengths_meet(
    answer: LengthAnswer, controlled: str, first: Sequence[int], second: Sequence[int]
) -> LengthAnswer:
    """An answer by a metric with lengths held equal, with how many pairs of answers are of like length.

    Where these are as few as a straight line may not be laid through, or a tenth of all, the metric's fit says what no
    sample shows: then there is no short answer.
    """
    near, all_pairs = within_twofold(first, second), len(first)
    if not all_pairs:
        return answer
    told = f"{near:,} of {all_pairs:,} pairs of answers differ less than twofold in length"
    if near >= max(FEWEST, FEWEST_SHARE * all_pairs):
        return replace(answer, how=f"{answer.how}; {told}")
    words = (
        f"By {controlled}: {answer.words[:1].lower()}{answer.words[1:]} But only {told}, so this is extrapolated: "
        "hardly any sample shows how the two do at equal lengths."
    )
    return LengthAnswer("", printable(words, 900), answer.how)


def _changes(task: TaskReport, other: int) -> tuple[list[float], tuple[list[int], list[int]]]:
    """The changes from the first run to another, and the lengths of both answers, of samples that have all of them."""
    values = [{} if (measure := task.measure_of(place)) is None else measure.values for place in (0, other)]
    sizes = [task.lengths_of(place) for place in (0, other)]
    found = [
        (after - before, sizes[0][name], sizes[1][name])
        for name, before in values[0].items()
        if before is not None and (after := values[1].get(name)) is not None and name in sizes[0] and name in sizes[1]
    ]
    return [one[0] for one in found], ([one[1] for one in found], [one[2] for one in found])


def _unit(task: TaskReport) -> str:
    return next((measure.unit for place in range(len(task.runs)) if (measure := task.measure_of(place))), "")


def _lead_of(found: Estimate) -> Lead:
    around = found.interval
    return Lead(found.value or 0.0, around.low if around else None, around.high if around else None)


def _led(names: tuple[str, str], lead: Lead, unit: str, reason: str | None) -> str:
    first, second = names if lead.value <= 0 else names[::-1]
    points = figure(abs(lead.value), unit)
    if points == figure(0.0, unit):
        return f"Neither {names[0]} nor {names[1]} leads, and who does at equal lengths cannot be said: {reason}."
    return f"{first} leads {second} by {points} points, and how much of that is length cannot be said: {reason}."


def answer_of(names: tuple[str, str], raw: Lead, equal: Lead, unit: str, metric: str, how: str = "") -> LengthAnswer:
    """The sentence for two runs, of which the second leads by so much: as answers are, and at equal lengths."""
    behind, leader = names
    if raw.value < 0 or (raw.value == 0 and equal.value < 0):
        (leader, behind), raw, equal = names, raw.turned(), equal.turned()
    points, left = figure(raw.value, unit), figure(equal.value, unit)
    length = figure(raw.value - equal.value, unit)
    around = interval(equal.low, equal.high, unit)
    within = f" ({around})" if around else ""
    lead = f"the {points} points by which {leader} leads {behind} in {metric}"
    sure = equal.low is not None and equal.low > 0
    if equal.high is not None and equal.high < 0:
        against = f"{figure(-equal.value, unit)} ({interval(-equal.high, -(equal.low or 0.0), unit)})"
        short, words = "Yes", f"Length explains all of {lead}: with equal lengths {behind} leads by {against}."
    elif equal.value <= 0:
        short, words = "Perhaps", f"Length explains all of {lead}: with equal lengths {left} are left{within}."
    elif equal.value >= raw.value:
        short = "No"
        words = f"Length explains none of {lead}: with equal lengths it leads by {left}{within}"
        words += "." if sure else ", which may be chance."
    elif sure:
        short = "Not only"
        words = f"Length explains {length} of {lead}: with equal lengths it still leads by {left}{within}."
    else:
        short = "Perhaps"
        words = (
            f"Length explains {length} of {lead}: with equal lengths it leads by the other {left}{within}, "
            "which may be chance."
        )
    if raw.low is not None and raw.high is not None and raw.low <= 0 <= raw.high:
        words += f" The {points} points may themselves be chance ({interval(raw.low, raw.high, unit)})."
    return LengthAnswer(short, printable(words, 600), how)


def _alone(report: Report, task: TaskReport, controlled: str | None) -> Iterator[LengthAnswer]:
    overall, name = task.opened[0].task.overall, report.names[task.runs[0]]
    raw, equal = overall.get(task.measure or ""), overall.get(controlled or "")
    if raw is None or equal is None or raw.value is None or equal.value is None:
        return
    unit, gained = equal.unit, raw.value - equal.value
    around = interval(equal.low, equal.high, unit)
    words = (
        f"With lengths held equal {name} has {figure(equal.value, unit)}{f' ({around})' if around else ''}, and "
        f"{figure(raw.value, unit)} as its answers are: length "
        f"{'gains' if gained > 0 else 'costs'} it {figure(abs(gained), unit)} points."
    )
    yield LengthAnswer("", printable(words, 600), f"{controlled} beside {task.measure}")
