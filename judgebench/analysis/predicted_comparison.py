"""Differences of official numbers that a judge bridge predicts, between runs, and between runs and published models.

Two runs that one bridge predicts share its errors, so that two intervals say nothing about their difference; against a
published number, which was measured, the error is that of the prediction alone. Both are tested on the logit scale.
"""

from collections.abc import Mapping, Sequence
from math import exp, log

from judgebench.analysis.comparison_records import PredictedComparison, PredictedSide
from judgebench.analysis.leaderboard import known_task, value_of
from judgebench.analysis.predicted_tables import metrics_shown
from judgebench.analysis.published import of_same_table, published_rows
from judgebench.errors import UsageError
from judgebench.records import PREDICTED
from judgebench.run.bridge_files import Bridge
from judgebench.run.bridging import (
    JudgedRun,
    difference,
    from_official,
    predict,
    require_same_protocol,
    unlike,
)
from judgebench.run.predicting import Bridges
from judgebench.run.reading import Run
from judgebench.run.run_tasks import NO_FILES
from judgebench.stats.bridge import PredictedDifference
from judgebench.stats.bridge_rules import WORDS
from judgebench.stats.intervals import Interval
from judgebench.tasks import is_among

Entry = Run | str
"""A run, or the name of a published model."""


def predicted_differences(
    given: Sequence[Entry], bridges: Bridges, task: str | None = None
) -> tuple[list[PredictedComparison], list[str]]:
    """How the official numbers of later runs differ from the first one's, by each metric of the bridges; and notes.

    Raises :class:`UsageError` if no run was judged as a bridge's models were.
    """
    found: list[PredictedComparison] = []
    notes: list[str] = []
    for label, bridge in bridges.by_task.items():
        judged, why = _judged(given, bridge, bridges, label, task)
        notes += why
        for metric in metrics_shown(bridge):
            official = _official(given, bridge, metric)
            sides: dict[int, JudgedRun | float] = {**official, **judged}
            first, *later = sorted(sides)
            for other in later:
                if first in judged or other in judged:
                    found.append(_compared(bridge, bridges.level, metric, sides, (first, other)))
    return found, notes


def _judged(
    given: Sequence[Entry], bridge: Bridge, bridges: Bridges, label: str, task: str | None
) -> tuple[dict[int, JudgedRun], list[str]]:
    """The runs that the bridge predicts, by position, and why it does not predict the others."""
    found: dict[int, JudgedRun] = {}
    others = []
    for number, run in ((number, run) for number, run in enumerate(given) if isinstance(run, Run)):
        for one in run.tasks.values():
            manifest = one.task_manifest
            if f"{manifest.name}@{manifest.version}" != label or not is_among(task, one.names):
                continue
            population = bridges.population(manifest)
            if fields := unlike(bridge, manifest, population):
                others.append((one, population, fields))
                continue
            found[number] = JudgedRun.of(run, one, population)
    if not found:
        for one, population, _ in others:
            require_same_protocol(bridge, one.task_manifest, population)
        raise UsageError(f"the bridge {bridge.name} is of {label}, and no run here holds that task")
    notes = [
        f"{one.run}: not predicted by the bridge {bridge.name}, because its protocol differs in {', '.join(fields[:6])}"
        for one, _, fields in others
    ]
    return found, notes


def _official(given: Sequence[Entry], bridge: Bridge, metric: str) -> dict[int, float]:
    """The published numbers of the models that were named, by position."""
    names = {number: name for number, name in enumerate(given) if isinstance(name, str)}
    task = known_task(bridge.label, NO_FILES, {name: str(value) for name, value in bridge.options.items()})
    if not names or task is None:
        return {}
    rows = {row.model: row for row in of_same_table(task, published_rows(bridge.label))}
    values = {number: value_of(rows[name], metric) for number, name in names.items() if name in rows}
    return {number: value for number, value in values.items() if value is not None}


def _compared(
    bridge: Bridge,
    level: float,
    metric: str,
    sides: Mapping[int, JudgedRun | float],
    pair: tuple[int, int],
) -> PredictedComparison:
    first, second = (_side(bridge, level, metric, number, sides[number]) for number in pair)
    apart = _apart(bridge, level, metric, sides[pair[1]], sides[pair[0]])
    value, bounds = apart.difference_logit, apart.interval
    middle = None if value is None else _middle(bridge, metric, first, second)
    low, high = (bounds.low, bounds.high) if bounds else (None, None)
    known = first.value is not None and second.value is not None
    return PredictedComparison(
        task=bridge.label,
        metric=f"{metric}{PREDICTED}",
        unit=bridge.metrics[metric].unit,
        bridge=bridge.name,
        judge=bridge.judge_named,
        official_judge=bridge.official_shown,
        sides=(first, second),
        difference=None if not known or value is None else (second.value or 0.0) - (first.value or 0.0),
        low=_in_unit(bridge, metric, middle, low),
        high=_in_unit(bridge, metric, middle, high),
        level=level,
        difference_logit=value,
        low_logit=low,
        high_logit=high,
        probability_second_better=apart.probability_first_better,
        reason="; ".join(WORDS[reason] for reason in apart.reasons) or None,
        marks=tuple(WORDS[mark] for mark in apart.marks),
    )


def _side(bridge: Bridge, level: float, metric: str, number: int, side: JudgedRun | float) -> PredictedSide:
    if not isinstance(side, JudgedRun):
        return PredictedSide(run=number, kind="measured", value=side)
    found = predict(bridge, side, metric=metric, level=level).prediction
    bounds = found.interval
    return PredictedSide(
        run=number,
        kind="predicted",
        value=found.value,
        low=bounds.low if bounds else None,
        high=bounds.high if bounds else None,
    )


def _apart(
    bridge: Bridge, level: float, metric: str, later: JudgedRun | float, first: JudgedRun | float
) -> PredictedDifference:
    """Later less first."""
    if not isinstance(later, JudgedRun):
        assert isinstance(first, JudgedRun)
        return _turned(from_official(bridge, first, later, metric=metric, level=level))
    if not isinstance(first, JudgedRun):
        return from_official(bridge, later, first, metric=metric, level=level)
    return difference(bridge, later, first, metric=metric, level=level)


def _turned(found: PredictedDifference) -> PredictedDifference:
    """The same difference seen from the other side."""
    if found.difference_logit is None or found.interval is None or found.probability_first_better is None:
        return found
    bounds = found.interval
    return PredictedDifference(
        -found.difference_logit,
        found.stderr_logit,
        found.df,
        Interval(-bounds.high, -bounds.low, bounds.level, bounds.method),
        1 - found.probability_first_better,
        found.reasons,
        found.marks,
    )


def _middle(bridge: Bridge, metric: str, first: PredictedSide, second: PredictedSide) -> float | None:
    """The middle of two numbers on the logit scale."""
    low, high = bridge.metrics[metric].range
    shares = [(side.value - low) / (high - low) for side in (first, second) if side.value is not None]
    if len(shares) < 2:
        return None
    return sum(log(share / (1 - share)) for share in (min(max(s, 0.0025), 0.9975) for s in shares)) / 2


def _in_unit(bridge: Bridge, metric: str, middle: float | None, apart: float | None) -> float | None:
    """A difference of logits in the metric's unit, for two numbers that lie evenly about the middle."""
    if middle is None or apart is None:
        return None
    low, high = bridge.metrics[metric].range
    ends = [1 / (1 + exp(-(middle + half))) for half in (apart / 2, -apart / 2)]
    return (high - low) * (ends[0] - ends[1])
