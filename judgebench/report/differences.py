"""How two runs of a task differ in a number, in words."""

from msgspec import structs

from judgebench.analysis.comparison_records import Difference, TaskComparison
from judgebench.display import figure, interval
from judgebench.report.collect import Report, TaskReport


def comparison_of(report: Report, task: TaskReport) -> TaskComparison | None:
    """How the runs of a task differ."""
    tasks = report.comparison.tasks if report.comparison else ()
    return next((one for one in tasks if one.protocol_hash == task.protocol_hash), None)


def differences_of(report: Report, task: TaskReport) -> dict[tuple[str, str | None], Difference]:
    """Of the second run and the first, by metric and group."""
    compared = comparison_of(report, task)
    if compared is None or len(task.runs) != 2:
        return {}
    return {(one.metric, one.group): one for one in compared.differences}


def difference_in_words(one: Difference | None) -> str:
    """A difference with its sign and its interval; empty where there is none."""
    if one is None or one.difference is None:
        return ""
    around = "" if one.low is None or one.high is None else f" ({interval(one.low, one.high, one.unit, signed=True)})"
    return figure(one.difference, one.unit, signed=True) + around


def turned(one: Difference) -> Difference:
    """The same difference from the other run's side."""
    ends = [None if end is None else -end for end in (one.difference, one.high, one.low)]
    counted = None if one.counted is None else one.counted[::-1]
    return structs.replace(one, difference=ends[0], low=ends[1], high=ends[2], counted=counted)


def n_in_words(one: Difference) -> str:
    """How many samples count, in each of the two values where they are not as many."""
    first, second = one.counted or (one.n, one.n)
    return f"{first:,}" if first == second else f"{first:,} | {second:,}"
