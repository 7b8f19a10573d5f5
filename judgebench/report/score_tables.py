"""The numbers of a task in every run, as rows with their plots."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from judgebench.display import figure, interval, printable
from judgebench.records import Score
from judgebench.report.collect import Report, TaskReport
from judgebench.report.differences import difference_in_words, differences_of
from judgebench.report.doubts import so_far_in_words
from judgebench.report.ladders import headline, ordered
from judgebench.report.length_plots import NUMBERS
from judgebench.report.plots import MARK, ROW, Mark, Scale, axis, forest, scale_of
from judgebench.report.published import Published, published_values

MOST_COLUMNS = 4
"""More runs are the rows of the summary's tables, not their columns."""


@dataclass(frozen=True)
class ScoreCell:
    """One number of one run."""

    value: str
    around: str = ""
    told: str = ""
    href: str = ""
    """Where its samples are."""
    n: int = 0
    """How many these are: those with a value, and those that lack one."""
    counted: str = ""
    """Of how many samples the number is, where that is not the same in every run."""


@dataclass(frozen=True)
class ScoreRow:
    """One metric, of all samples or of a group, in every run that has the task."""

    metric: str
    group: str
    cells: tuple[ScoreCell, ...]
    """By run."""
    difference: str
    plot: Markup
    axis: Markup
    """Under the last row of a unit."""
    reason: str
    """Why no run has a number."""


@dataclass(frozen=True)
class ScoreTable:
    """The numbers of one task."""

    task: TaskReport
    names: tuple[str, ...]
    rows: tuple[ScoreRow, ...]
    judge: str
    published: tuple[str, ...]
    """Where the numbers come from that are drawn as hollow marks."""
    by_upstream: tuple[str, ...]
    """Numbers that upstream's rule, with which the published ones were made, makes otherwise."""
    without: tuple[str, ...]
    """Numbers of groups that no run has, and why."""
    so_far: tuple[str, ...]
    """How far the runs are that go on."""


def score_tables(report: Report, *, groups: bool) -> list[ScoreTable]:
    """A table for each task; with ``groups``, of groups of samples too."""
    return [_score_table(report, task, groups=groups) for task in report.tasks]


def _score_table(report: Report, task: TaskReport, *, groups: bool) -> ScoreTable:
    by_run = [{(one.metric, one.group): one for one in opened.task.scores} for opened in task.opened]
    known = list(dict.fromkeys(key for scores in by_run for key in scores if groups or key[1] is None))
    compared, published = differences_of(report, task), published_values(report, task)
    units = {key: next(scores[key].unit for scores in by_run if key in scores) for key in known}
    # What has one scale stands together, over one axis.
    order = list(dict.fromkeys(units.values()))
    listed = [key for key in known if key[1] is None or _has_value(by_run, key)]
    keys = sorted(listed, key=lambda key: (order.index(units[key]), not _has_value(by_run, key)))
    drawn = [key for key in keys if not is_spread(key[0])]
    scales = _scales(by_run, drawn, units, published)
    last = {units[key]: key for key in drawn if scales.get(units[key]) is not None and _has_value(by_run, key)}
    rows = tuple(
        ScoreRow(
            metric=metric,
            group=group or "",
            cells=_cells(task, [scores.get((metric, group)) for scores in by_run]),
            difference=difference_in_words(compared.get((metric, group))),
            plot=_plot(report, task, scales.get(units[metric, group]), metric, group, by_run, published)
            if (metric, group) in drawn
            else Markup(""),
            axis=axis(scale, unit, named=True)
            if last.get(unit := units[metric, group]) == (metric, group) and (scale := scales.get(unit)) is not None
            else Markup(""),
            reason="" if _has_value(by_run, (metric, group)) else _reason(by_run, (metric, group)),
        )
        for metric, group in keys
    )
    return ScoreTable(
        task=task,
        names=tuple(report.names[run] for run in task.runs),
        rows=rows,
        judge=judges_of(task),
        published=tuple(dict.fromkeys(one.source for one in published.values())),
        by_upstream=tuple(_by_upstream(report, task)),
        without=tuple(
            dict.fromkeys(
                f"{metric} by {(group or '').partition('=')[0]}: {_reason(by_run, (metric, group))}"
                for metric, group in known
                if (metric, group) not in keys
            )
        ),
        so_far=tuple(
            f"{report.names[run]}: {so_far_in_words(progress)}"
            for run, opened in zip(task.runs, task.opened, strict=True)
            if (progress := opened.task.so_far) is not None
        ),
    )


def is_spread(metric: str) -> bool:
    """Whether a metric is the standard error of another, which has no place among numbers on an axis.

    >>> is_spread("lc_standard_error"), is_spread("lc_win_rate")
    (True, False)
    """
    return metric.endswith("standard_error")


def _by_upstream(report: Report, task: TaskReport) -> Iterator[str]:
    for run, opened in zip(task.runs, task.opened, strict=True):
        for score in opened.task.scores:
            found = score.upstream
            if score.group is None and found is not None and found.value != score.value:
                ours, theirs = figure(score.value, score.unit), figure(found.value, score.unit)
                why = printable(f": {found.reason}", 300) if found.reason else ""
                yield f"{score.metric} of {report.names[run]} is {ours} by our rule, {theirs} by upstream's{why}"


def _reason(by_run: Sequence[Mapping[tuple[str, str | None], Score]], key: tuple[str, str | None]) -> str:
    told = next((scores[key].reason for scores in by_run if key in scores and scores[key].reason), None)
    return printable(told or "no reason is given", 300)


def _has_value(by_run: Sequence[Mapping[tuple[str, str | None], Score]], key: tuple[str, str | None]) -> bool:
    return any(key in scores and scores[key].value is not None for scores in by_run)


def _scales(
    by_run: Sequence[Mapping[tuple[str, str | None], Score]],
    keys: Sequence[tuple[str, str | None]],
    units: Mapping[tuple[str, str | None], str],
    published: Published,
) -> dict[str, Scale]:
    """A scale for each unit, which holds all values of it."""
    ends: dict[str, list[float]] = {}
    for key in keys:
        known = [scores[key] for scores in by_run if key in scores]
        own = [end for score in known for end in (score.value, score.low, score.high) if end is not None]
        if key[1] is None:
            own += [one.value for (_, metric), one in published.items() if metric == key[0]]
        ends.setdefault(units[key], []).extend(own)
    return {unit: scale_of(own, NUMBERS.get(unit)) for unit, own in ends.items() if own}


@dataclass(frozen=True)
class RunRow:
    """One run by the headline metric, where there are too many for columns."""

    name: str
    cell: ScoreCell
    plot: Markup


def run_rows(report: Report, task: TaskReport) -> tuple[str, list[RunRow], Markup]:
    """The headline metric of a task's runs, in the report's order, with the axis under the plots."""
    metric = headline(task)
    scores = {} if metric is None else dict(ordered(task, metric))
    scale = scale_of(end for s in scores.values() for end in (s.value, s.low, s.high) if end is not None)
    rows = []
    for place, run in enumerate(task.runs):
        score, name, plot = scores.get(place), report.names[run], Markup("")
        if score is not None and score.value is not None:
            words = f"{name}: {figure(score.value, score.unit)}"
            mark = Mark(run, score.value, score.low, score.high, words, _cell(task, place, score).href)
            plot = forest([mark], scale, f"{metric} of {name}", grid=True)
        rows.append(RunRow(name, _cell(task, place, score), plot))
    unit = next((score.unit for score in scores.values()), "")
    return metric or "no number", rows, axis(scale, unit, named=True) if scores else Markup("")


def judges_of(task: TaskReport) -> str:
    """Who judged a task, in words."""
    if not task.opened[0].judged:
        return "no judge: answers are verified"
    named = [name for opened in task.opened for name in opened.task.task_manifest.judge_models]
    if named:
        return "judge " + printable(", ".join(dict.fromkeys(named)), 200)
    told = task.first.task_manifest.protocol.get("judges")
    listed = told if isinstance(told, Mapping) else {}
    models = [str(one.get("model", name)) if isinstance(one, Mapping) else str(one) for name, one in listed.items()]
    return "judge " + printable(", ".join(dict.fromkeys(models)), 200)


def _cells(task: TaskReport, scores: Sequence[Score | None]) -> tuple[ScoreCell, ...]:
    cells = [_cell(task, number, score) for number, score in enumerate(scores)]
    known = [score for score in scores if score is not None and score.value is not None]
    if len({score.n for score in known}) < 2:
        return tuple(cells)
    return tuple(
        replace(cell, counted=f"n {score.n:,}") if score in known and score is not None else cell
        for cell, score in zip(cells, scores, strict=True)
    )


def _cell(task: TaskReport, number: int, score: Score | None) -> ScoreCell:
    if score is None:
        return ScoreCell("–", told="not in this run")
    told = f"n {score.n}" + (f", missing {score.n_missing}" if score.n_missing else "")
    around = "" if score.low is None or score.high is None else interval(score.low, score.high, score.unit)
    reason = score.reason or ""
    settings: dict[str, str | int] = {"run": task.runs[number]} if len(task.runs) > 1 else {}
    listed = task.list_of(score.metric, score.group, score.n + score.n_missing, **settings, s="value")
    return ScoreCell(
        value=figure(score.value, score.unit),
        around=around,
        told=printable(f"{told}{'; ' if reason else ''}{reason}", 300),
        href=listed.href,
        n=listed.n,
    )


def _plot(
    report: Report,
    task: TaskReport,
    scale: Scale | None,
    metric: str,
    group: str | None,
    by_run: Sequence[Mapping[tuple[str, str | None], Score]],
    published: Published,
) -> Markup:
    if scale is None:
        return Markup("")
    marks = []
    for number, scores in enumerate(by_run):
        score = scores.get((metric, group))
        if score is None or score.value is None:
            continue
        words = f"{report.names[task.runs[number]]}: {metric} {figure(score.value, score.unit)}"
        theirs = None if group is not None else published.get((number, metric))
        if theirs is not None:
            words += printable(f"; {figure(theirs.value, score.unit)} is published ({theirs.source})", 200)
        href = _cell(task, number, score).href
        there = None if theirs is None else theirs.value
        marks.append(Mark(task.runs[number], score.value, score.low, score.high, words, href, there))
    title = f"{metric}{f' of {group}' if group else ''} by run"
    row, size = (ROW, MARK) if len(task.runs) <= MOST_COLUMNS else (15.0, 4.0)
    return forest(marks, scale, title, grid=True, row=row, size=size) if marks else Markup("")
