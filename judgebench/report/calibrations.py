"""Figures of how far a judge's verdicts hold: in the other order of the answers, or against what people say."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
from markupsafe import Markup

from judgebench.analysis.samples import OpenTask, share_of
from judgebench.errors import UsageError
from judgebench.report.collect import Report, TaskReport
from judgebench.report.figure_parts import MARK, PLOT, WIDTH, Panel, fitted, plotted, text
from judgebench.report.plots import Place, Scale, Series, curves
from judgebench.run.labels import LEVEL, Labels, judged_shares, labelled_metric, read_labels, settled, weights_of
from judgebench.stats.clustered import bounded_estimate, cluster_totals
from judgebench.stats.proportions import share_interval

BINS = 5
SHARES = Scale(0.0, 1.0)
TICKS = tuple(Place(part / 4, f"{part / 4:g}") for part in range(5))
Point = tuple[float, float, float | None, float | None, int]
"""Place, share, its interval, and how many are behind it."""


def calibration(report: Report, task: TaskReport) -> Panel:
    """How often the other order confirms a verdict, by how sure the judge was of it."""
    by_run = [list(_confirmed(opened)) for opened in task.opened]
    if not any(by_run):
        raise UsageError(f"{task.label} has no pairs of verdicts in both orders, whose agreement could be drawn")
    return _panel(
        report,
        task,
        by_run,
        "share of verdicts confirmed in the other order",
        "how sure the judge was (0: a tie, 1: certain)",
        ("run", "how sure", "confirmed", "low", "high", "samples"),
        notes=tuple(_about_levels(report, task, by_run)),
    )


def labelled(report: Report, task: TaskReport, paths: Sequence[Path]) -> Panel:
    """What people say of the same answers, by the judge's share of the candidate's win."""
    by_run, strangers = list[list[Point]](), 0
    for opened in task.opened:
        if opened.code is None or opened.data is None or labelled_metric(opened.code) is None:
            raise UsageError(
                f"{task.label} has no comparisons, or lacks the official files that hold the other answers"
            )
        given = read_labels(paths, opened.task.key, opened.data, names=[path.stem for path in paths])
        labels = settled(given, opened.data, opened.generations)
        strangers += labels.strangers
        by_run.append(list(_against_people(labels, judged_shares(opened.code, opened.rows))))
    if not any(by_run):
        raise UsageError(
            f"{', '.join(map(str, paths))}: no label is about an answer that these runs have a verdict on"
            + (f"; {strangers} are of other answers" if strangers else "")
        )
    return _panel(
        report,
        task,
        by_run,
        "people's share of wins",
        "the judge's share (0: it says loss, 1: win)",
        ("run", "judge", "people", "low", "high", "labels"),
        [Markup('<line class="zero" x1="10%" x2="98%" y1="142" y2="8"/>')],
    )


def _panel(
    report: Report,
    task: TaskReport,
    by_run: Sequence[Sequence[Point]],
    upright: str,
    across: str,
    columns: tuple[str, ...],
    under: Sequence[Markup] = (),
    notes: tuple[str, ...] = (),
) -> Panel:
    named = [(run, report.names[run], points) for run, points in zip(task.runs, by_run, strict=True) if points]
    series = [Series(run, name, [point[:4] for point in points]) for run, name, points in named]

    def drawn(width: float) -> Markup:
        return curves(series, SHARES, upright, "", height=PLOT, size=MARK, places=TICKS, width=width)

    body = [
        text(4, 12, fitted(upright, WIDTH - 8)),
        *plotted(18, drawn, under),
        text(WIDTH * 0.54, 202, across, "faint", "middle"),
    ]
    return Panel(
        body,
        208,
        columns,
        [(name, *point) for _, name, points in named for point in points],
        legend=task.runs,
        intervals=frozenset({LEVEL}),
        notes=notes
        + tuple(
            f"{task.label}: not in the figure, for want of verdicts: {report.names[run]}"
            for run, points in zip(task.runs, by_run, strict=True)
            if not points
        ),
    )


def _about_levels(report: Report, task: TaskReport, by_run: Sequence[Sequence[Point]]) -> Iterator[str]:
    yield f"{task.label}: pairs whose first verdict is a tie are left out, because no order could confirm a winner"
    for run, points in zip(task.runs, by_run, strict=True):
        if len(points) == 1:
            yield (
                f"{task.label}: the judge of {report.names[run]} never said how sure it was, or always the same, so "
                "that its one mark says nothing of calibration"
            )


def _confirmed(opened: OpenTask) -> Iterator[Point]:
    """In equal parts of how sure the judge was: its mean, and the share of verdicts that the other order confirms."""
    games: dict[tuple[str, str, int], list[float]] = {}
    for judgement in opened.judgements(opened.examples):
        share = share_of(judgement, opened.verdict(judgement).value)
        if share is not None:
            games.setdefault((judgement.example_id, judgement.judge_model, judgement.turn), []).append(share)
    known = [shares for shares in games.values() if len(shares) == 2 and shares[0] != 0.5]
    sure = [abs(2 * first - 1) for first, _ in known]
    for part in range(BINS):
        own = [n for n, one in enumerate(sure) if min(BINS - 1, int(BINS * one)) == part]
        if own:
            kept = sum((known[n][0] > 0.5) == (known[n][1] > 0.5) for n in own)
            around = share_interval(kept, len(own), level=LEVEL)
            low, high = (None, None) if around is None else (around.low, around.high)
            yield fmean(sure[n] for n in own), kept / len(own), low, high, len(own)


def _against_people(labels: Labels, share_of_judge: Callable[[str, str], float | None]) -> Iterator[Point]:
    """In equal parts of the judge's share: its mean, that of people's shares with an interval, and how many labels."""
    against = {vote.example_id: vote.baseline for vote in labels.votes}
    judged = {name: share_of_judge(name, against[name]) for name in labels.by_example}
    known = {name: share for name, share in judged.items() if share is not None}
    weights = dict(zip(known, weights_of(labels, list(known)), strict=True))
    for part in range(BINS):
        own = [name for name, share in known.items() if min(BINS - 1, int(BINS * share)) == part]
        if not own:
            continue
        weight = np.array([weights[name] for name in own])
        people, judge = np.array([[labels.by_example[name], known[name]] for name in own]).T
        bounds = bounded_estimate(cluster_totals(weight * people, weight), level=LEVEL).interval
        mean, of_judge = (float(weight @ values / weight.sum()) for values in (people, judge))
        low, high = (None, None) if bounds is None else (bounds.low, bounds.high)
        yield of_judge, mean, low, high, len(own)
