"""What ``explain`` finds, for the view of a task: where the variance of verdicts comes from, and how much is style."""

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from judgebench.analysis.explanation import Explained, Explanation, SeveralRuns, Style, Variance, explain_tasks
from judgebench.display import figure, interval, percent, printable
from judgebench.errors import UsageError
from judgebench.report.collect import Report, TaskReport
from judgebench.report.plots import Part, stack
from judgebench.stats.intervals import Interval

MOST_SAMPLES = 2000
"""Of more samples nothing is explained here: intervals are resampled, which would take longer than all the rest."""
SOURCES = ("item", "judge", "order", "item x judge", "item x order", "residual")
"""Of variance, in the order of their colours."""


@dataclass(frozen=True)
class VarianceView:
    """Where the variance of one judge's verdicts on one run's answers comes from."""

    title: str
    plot: Markup
    rows: tuple[tuple[str, str, str, str], ...]
    """Source, variance, share, interval."""
    reason: str


@dataclass(frozen=True)
class StyleView:
    """How much of one run's wins is length and markdown."""

    title: str
    rows: tuple[tuple[str, str, str, str], ...]
    """What is held equal, the win rate, its interval, and how many points that explains."""
    shares: tuple[tuple[str, str, Markup], ...]
    """Of the verdicts' deviance, what each explains."""
    floor: str
    """How much a judge predicts that sees only style."""
    reason: str


@dataclass(frozen=True)
class Explaining:
    """All of this, of one task."""

    variance: tuple[VarianceView, ...]
    style: tuple[StyleView, ...]
    several: tuple[tuple[str, str], ...]
    """What is said of several runs of one protocol: what, and the figure."""
    reasons: tuple[str, ...]
    """Why something has no numbers."""


def explaining(report: Report, task: TaskReport) -> Explaining | None:
    """What ``explain`` says of a task's runs; ``None`` where nobody judged."""
    if not task.opened[0].judged or any(opened.code is None for opened in task.opened):
        return None
    if len(task.examples) > MOST_SAMPLES:
        why = f"of more than {MOST_SAMPLES:,} samples this is said by the command judgebench explain"
        return Explaining((), (), (), (why,))
    chosen = [(report.runs[run], opened.task) for run, opened in zip(task.runs, task.opened, strict=True)]
    try:
        known = [pair for pair, opened in zip(chosen, task.opened, strict=True) if opened.measures]
        # There may be any number of models in a run folder, and threes of them are very many.
        found = explain_tasks(known, circles=False)
    except UsageError as error:
        return Explaining((), (), (), (printable(str(error), 300),))
    return Explaining(
        variance=tuple(_variance(_name(report, task, own), one) for own in found.runs for one in own.variance),
        style=tuple(_style(_name(report, task, own), one) for own in found.runs for one in own.style if one.rates),
        several=tuple(pair for one in found.together for pair in _several(one)),
        reasons=tuple(dict.fromkeys(_reasons(found))),
    )


def _name(report: Report, task: TaskReport, own: Explained) -> str:
    return next(report.names[run] for run in task.runs if str(report.runs[run].path) == own.run)


def _between(found: Interval | None, unit: str = "") -> str:
    return "" if found is None else interval(found.low, found.high, unit)


def _variance(name: str, found: Variance) -> VarianceView:
    parts = [
        Part(
            words=f"{part.effect} {percent(part.share)}",
            share=part.share or 0.0,
            kind=f"part{SOURCES.index(part.effect) if part.effect in SOURCES else len(SOURCES) - 1}",
            shown=f"{part.effect} {percent(part.share)}",
        )
        for part in found.parts
    ]
    return VarianceView(
        title=printable(f"{name}, {found.judge}: {found.verdicts:,} verdicts", 300),
        plot=stack(parts, f"variance of verdicts on {name}") if parts else Markup(""),
        rows=tuple(
            (part.effect, figure(part.variance, "variance"), percent(part.share), _between(part.interval, "variance"))
            for part in found.parts
        ),
        reason=printable(found.reason or "", 300),
    )


def _style(name: str, found: Style) -> StyleView:
    shares = {
        "length": found.explained_by_length,
        "markdown": found.explained_by_markdown,
        "both": found.explained_by_style,
    }
    floor = ""
    if found.style_only_judge is not None:
        ends = found.style_only_interval
        around = f" ({interval(100 * ends.low, 100 * ends.high, 'share in percent')})" if ends else ""
        floor = f"{percent(found.style_only_judge, 1)}{around}"
    return StyleView(
        title=printable(f"{name}, {found.comparison}: {found.n:,} comparisons", 300),
        rows=tuple(
            (
                rate.held_equal,
                figure(rate.win_rate),
                _between(rate.interval),
                "" if rate.explained_points is None else figure(rate.explained_points),
            )
            for rate in found.rates
        ),
        shares=tuple(
            (what, percent(share, 1), stack([Part(f"{what} {percent(share, 1)}", share, "part0")], what))
            for what, share in shares.items()
            if share is not None
        ),
        floor=floor,
        reason=printable(found.reason or "", 300),
    )


def _several(found: SeveralRuns) -> Iterator[tuple[str, str]]:
    if found.pairs < 2:
        return
    pairs = f" of {found.pairs} pairs of runs"
    if found.separable is not None:
        yield f"pairs whose intervals of {found.metric} do not overlap", percent(found.separable) + pairs
    if found.paired_separable is not None:
        yield "pairs whose paired difference keeps its sign", percent(found.paired_separable) + pairs


def _reasons(found: Explanation) -> Iterator[str]:
    for own in found.runs:
        yield from (printable(f"variance: {one.reason}", 400) for one in own.variance if not one.parts and one.reason)
        yield from (printable(f"style: {one.reason}", 400) for one in own.style if not one.rates and one.reason)
