"""What the page shows of numbers: pure functions from a report to the rows, plots and words of its views."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup
from msgspec import structs

from judgebench.analysis.comparison_records import Difference, TaskComparison
from judgebench.analysis.samples import OpenTask
from judgebench.display import counted, figure, interval, p_value, printable, ranks
from judgebench.exchange.sheets import Sheet, figures, words
from judgebench.records import Score
from judgebench.report.address import address
from judgebench.report.categories import HeatMap, heat_maps
from judgebench.report.changes import Changes, changes_of, in_both, settings_that_differ
from judgebench.report.collect import NOT_COMPARED, Report, TaskReport
from judgebench.report.explaining import Explaining, explaining
from judgebench.report.ladders import Ladder, headline, ladder, ordered
from judgebench.report.length_plots import NUMBERS, LengthView, length_view, why_no_lengths
from judgebench.report.places import masked
from judgebench.report.plots import MARK, ROW, Mark, Scale, axis, forest, scale_of
from judgebench.report.published import Published, published_values
from judgebench.run.reading import Progress

OUTCOMES = ("win", "tie", "loss", "passed", "failed")
ADJUSTED = {"holm": "Holm", "bh": "BH"}
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
    compared, published = _differences(report, task), published_values(report, task)
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
            difference=_difference(compared.get((metric, group))),
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


def summary_sheets(report: Report) -> list[Sheet]:
    """The summary's tables as every other table is printed; below each, what to say of its numbers first."""
    sheets = []
    for table in score_tables(report, groups=False):
        compared = len(table.names) == 2
        rows = tuple(
            (
                row.metric,
                *(f"{cell.value} ({cell.around})" if cell.around else cell.value for cell in row.cells),
                *((row.difference,) if compared else ()),
            )
            for row in table.rows
        )
        columns = words("metric") + figures(*table.names, *(("difference",) if compared else ()))
        sheets.append(Sheet(f"{table.task.label}, judge {table.judge}", columns, rows))
    notes = (*leads(report), *(doubt.words for doubt in worst_first(doubts(report))), *report.notes)
    return [*sheets, Sheet("what to know of these numbers", notes=notes)] if notes else sheets


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


def _differences(report: Report, task: TaskReport) -> dict[tuple[str, str | None], Difference]:
    """Of the second run and the first, by metric and group."""
    compared = comparison_of(report, task)
    if compared is None or len(task.runs) != 2:
        return {}
    return {(one.metric, one.group): one for one in compared.differences}


def comparison_of(report: Report, task: TaskReport) -> TaskComparison | None:
    """How the runs of a task differ."""
    tasks = report.comparison.tasks if report.comparison else ()
    return next((one for one in tasks if one.protocol_hash == task.protocol_hash), None)


def _difference(one: Difference | None) -> str:
    if one is None or one.difference is None:
        return ""
    around = "" if one.low is None or one.high is None else f" ({interval(one.low, one.high, one.unit, signed=True)})"
    return figure(one.difference, one.unit, signed=True) + around


# -- what to say first


def leads(report: Report) -> Iterator[str]:
    """A sentence for each task: the headline numbers or, of two runs, their difference."""
    for task in report.tasks:
        compared = comparison_of(report, task)
        if compared is not None and compared.differences:
            yield from _lead_of(report, task, compared.differences)
            continue
        for number, opened in enumerate(task.opened):
            headline = next((one for one in opened.task.scores if one.group is None and one.value is not None), None)
            if headline is not None:
                around = (
                    ""
                    if headline.low is None or headline.high is None
                    else (f" ({interval(headline.low, headline.high, headline.unit)})")
                )
                name = report.names[task.runs[number]]
                value = figure(headline.value, headline.unit)
                now = _now([opened])
                yield printable(
                    f"{task.label}: {name} has {headline.metric} {value}{around}, {headline.n} samples{now}", 400
                )


def _now(opened: Sequence[OpenTask]) -> str:
    """What to add to a number of samples of which more will come."""
    told = (one.task.so_far for one in opened)
    return " so far" if any(one is not None and one.ended < one.examples for one in told) else ""


def _lead_of(report: Report, task: TaskReport, differences: Sequence[Difference]) -> Iterator[str]:
    metric, now = headline(task), _now(task.opened)
    if len(task.runs) > 2 and metric is not None:
        known = ordered(task, metric)
        told = [f"{figure(one.value, one.unit)} ({report.names[task.runs[at]]})" for at, one in (known[0], known[-1])]
        yield printable(f"{task.label}: {len(known)} runs, {metric} from {' to '.join(told)}{now}", 400)
        return
    one = next((one for one in differences if one.group is None and one.difference is not None), None)
    if one is None:
        return
    first, second, sure = report.names[one.first], report.names[one.second], ""
    if one.low is not None and one.high is not None:
        sure = f"; the interval {'holds 0, so this may be chance' if one.low <= 0 <= one.high else 'lies off 0'}"
    assert one.difference is not None
    ahead, behind, turned = (second, first, one) if one.difference >= 0 else (first, second, _turned(one))
    said = "leads" if one.difference else "does as well as"
    words = (
        f"{task.label}: {ahead} {said} {behind}, {one.metric} {_difference(turned)}{sure}; "
        f"{_n_of(turned).replace(' | ', ' and ')} items{now}"
    )
    yield printable(words, 400)


def _turned(one: Difference) -> Difference:
    """The same difference from the other run's side."""
    ends = [None if end is None else -end for end in (one.difference, one.high, one.low)]
    counted = None if one.counted is None else one.counted[::-1]
    return structs.replace(one, difference=ends[0], low=ends[1], high=ends[2], counted=counted)


INCOMPARABLE, INCOMPLETE, FLAGGED, REMARKED = range(4)
"""How much a doubt weighs: numbers that cannot be compared, that are not of all items, odd items, and remarks."""


@dataclass(frozen=True)
class Doubt:
    """Something to know before a number is believed."""

    words: str
    href: str
    weight: int = FLAGGED


def worst_first(doubts: Iterable[Doubt]) -> list[Doubt]:
    """Doubts with what makes numbers incomparable first, and remarks last."""
    return sorted(doubts, key=lambda doubt: doubt.weight)


def doubts(report: Report) -> Iterator[Doubt]:
    """What is missing, unread, unfinished, flagged or not comparable; each leads to its samples."""
    for number, own in enumerate(report.runs):
        if own.status != "complete":
            yield Doubt(f"{report.names[number]} is {own.status}", address("runs"), INCOMPLETE)
    starters = [task.label for task in report.tasks if task.first.task_manifest.starter]
    if starters:
        words = f"starter sets, whose numbers are not the benchmarks': {', '.join(starters)}"
        yield Doubt(printable(words, 500), address("runs"), INCOMPARABLE)
    for task in report.tasks:
        for place, opened in enumerate(task.opened):
            name, run = report.names[task.runs[place]], task.runs[place]
            counts = opened.task.task_manifest.counts
            for state, doubt in (("unread", "unread"), ("failed", "unread"), ("no_answer", "error")):
                if counts.get(state):
                    yield Doubt(
                        f"{task.label}, {name}: {counts[state]} {state.replace('_', ' ')}",
                        address("samples", task.label, run=run, f=doubt),
                        INCOMPLETE,
                    )
            for note in opened.task.task_manifest.notes:
                yield Doubt(printable(f"{task.label}, {name}: {note}", 500), address("task", task.label), REMARKED)
            if (progress := opened.task.so_far) is not None:
                told = printable(f"{task.label}, {name}: {so_far_in_words(progress)}", 500)
                yield Doubt(told, address("samples", task.label, run=run), INCOMPLETE)
            elif not opened.task.scores:
                yield Doubt(f"{task.label}, {name}: not scored yet", address("runs"), INCOMPLETE)
            yield from _left_out(task, place, name)
            for finding in opened.task.findings:
                if finding.flagged:
                    listed = finding.check if task.doubted[place].get(finding.check) else ""
                    href = address("samples", task.label, run=run, f=listed)
                    yield Doubt(f"{task.label}, {name}: {finding.message}", href)
    for key, mismatches in report.comparison.unlike.items() if report.comparison else ():
        fields = ", ".join(dict.fromkeys(field for one in mismatches for field in one.fields))
        words = f"{key}: runs of unlike protocol stand apart, because they differ in {fields}"
        yield Doubt(printable(words, 500), address("compare"), INCOMPARABLE)
    for note in report.notes:
        weight = INCOMPARABLE if note.startswith(NOT_COMPARED) else REMARKED
        yield Doubt(printable(note, 500), address("runs"), weight)


def _left_out(task: TaskReport, place: int, name: str) -> Iterator[Doubt]:
    """Samples that count in the measure by which they are listed, and not in other numbers."""
    by_names: dict[frozenset[str], list[str]] = {}
    for metric, names in task.left_out[place].items():
        by_names.setdefault(frozenset(names), []).append(metric)
    measure = task.measure_of(place)
    if measure is None:
        return
    for names, metrics in by_names.items():
        values = {measure.values[one] for one in names}
        worth = f" as {figure(next(iter(values)), measure.unit)} each" if len(values) == 1 and len(names) > 1 else ""
        empty = names <= task.doubted[place].get("empty_output", set())
        what = counted(len(names), "empty answer" if empty else "sample with a value")
        words = f"{task.label}, {name}: {what} not in {', '.join(metrics)}, but counted in {measure.name}{worth}"
        yield Doubt(printable(words, 500), address("samples", task.label, run=task.runs[place], of=metrics[0], f="out"))


def so_far_in_words(progress: Progress) -> str:
    """How far a task of a run that goes on is, and what its numbers are of.

    >>> so_far_in_words(Progress(examples=100, answered=40, failed=1, judged=0, ended=1))
    'so far 41 of 100 items are answered (1 failed); no answer has all its verdicts yet, so there are no numbers yet'
    """
    failed = f" ({progress.failed:,} failed)" if progress.failed else ""
    judged = f", {progress.judged:,} judged" if progress.judged else ""
    done = f"so far {progress.answered + progress.failed:,} of {progress.examples:,} items are answered{failed}{judged}"
    if progress.why or not progress.rows:
        unjudged = "no answer has all its verdicts yet, so " if progress.answered and not progress.why else ""
        return f"{done}; {unjudged}there are no numbers yet{f': {progress.why}' if progress.why else ''}"
    if progress.ended >= progress.examples:
        return f"all {progress.examples:,} items have ended{failed}, and the numbers are of all; the run itself goes on"
    return f"{done}; the numbers are of {counted(progress.ended, 'item')}, of which nothing more will come"


# -- runs


def facts(report: Report) -> list[tuple[str, list[tuple[str, str]]]]:
    """Where each run comes from, as names and values."""
    return [(name, list(_facts(report, number))) for number, name in enumerate(report.names)]


def _facts(report: Report, number: int) -> Iterator[tuple[str, str]]:
    run = report.runs[number]
    manifest = run.manifest
    yield "model", manifest.candidate
    yield "model spec", manifest.candidate_spec or ""
    yield "folder", run.path.name
    yield "status", run.status
    yield "started", str(manifest.started_at)
    if manifest.sessions:
        yield "command", " ".join(masked(manifest.sessions[-1].argv))
    yield "versions", ", ".join(f"{name} {version}" for name, version in manifest.versions.items())
    for task in run.tasks.values():
        yield f"{task.task_manifest.label}: protocol", task.task_manifest.protocol_hash


# -- two runs of a task


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
            words = f"{one.metric}{f' {group}' if group else ''}: {_difference(one)}"
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
            n=_n_of(one),
            values=(figure(one.first_value, one.unit), figure(one.second_value, one.unit)),
            plot=plot,
            axis=under,
            href=href if sizes[""] else "",
            listed=sizes[group if group in task.sizes else ""],
        )


def _n_of(one: Difference) -> str:
    """How many samples count, in each of the two values where they are not as many."""
    first, second = one.counted or (one.n, one.n)
    return f"{first:,}" if first == second else f"{first:,} | {second:,}"


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


# -- one task


@dataclass(frozen=True)
class TaskView:
    """What the view of one task shows."""

    number: int
    table: ScoreTable
    ladder: Ladder | None
    heat_maps: Sequence[HeatMap]
    lengths: LengthView | None
    no_lengths: str
    """Why nothing is said of length, where judges read the answers."""
    explaining: Explaining | None
    predictions: Sequence[tuple[str, str, str, str]]
    sources: Sequence[tuple[str, str, str]]


def task_views(report: Report) -> list[TaskView]:
    """The views of all tasks."""
    tables = score_tables(report, groups=True)
    return [_task_view(report, table, number) for number, table in enumerate(tables)]


def _task_view(report: Report, table: ScoreTable, number: int) -> TaskView:
    task, compared = table.task, comparison_of(report, table.task)
    lengths = length_view(report, task, compared)
    return TaskView(
        number=number,
        table=table,
        ladder=ladder(report, task, compared),
        heat_maps=heat_maps(report, task),
        lengths=lengths,
        no_lengths=why_no_lengths(task) if lengths is None else "",
        explaining=explaining(report, task),
        predictions=predictions(report, task),
        sources=sources(task),
    )


# -- protocols


@dataclass(frozen=True)
class Unlike:
    """Runs that are not compared with the first one of their task."""

    task: str
    first: str
    other: str
    rows: tuple[tuple[str, str, str], ...]
    """Field, its value in the first run, and in the other."""


def unlike(report: Report) -> list[Unlike]:
    """How protocols differ, for each run that is left out of a comparison."""
    if report.comparison is None:
        return []
    return [
        Unlike(
            task=printable(key, 200),
            first=report.names[next(n for n, run in enumerate(report.runs) if key in run.tasks)],
            other=report.names[one.run],
            rows=tuple(
                (field, printable(first, 300), printable(second, 300))
                for field, (first, second) in zip(one.fields, one.values, strict=True)
            ),
        )
        for key, mismatches in report.comparison.unlike.items()
        for one in mismatches
    ]


def sources(task: TaskReport) -> list[tuple[str, str, str]]:
    """The official files of a task: name, sha256, and where it came from."""
    used = {(one.name, one.sha256): one for opened in task.opened for one in opened.task.task_manifest.sources}
    return [
        (one.name, one.sha256, f"{one.origin}, a reconstruction" if one.standin else one.origin)
        for one in used.values()
    ]


def predictions(report: Report, task: TaskReport) -> list[tuple[str, str, str, str]]:
    """Official numbers that a judge bridge predicted: run, metric, value with interval, and by what."""
    return [
        (
            report.names[task.runs[place]],
            score.metric,
            figure(score.value, score.unit)
            + ("" if score.low is None or score.high is None else f" ({interval(score.low, score.high, score.unit)})"),
            printable(score.method or "", 300),
        )
        for place, opened in enumerate(task.opened)
        for score in opened.task.predictions
    ]
