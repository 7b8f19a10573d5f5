"""``explain``: tables of what explains the numbers of runs. The analysis is in ``analysis/explanation.py``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from judgebench.cli import options, pages
from judgebench.cli.rendering import print_beside, show
from judgebench.display import figure, interval, p_value, percent, reasons, shortened
from judgebench.exchange.sheets import Bounds, Sheet, figures, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from judgebench.analysis.explanation import Explained, Explanation, SeveralRuns, Style, Variance
    from judgebench.stats.intervals import Interval

NOISE = 1e-12
"""The share of the greatest variance below which another one is rounding."""


def explain(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, or folders that hold some.")],
    tasks: options.TasksOfRuns = [],  # noqa: B006 - typer reads the default and copies it
    html: pages.Html = None,
    everything: options.All = False,
    json: options.Json = False,
) -> None:
    """Say where the variance of verdicts comes from, how much of it is style, and which runs can be told apart."""
    from judgebench import api

    pages.require_place(html)
    task, files = options.chosen(tasks)
    found = api.explain(*runs, task=task, tasks=files)
    print_beside("left out", (run.reason for run in found.unreadable))
    pages.write_page(html, runs, "#/task", task=task, tasks=files)
    show("json" if json else "rich", found.record, lambda: _sheets(found.record), rest=options.rest(everything))


def _sheets(made: "Explanation") -> list[Sheet]:
    tables = [sheet for run in made.runs for sheet in _of_run(run)]
    unexplained = reasons(pair for run in made.runs for pair in _unexplained(run))
    rest = [Sheet("not explained", notes=tuple(unexplained))] if unexplained else []
    return [*tables, *rest, *map(_of_several, made.together)]


def _title(run: "Explained") -> str:
    return f"{shortened(run.model, 60)} on {shortened(run.task, 200)}"


def _of_run(run: "Explained") -> list[Sheet]:
    variances = [_variance(_title(run), variance) for variance in run.variance if variance.parts]
    return variances + [_style(_title(run), style) for style in run.style if style.rates]


def _unexplained(run: "Explained") -> "Iterator[tuple[str, str | None]]":
    """What of a run has no table, and why."""
    if not run.variance and not run.style:
        yield _title(run), "it has no judge's verdicts and no comparisons, so there is nothing to explain"
    for variance in run.variance:
        if not variance.parts:
            yield f"{_title(run)}, variance of {variance.judge}", variance.reason
    for style in run.style:
        if not style.rates:
            yield f"{_title(run)}, style of {style.comparison}", style.reason


def _variance(title: str, variance: "Variance") -> Sheet:
    notes = (variance.reason,) if variance.reason else ()
    most = max((abs(part.variance) for part in variance.parts), default=0.0)
    rows = tuple(
        (
            part.effect,
            figure(_without_noise(part.variance, most), "variance"),
            percent(part.share),
            _bounds(part.interval, "variance", most),
        )
        for part in variance.parts
    )
    columns = words("source") + figures("variance", "share", "95 % interval")
    return Sheet(f"{title}, {variance.judge}: {variance.verdicts} verdicts", columns, rows, notes)


def _style(title: str, style: "Style") -> Sheet:
    notes = [style.reason] if style.reason else []
    shares = {
        "length": style.explained_by_length,
        "markdown": style.explained_by_markdown,
        "both": style.explained_by_style,
    }
    explained = ", ".join(f"{what} {percent(share, 1)}" for what, share in shares.items() if share is not None)
    if explained:
        notes.append(f"of the verdicts' deviance explained: {explained}")
    if style.style_only_judge is not None:
        floor, bounds = percent(style.style_only_judge, 1), style.style_only_interval
        between = f" ({interval(100 * bounds.low, 100 * bounds.high, 'share in percent')})" if bounds else ""
        notes.append(f"a judge that sees only style predicts {floor}{between} of the decided verdicts")
    if style.n_without_style:
        notes.append(f"left out: {style.n_without_style} comparisons whose style is unknown")
    rows = tuple(
        (
            *(rate.held_equal, figure(rate.win_rate), _bounds(rate.interval)),
            *(figure(rate.explained_points), _bounds(rate.explained_interval)),
        )
        for rate in style.rates
    )
    columns = words("held equal") + figures("win rate", "95 % interval", "explains points", "95 % interval")
    return Sheet(f"{title}: {style.comparison}, {style.n} comparisons", columns, rows, tuple(notes))


def _of_several(several: "SeveralRuns") -> Sheet:
    notes = [
        f"{what}: {percent(share)} of {several.pairs}"
        for what, share in (
            (f"pairs with intervals of {several.metric} apart", several.separable),
            ("pairs whose paired difference keeps its sign", several.paired_separable),
        )
        if share is not None
    ]
    if several.cyclic_triads is not None:
        notes.append(
            f"circles of three models: {several.cyclic_triads} of {several.possible_triads}, "
            f"{several.cycles_by_chance:g} by chance"
        )
    if several.item_cycles is not None and several.item_cycles_by_chance is not None:
        notes.append(
            f"circles within items: {figure(several.item_cycles, 'coefficient')} "
            f"({_bounds(several.item_cycles_interval, 'coefficient')}), "
            f"{figure(several.item_cycles_by_chance, 'coefficient')} if verdicts were independent"
        )
    if several.ratings_fit_p is not None:
        notes.append(f"one rating per model fits the win rates: {p_value(several.ratings_fit_p)}")
    if several.reason:
        notes.append(f"note: {several.reason}")
    models = ", ".join(several.models)
    title = f"{shortened(several.task, 200)}, {len(several.models)} runs of one protocol: {models}"
    return Sheet(title, notes=tuple(notes))


def _bounds(found: "Interval | None", unit: str = "", most: float = 0.0) -> Bounds:
    if found is None:
        return Bounds()
    return Bounds(_without_noise(found.low, most), _without_noise(found.high, most), unit)


def _without_noise(value: float, most: float) -> float:
    """A number as zero if beside the greatest it is only what rounding left.

    >>> _without_noise(-2.4e-16, 1.3), _without_noise(0.004, 1.3)
    (0.0, 0.004)
    """
    return 0.0 if abs(value) < NOISE * most else value
