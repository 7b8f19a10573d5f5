"""What the page shows of numbers: pure functions from a report to the rows, plots and words of its views."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from judgebench.analysis.comparison_records import Difference, TaskComparison
from judgebench.display import figure, interval, p_value, printable, ranks
from judgebench.exchange.sheets import Sheet, figures, words
from judgebench.records import Score
from judgebench.report.address import address
from judgebench.report.collect import Report, TaskReport
from judgebench.report.lengths import TENTHS, tenths
from judgebench.report.plots import Mark, Scale, Series, axis, curves, forest, scale_of
from judgebench.stats.clustered import cluster_totals

NUMBERS = {"percent": (0.0, 100.0)}
SECRET = ("key", "token", "authorization", "password", "secret")
OUTCOMES = ("win", "tie", "loss", "passed", "failed")


@dataclass(frozen=True)
class ScoreRow:
    """One metric, of all samples or of a group, in every run that has the task."""

    metric: str
    group: str
    cells: tuple[tuple[str, str, str, str], ...]
    """By run: the value, its interval, what to say of it, and where its samples are."""
    difference: str
    plot: Markup


@dataclass(frozen=True)
class ScoreTable:
    """The numbers of one task."""

    task: TaskReport
    names: tuple[str, ...]
    rows: tuple[ScoreRow, ...]
    axis: Markup
    judge: str


def score_tables(report: Report, *, groups: bool) -> list[ScoreTable]:
    """A table for each task; with ``groups``, of groups of samples too."""
    return [_score_table(report, task, groups=groups) for task in report.tasks]


def _score_table(report: Report, task: TaskReport, *, groups: bool) -> ScoreTable:
    by_run = [{(one.metric, one.group): one for one in opened.task.scores} for opened in task.opened]
    keys = list(dict.fromkeys(key for scores in by_run for key in scores if groups or key[1] is None))
    compared = _differences(report, task)
    percents = [s for scores in by_run for key, s in scores.items() if key in keys and s.unit == "percent"]
    scale = scale_of([end for s in percents for end in (s.value, s.low, s.high) if end is not None], NUMBERS["percent"])
    rows = tuple(
        ScoreRow(
            metric=metric,
            group=group or "",
            cells=tuple(_cell(task, number, scores.get((metric, group))) for number, scores in enumerate(by_run)),
            difference=_difference(compared.get((metric, group))),
            plot=_plot(report, task, scale, metric, group, [scores.get((metric, group)) for scores in by_run]),
        )
        for metric, group in keys
    )
    return ScoreTable(
        task=task,
        names=tuple(report.names[run] for run in task.runs),
        rows=rows,
        axis=axis(scale, "percent"),
        judge=judges_of(task),
    )


def summary_sheets(report: Report) -> list[Sheet]:
    """The summary's tables as every other table is printed; below each, what to say of its numbers first."""
    sheets = []
    for table in score_tables(report, groups=False):
        compared = len(table.names) == 2
        rows = tuple(
            (
                row.metric,
                *(f"{value} ({around})" if around else value for value, around, _, _ in row.cells),
                *((row.difference,) if compared else ()),
            )
            for row in table.rows
        )
        columns = words("metric") + figures(*table.names, *(("difference",) if compared else ()))
        sheets.append(Sheet(f"{table.task.label}, judge {table.judge}", columns, rows))
    notes = (*leads(report), *(doubt.words for doubt in doubts(report)), *report.notes)
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


def _cell(task: TaskReport, number: int, score: Score | None) -> tuple[str, str, str, str]:
    if score is None:
        return "–", "", "not in this run", ""
    told = f"n {score.n}" + (f", missing {score.n_missing}" if score.n_missing else "")
    around = "" if score.low is None or score.high is None else interval(score.low, score.high, score.unit)
    reason = score.reason or ""
    settings: dict[str, str | int] = {"run": task.runs[number]} if len(task.runs) > 1 else {}
    href = address("samples", task.label, **settings, cat=score.group or "", s="value")
    return figure(score.value, score.unit), around, printable(f"{told}{'; ' if reason else ''}{reason}", 300), href


def _plot(
    report: Report, task: TaskReport, scale: Scale, metric: str, group: str | None, scores: Sequence[Score | None]
) -> Markup:
    marks = [
        Mark(
            run=task.runs[number],
            value=score.value,
            low=score.low,
            high=score.high,
            words=f"{report.names[task.runs[number]]}: {metric} {figure(score.value, score.unit)}",
            href=_cell(task, number, score)[3],
        )
        for number, score in enumerate(scores)
        if score is not None and score.value is not None and score.unit == "percent"
    ]
    return forest(marks, scale, f"{metric}{f' of {group}' if group else ''} by run") if marks else Markup("")


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
                yield printable(
                    f"{task.label}: {name} has {headline.metric} {value}{around}, {headline.n} samples", 400
                )


def _lead_of(report: Report, task: TaskReport, differences: Sequence[Difference]) -> Iterator[str]:
    seen: set[int] = set()
    for one in differences:
        if one.group is not None or one.second in seen or one.difference is None:
            continue
        seen.add(one.second)
        first, second = report.names[one.first], report.names[one.second]
        sure = (
            ""
            if one.low is None or one.high is None
            else (f"; the interval {'holds 0, so this may be chance' if one.low <= 0 <= one.high else 'lies off 0'}")
        )
        yield printable(
            f"{task.label}: {second} less {first}, {one.metric} {_difference(one)}{sure}; {one.n} items", 400
        )


@dataclass(frozen=True)
class Doubt:
    """Something to know before a number is believed."""

    words: str
    href: str


def doubts(report: Report) -> Iterator[Doubt]:
    """What is missing, unread, unfinished, flagged or not comparable; each leads to its samples."""
    for number, own in enumerate(report.runs):
        if own.status != "complete":
            yield Doubt(f"{report.names[number]} is {own.status}", address("runs"))
    starters = [task.label for task in report.tasks if task.first.task_manifest.starter]
    if starters:
        words = f"starter sets, whose numbers are not the benchmarks': {', '.join(starters)}"
        yield Doubt(printable(words, 500), address("runs"))
    for task in report.tasks:
        for place, opened in enumerate(task.opened):
            name, run = report.names[task.runs[place]], task.runs[place]
            counts = opened.task.task_manifest.counts
            for state, verdict in (("unread", "unread"), ("failed", "unread"), ("no_answer", "error")):
                if counts.get(state):
                    yield Doubt(
                        f"{task.label}, {name}: {counts[state]} {state.replace('_', ' ')}",
                        address("samples", task.label, run=run, v=verdict),
                    )
            for note in opened.task.task_manifest.notes:
                yield Doubt(printable(f"{task.label}, {name}: {note}", 500), address("task", task.label))
            if not opened.task.scores:
                yield Doubt(f"{task.label}, {name}: not scored yet", address("runs"))
            for finding in opened.task.findings:
                if finding.flagged:
                    yield Doubt(f"{task.label}, {name}: {finding.message}", address("samples", task.label, run=run))
    for key, mismatches in report.comparison.unlike.items() if report.comparison else ():
        fields = ", ".join(dict.fromkeys(field for one in mismatches for field in one.fields))
        words = f"{key}: runs of unlike protocol stand apart, because they differ in {fields}"
        yield Doubt(printable(words, 500), address("compare"))
    yield from (Doubt(printable(note, 500), address("runs")) for note in report.notes)


# -- one task


def length_plot(report: Report, task: TaskReport) -> Markup | None:
    """The mean value in ten parts by length of the answer, by run; ``None`` if samples have no value."""
    series = length_series(report, task)
    values = [end for one in series for point in one.points for end in point[1:] if end is not None]
    if not values or task.measure is None:
        return None
    measure = task.opened[0].measures[task.measure]
    title = f"{task.measure} by length of the answer"
    told = "; ".join(_told(one) for one in series)
    return curves(series, scale_of(values, NUMBERS.get(measure.unit)), title, told)


def length_series(report: Report, task: TaskReport) -> list[Series]:
    """Each run's mean value in ten parts by length of the answer, with 95 % intervals."""
    if task.measure is None:
        return []
    return [
        Series(
            run,
            report.names[run],
            [_mean_of(tenth, values) for tenth, values in enumerate(_by_length(task, place))],
            [address("samples", task.label, run=run, l=tenth) for tenth in range(TENTHS)],
        )
        for place, run in enumerate(task.runs)
    ]


def _mean_of(tenth: int, values: Sequence[float]) -> tuple[float, float | None, float | None, float | None]:
    """Where a tenth stands, with the mean of its values and the ends of its interval."""
    totals = cluster_totals(values) if values else None
    mean, error = (None, None) if totals is None else (totals.value, totals.stderr)
    place = tenth / (TENTHS - 1)
    if mean is None or error is None:
        return place, mean, None, None
    return place, mean, mean - 1.96 * error, mean + 1.96 * error


def _told(series: Series) -> str:
    known = [value for _, value, _, _ in series.points if value is not None]
    return f"{series.name}: {known[0]:.2f} for the shortest tenth, {known[-1]:.2f} for the longest" if known else ""


def _by_length(task: TaskReport, place: int) -> list[list[float]]:
    opened, measure = task.opened[place], task.measure_of(place)
    names = list(task.examples)
    lengths = [sum(map(len, own.outputs)) if (own := opened.generations.get(name)) else 0 for name in names]
    found: list[list[float]] = [[] for _ in range(TENTHS)]
    for name, tenth in zip(names, tenths(lengths), strict=True):
        value = None if measure is None else measure.values.get(name)
        if value is not None:
            found[tenth].append(value)
    return found


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


def masked(words: Iterable[str]) -> Iterator[str]:
    """The words of a command without secrets and without the user's home."""
    home, hide = str(Path.home()), False
    for word in words:
        name, _, value = word.partition("=")
        secret = any(part in name.lower() for part in SECRET) and "env" not in name.lower()
        yield "***" if hide else f"{name}=***" if secret and value else word.replace(home, "~")
        hide = secret and not value and name.startswith("-")


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
    n: int
    plot: Markup
    href: str


@dataclass(frozen=True)
class Compared:
    """What a view says of the runs of one task beside each other."""

    task: TaskReport
    rows: tuple[DifferenceRow, ...]
    axis: Markup
    matrices: tuple[Matrix, ...]
    ranks: tuple[tuple[str, str, str], ...]
    """Metric, run, and the ranks that it may have; of more than two runs."""
    reasons: tuple[str, ...]


def compared(report: Report) -> list[Compared]:
    """The comparison of each task that several runs have."""
    return [_compared(report, task) for task in report.tasks if len(task.runs) > 1]


def _compared(report: Report, task: TaskReport) -> Compared:
    found = comparison_of(report, task)
    differences = () if found is None else found.differences
    ends = [
        end
        for one in differences
        if one.unit == "percent"
        for end in (one.difference, one.low, one.high, 0.0)
        if end is not None
    ]
    scale = scale_of(ends)
    return Compared(
        task=task,
        rows=tuple(_difference_row(report, task, one, scale) for one in differences),
        axis=axis(scale, "percent") if ends else Markup(""),
        matrices=tuple(_matrix(report, task, 0, other) for other in range(1, len(task.runs))),
        ranks=tuple(
            (one.metric, report.names[one.run], ranks(one.low, one.high))
            for one in sorted(found.ranks if found else (), key=lambda one: (one.metric, one.low, one.high))
            if one.group is None
        ),
        reasons=tuple(f"{what}: {why}" for what, why in (found.not_compared if found else ())),
    )


def _difference_row(report: Report, task: TaskReport, one: Difference, scale: Scale) -> DifferenceRow:
    href = address("samples", task.label, run=one.first, vs=one.second, v="changed", s="delta", cat=one.group or "")
    plot = Markup("")
    if one.difference is not None and one.unit == "percent":
        words = f"{one.metric}{f' {one.group}' if one.group else ''}: {_difference(one)}"
        mark = Mark(one.second, one.difference, one.low, one.high, words, href)
        plot = forest([mark], scale, f"difference of {one.metric}", zero=True)
    return DifferenceRow(
        metric=one.metric,
        group=one.group or "",
        runs=f"{report.names[one.second]} less {report.names[one.first]}",
        difference=figure(one.difference, one.unit, signed=True),
        around="" if one.low is None or one.high is None else interval(one.low, one.high, one.unit, signed=True),
        p="" if one.p_adjusted is None else p_value(one.p_adjusted).removeprefix("p "),
        n=one.n,
        plot=plot,
        href=href,
    )


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
