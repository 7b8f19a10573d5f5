"""Runs by one number, the best first, with the ranks that are certain."""

from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from judgebench.analysis.comparison_records import Rank, TaskComparison
from judgebench.display import figure, interval, ranks
from judgebench.records import Score
from judgebench.report.collect import Report, TaskReport
from judgebench.report.plots import Mark, axis, forest, scale_of

FEWEST_RUNS = 3


@dataclass(frozen=True)
class Rung:
    """One run on the ladder."""

    rank: str
    """Those that it may have; empty if that is not known."""
    name: str
    href: str
    value: str
    around: str
    n: int
    plot: Markup
    bracket: str
    """Where it stands in a bracket of runs whose order is open: ``start``, ``middle``, ``end``, or none."""


@dataclass(frozen=True)
class Ladder:
    """The runs of a task by its headline metric."""

    metric: str
    rungs: tuple[Rung, ...]
    axis: Markup


def headline(task: TaskReport) -> str | None:
    """The first metric over all samples that some run has a value of; of quality, if there is one."""
    listed = [s for opened in task.opened for s in opened.task.scores if s.group is None and s.value is not None]
    of_quality = (score.metric for score in listed if task.is_of_quality(score.metric))
    return next(of_quality, None) or next((score.metric for score in listed), None)


def ordered(task: TaskReport, metric: str) -> list[tuple[int, Score]]:
    """The runs with a value of a metric, by their places in the task, the highest value first."""
    found = [(place, score) for place, opened in enumerate(task.opened) if (score := opened.task.overall.get(metric))]
    return sorted(
        ((place, one) for place, one in found if one.value is not None), key=lambda entry: -(entry[1].value or 0.0)
    )


def certain_ranks(compared: TaskComparison | None, metric: str) -> dict[int, Rank]:
    """The ranks that each run may have by a metric, by the run's number in the report.

    Of two runs the order is certain if the interval of their difference excludes 0.
    """
    if compared is None:
        return {}
    if len(compared.runs) != 2:
        return {one.run: one for one in compared.ranks if one.group is None and one.metric == metric}
    apart = next((one for one in compared.differences if one.group is None and one.metric == metric), None)
    if apart is None or apart.low is None or apart.high is None:
        return {}
    places = {apart.first: (1, 2), apart.second: (1, 2)}
    if apart.low > 0 or apart.high < 0:
        better, worse = (apart.second, apart.first) if apart.low > 0 else (apart.first, apart.second)
        places = {better: (1, 1), worse: (2, 2)}
    return {run: Rank(metric=metric, run=run, value=None, low=low, high=high) for run, (low, high) in places.items()}


def ladder(report: Report, task: TaskReport, compared: TaskComparison | None) -> Ladder | None:
    """The runs of a task on a ladder; ``None`` for fewer than three."""
    metric = headline(task)
    listed = [] if metric is None else ordered(task, metric)
    if metric is None or len(listed) < FEWEST_RUNS:
        return None
    scale = scale_of(end for _, s in listed for end in (s.value, s.low, s.high) if end is not None)
    certain = certain_ranks(compared, metric)
    found = [certain.get(task.runs[place]) for place, _ in listed]
    joined = [_open(one, other) for one, other in pairwise(found)]
    rungs = []
    for number, (place, score) in enumerate(listed):
        run, known = task.runs[place], found[number]
        before, after = number > 0 and joined[number - 1], number < len(joined) and joined[number]
        assert score.value is not None
        name, value = report.names[run], figure(score.value, score.unit)
        samples = task.list_of(score.metric, None, score.n + score.n_missing, run=run, s="value")
        mark = Mark(run, score.value, score.low, score.high, f"{name}: {value}", samples.href)
        rungs.append(
            Rung(
                rank="" if known is None else ranks(known.low, known.high),
                name=name,
                href=samples.href,
                value=value,
                around="" if score.low is None or score.high is None else interval(score.low, score.high, score.unit),
                n=samples.n,
                plot=forest([mark], scale, f"{metric} of {name}", grid=True),
                bracket="middle" if before and after else "end" if before else "start" if after else "",
            )
        )
    return Ladder(metric, tuple(rungs), axis(scale, listed[0][1].unit, named=True))


def _open(upper: Rank | None, lower: Rank | None) -> bool:
    """Whether two neighbours may stand the other way round."""
    return upper is not None and lower is not None and lower.low <= upper.high
