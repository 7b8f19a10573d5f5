"""What stands behind numbers that a judge made: audits of that judge, and bridges by which official ones are predicted.

Audits are those of this machine. A run names its bridge by its hash: it is shown if it comes with the program, or if
its file is given.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from judgebench.display import figure, printable
from judgebench.exchange.sheets import Sheet
from judgebench.records import Score
from judgebench.report.bridge_plots import Curve, Guess, Point, left_out, regression
from judgebench.report.collect import Report, TaskReport
from judgebench.report.doubts import Doubt
from judgebench.report.plots import Scale, axis, scale_of
from judgebench.run.bridge_files import Bridge, read_bridge, ready_bridges
from judgebench.run.judge_marks import AuditMark, marks_of
from judgebench.run.predicting import approximately, evidence, measured_name
from judgebench.run.predicting import marks_of as cautions_of

if TYPE_CHECKING:
    from judgebench.auditing.cards import JudgeCard

STEPS = 40
"""Points of a bridge's line that are drawn."""


@dataclass(frozen=True)
class AuditView:
    """A judge's card beside the numbers that it made."""

    card: "JudgeCard"
    kind: str
    tasks: tuple[str, ...]
    same_prompt: bool
    sheets: tuple[Sheet, ...]
    """The short table first."""


def audits_of(report: Report) -> Mapping[str, list[AuditMark]]:
    """What audits say of the judges of each task, by its label."""
    return {task.label: marks for task in report.tasks if (marks := _marks(task))}


def doubts(report: Report) -> Iterator[Doubt]:
    """The judges that an audit calls unfit."""
    for label, marks in audits_of(report).items():
        for mark in marks:
            if mark.unfit:
                yield Doubt(
                    printable(f"{label}: an audit says of the judge {mark.judge}: {mark.unfit}", 500), "#/judge"
                )


def _marks(task: TaskReport) -> list[AuditMark]:
    found: dict[AuditMark, None] = {}
    for opened in task.opened:
        protocol = opened.task.task_manifest.protocol
        if isinstance(protocol.get("judges"), Mapping):
            found |= dict.fromkeys(marks_of(protocol))
    return list(found)


def audit_views(report: Report) -> list[AuditView]:
    """The cards of the judges of a report."""
    by_task = audits_of(report)
    wanted = {(mark.judge, mark.asked, mark.day) for marks in by_task.values() for mark in marks}
    if not wanted:
        return []
    from judgebench.auditing.cards import kept_cards  # it takes a while, and few runs have audited judges

    views = []
    for _, card in kept_cards():
        mark = card.mark
        if (mark.judge, mark.asked, mark.day) not in wanted:
            continue
        named = [
            (label, own.same_prompt)
            for label, marks in by_task.items()
            for own in marks
            if (own.judge, own.asked, own.day) == (mark.judge, mark.asked, mark.day)
        ]
        tasks = tuple(dict.fromkeys(label for label, _ in named))
        views.append(audit_view(card, same_prompt=any(same for _, same in named), tasks=tasks))
    return views


def audit_view(card: "JudgeCard", *, same_prompt: bool, tasks: tuple[str, ...] = ()) -> AuditView:
    """A card as pages show it."""
    from judgebench.exchange.judge_cards import KINDS, sheets_of

    return AuditView(card, KINDS[card.kind], tasks, same_prompt, tuple(sheets_of(card)))


# -- bridges


@dataclass(frozen=True)
class Predicted:
    """An official number of a run that a bridge predicted."""

    run: str
    task: str
    metric: str
    judged: str
    value: str
    cautions: tuple[str, ...]
    score: Score


@dataclass(frozen=True)
class MetricView:
    """One metric of a bridge, with pictures of its evidence."""

    name: str
    status: str
    plot: Markup
    sheet: Sheet
    marks: tuple[Markup, ...]
    """Each model's number beside what the others say of it, in the order of the sheet."""
    axis: Markup


@dataclass(frozen=True)
class BridgeView:
    """A bridge by which numbers of the report were predicted."""

    name: str
    judge: str
    official: str
    rows: tuple[Predicted, ...]
    metrics: tuple[MetricView, ...]
    lines: tuple[str, ...]
    """Where the bridge comes from, or what is known of it without its file."""


def bridge_views(report: Report) -> list[BridgeView]:
    """The bridges behind a report's predicted numbers."""
    rows = [
        (report.names[run], task.label, score)
        for task in report.tasks
        for run, opened in zip(task.runs, task.opened, strict=True)
        for score in opened.task.predictions
    ]
    return bridges_behind(rows, report.bridges)


def bridges_behind(predicted: Iterable[tuple[str, str, Score]], given: Sequence[Path]) -> list[BridgeView]:
    """The bridges behind predicted numbers, each with the names of its run and its task."""
    by_hash: dict[str, list[Predicted]] = {}
    for run, task, score in predicted:
        by_hash.setdefault(str(score.details.get("bridge_hash", "")), []).append(_predicted(run, task, score))
    known = {bridge.hash: bridge for bridge in _bridges(given)} if by_hash else {}
    return [_bridge_view(known.get(hashed), tuple(rows)) for hashed, rows in by_hash.items()]


def _bridges(given: Sequence[Path]) -> Iterator[Bridge]:
    """The bridges that are given, and those that come with the program."""
    yield from map(read_bridge, given)
    yield from _ready()


@cache
def _ready() -> tuple[Bridge, ...]:
    return tuple(read_bridge(Path(name)) for name in ready_bridges())


def _predicted(run: str, task: str, score: Score) -> Predicted:
    judged = score.details.get("judged")
    return Predicted(
        run=run,
        task=task,
        metric=measured_name(score),
        judged=figure(float(judged), score.unit) if isinstance(judged, int | float) else "",
        value=approximately(score),
        cautions=(*cautions_of(score), *([printable(score.reason, 300)] if score.reason else [])),
        score=score,
    )


def _bridge_view(bridge: Bridge | None, rows: tuple[Predicted, ...]) -> BridgeView:
    from judgebench.exchange.bridge_sheets import bridge_sheets

    details = rows[0].score.details
    told = {name: printable(str(details.get(name, "")), 200) for name in ("bridge", "judge", "official_judge")}
    if bridge is None:
        by_metric: dict[str, list[Score]] = {}
        for row in rows:
            by_metric.setdefault(row.metric, []).append(row.score)
        lines = [
            *map(evidence, by_metric.values()),
            "the bridge's own file is not here; --bridge FILE shows its models",
        ]
        return BridgeView(told["bridge"], told["judge"], told["official_judge"], rows, (), tuple(lines))
    (*sheets, about) = bridge_sheets(bridge, Path(bridge.name), verbose=True)
    metrics = tuple(
        _metric_view(bridge, name, sheet, rows) for name, sheet in zip(bridge.metric_names, sheets, strict=True)
    )
    wanted = {row.metric for row in rows}
    return BridgeView(
        bridge.name,
        bridge.judge_shown,
        bridge.official_shown,
        rows,
        tuple(one for one in metrics if one.name in wanted),
        about.lines,
    )


def _metric_view(bridge: Bridge, name: str, sheet: Sheet, rows: Sequence[Predicted]) -> MetricView:
    metric = bridge.metrics[name]
    points = {one.name: one for one in _points(bridge, name)}
    ends = [end for one in points.values() for end in (one.official, one.low, one.high) if end is not None]
    scale = scale_of(ends, metric.range)
    guesses = [guess for row in rows if row.metric == name and (guess := _guess(row)) is not None]
    axes = f"by {bridge.judge_shown}", f"by {bridge.official_shown}"
    return MetricView(
        name=name,
        status=metric.status,
        plot=regression(list(points.values()), guesses, _curve(bridge, name, guesses), axes, metric.unit),
        sheet=sheet,
        marks=tuple(_mark(points.get(printable(texts[0], 100)), scale, metric.unit) for texts in sheet.texts),
        axis=axis(scale, metric.unit),
    )


def _mark(point: Point | None, scale: Scale, unit: str) -> Markup:
    return Markup("") if point is None else left_out(point, scale, unit)


def _points(bridge: Bridge, metric_name: str) -> Iterator[Point]:
    metric = bridge.metrics[metric_name]
    out = {one.model: one for one in metric.loo}
    for model in bridge.included:
        numbers = metric.numbers.get(model.name)
        if numbers is None:
            continue
        name, left = printable(model.name, 100), out.get(model.name)
        if left is None:
            yield Point(name, numbers.judged, numbers.official)
        else:
            around = left.predicted, left.low95, left.high95, left.covered95
            yield Point(name, numbers.judged, numbers.official, *around)


def _guess(row: Predicted) -> Guess | None:
    judged, score = row.score.details.get("judged"), row.score
    if not isinstance(judged, int | float) or score.value is None or score.low is None or score.high is None:
        return None
    return Guess(row.run, float(judged), score.value, score.low, score.high)


def _curve(bridge: Bridge, name: str, guesses: Sequence[Guess]) -> Curve | None:
    """The line over the judge's numbers of the models and runs; none where the bridge has none."""
    fit = bridge.fits[name]
    if fit.line is None or fit.judged_range is None:
        return None
    ends = [*fit.judged_range, *(one.judged for one in guesses)]
    found = [(x, fit.predict(x, force=True)) for x in np.linspace(min(ends), max(ends), STEPS).tolist()]
    known = [(x, one.value, one.interval) for x, one in found if one.value is not None and one.interval is not None]
    if len(known) < 2:
        return None
    return Curve(
        [x for x, _, _ in known],
        [value for _, value, _ in known],
        [interval.low for _, _, interval in known],
        [interval.high for _, _, interval in known],
    )
