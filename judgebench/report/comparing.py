"""Two runs of a task beside each other: differences, how samples ended, and ranks."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from judgebench.analysis.comparison_records import Difference
from judgebench.display import figure, interval, p_value, ranks
from judgebench.report.address import address
from judgebench.report.changes import Changes, changes_of, in_both, settings_that_differ
from judgebench.report.collect import Report, TaskReport
from judgebench.report.differences import comparison_of, difference_in_words, n_in_words
from judgebench.report.plots import Mark, axis, forest, scale_of

OUTCOMES = ("win", "tie", "loss", "passed", "failed")
ADJUSTED = {"holm": "Holm", "bh": "BH"}


@dataclass(frozen=True)
class Matrix:
    """How often each way in which a sample ended for one run met each way for another."""

    first: str
    second: str
    rows: tuple[tuple[str, tuple[tuple[int, str], ...]], ...]
    """By the first run's end: counts by the second's, with the addresses of their samples."""
    ends: tuple[str, ...]


@dataclass(frozen=True)
class DifferenceRow:
    """One metric of two runs beside each other, of all samples or of a group."""

    metric: str
    group: str
    runs: str
    difference: str
    around: str
    p: str
    n: str
    """Of how many samples the two values are."""
    values: tuple[str, str]
    """Of both runs, over the samples that both have; empty where they are not known."""
    plot: Markup
    axis: Markup
    """Under the last row of a unit."""
    href: str
    listed: int
    """How many samples are there."""


@dataclass(frozen=True)
class Compared:
    """What a view says of the runs of one task beside each other."""

    task: TaskReport
    rows: tuple[DifferenceRow, ...]
    matrices: tuple[Matrix, ...]
    changes: tuple[Changes, ...]
    settings: tuple[tuple[str, tuple[str, ...]], ...]
    """What differs in how the runs were made."""
    ranks: tuple[tuple[str, str, str], ...]
    """Metric, run, and the ranks that it may have; of more than two runs."""
    reasons: tuple[str, ...]
    adjusted: str
    """How p-values are adjusted, in a word; empty if they are not."""
    unlike_n: str
    """The metrics whose values are of unlike numbers of samples."""


def compared(report: Report) -> list[Compared]:
    """The comparison of each task that several runs have."""
    return [_compared(report, task) for task in report.tasks if len(task.runs) > 1]


def _compared(report: Report, task: TaskReport) -> Compared:
    found = comparison_of(report, task)
    differences = () if found is None else found.differences
    others = range(1, len(task.runs))
    return Compared(
        task=task,
        rows=tuple(_difference_rows(report, task, differences)),
        matrices=tuple(_matrix(report, task, 0, other) for other in others),
        changes=tuple(one for other in others if (one := changes_of(report, task, 0, other)) is not None),
        settings=tuple(settings_that_differ(report, task)),
        ranks=tuple(
            (one.metric, report.names[one.run], ranks(one.low, one.high))
            for one in sorted(found.ranks if found else (), key=lambda one: (one.metric, one.low, one.high))
            if one.group is None
        ),
        reasons=tuple(f"{what}: {why}" for what, why in (found.not_compared if found else ())),
        adjusted=ADJUSTED.get(report.comparison.adjust, "") if report.comparison else "",
        unlike_n=" and ".join(dict.fromkeys(one.metric for one in differences if len(set(one.counted or ())) > 1)),
    )


def _difference_rows(report: Report, task: TaskReport, differences: Sequence[Difference]) -> Iterator[DifferenceRow]:
    """All differences, drawn on one scale for each unit."""
    ends: dict[str, list[float]] = {}
    for one in differences:
        own = [end for end in (one.difference, one.low, one.high) if end is not None]
        ends.setdefault(one.unit, [0.0]).extend(own)
    scales = {unit: scale_of(own) for unit, own in ends.items() if len(own) > 1}
    # What has one scale stands together, over one axis.
    last = {one.unit: one for one in differences if one.difference is not None}
    listed = {other: _sizes_of(task, in_both(task, 0, other)) for other in range(1, len(task.runs))}
    order = list(ends)
    for one in sorted(differences, key=lambda one: order.index(one.unit)):
        group, plot, under = one.group or "", Markup(""), Markup("")
        sizes = listed[task.runs.index(one.second)]
        href = task.list_of(one.metric, group, 0, run=one.first, vs=one.second, v="both", s="delta").href
        if one.difference is not None:
            words = f"{one.metric}{f' {group}' if group else ''}: {difference_in_words(one)}"
            mark = Mark(one.second, one.difference, one.low, one.high, words, href)
            plot = forest([mark], scales[one.unit], f"difference of {one.metric}", zero=True, grid=True)
            under = axis(scales[one.unit], one.unit, named=True) if last[one.unit] is one else Markup("")
        yield DifferenceRow(
            metric=one.metric,
            group=group,
            runs=f"{report.names[one.second]} less {report.names[one.first]}",
            difference=figure(one.difference, one.unit, signed=True),
            around="" if one.low is None or one.high is None else interval(one.low, one.high, one.unit, signed=True),
            p="" if one.p_adjusted is None else p_value(one.p_adjusted).removeprefix("p ").removeprefix("= "),
            n=n_in_words(one),
            values=(figure(one.first_value, one.unit), figure(one.second_value, one.unit)),
            plot=plot,
            axis=under,
            href=href if sizes[""] else "",
            listed=sizes[group if group in task.sizes else ""],
        )


def _sizes_of(task: TaskReport, names: Sequence[str]) -> Counter[str]:
    """How many of some samples each group has; all are those of the group without a name."""
    return Counter({"": len(names)}) + Counter(group for name in names for group in task.grouped[name])


def matrix_counts(task: TaskReport, first: int, second: int) -> tuple[Counter[tuple[str, str]], tuple[str, ...]]:
    """How often each end of a sample in one run met each end in another, and which ends there are."""
    ended = [task.outcomes(place) for place in (first, second)]
    counts = Counter((ended[0][name], ended[1][name]) for name in ended[0] if name in ended[1])
    return counts, tuple(end for end in OUTCOMES if any(end in pair for pair in counts))


def _matrix(report: Report, task: TaskReport, first: int, second: int) -> Matrix:
    counts, ends = matrix_counts(task, first, second)
    runs = {"run": task.runs[first], "vs": task.runs[second]}
    return Matrix(
        first=report.names[task.runs[first]],
        second=report.names[task.runs[second]],
        ends=ends,
        rows=tuple(
            (
                one,
                tuple(
                    (counts[one, other], address("samples", task.label, **runs, m=f"{one}>{other}")) for other in ends
                ),
            )
            for one in ends
        ),
    )
