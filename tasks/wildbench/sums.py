"""WildBench's numbers as sums over sessions, for comparing two runs."""

from collections.abc import Sequence

import numpy as np

from judgebench.records import Example, ExampleScore
from judgebench.stats.arrays import FloatArray
from judgebench.stats.clustered import ClusterTotals, cluster_totals
from judgebench.task import Fetch
from judgebench.task.metric import MetricSums

from .formulas import TOTAL_WEIGHT, WEIGHTS
from .metrics import LENGTH, MICRO_REWARD, MICRO_SCORE, REWARD, SCORE, Table


def metric_sums(
    examples: Sequence[Example],
    scores: Sequence[ExampleScore],
    fetch: Fetch,
    *,
    judges: Sequence[str],
    baselines: Sequence[str],
    k: int,
    margins: Sequence[int],
) -> MetricSums:
    """All metrics of a run, arguments as for ``summarise``. Those without a number are left out."""
    table = Table(examples, scores)
    found: dict[tuple[str, str | None], ClusterTotals | None] = {}
    if "score" in judges:
        ratings = [_Measure(table, "score", "score")]
        found[SCORE.name, None] = _macro(table, ratings)
        found[MICRO_SCORE.name, None] = _micro(table, ratings)
        for position, group in enumerate(WEIGHTS):
            found[SCORE.name, f"category={group}"] = _macro(table, ratings, position)
    if "pairwise" in judges:
        by_margin = {m: [_Measure(table, f"reward:{name}:{m}", "reward") for name in baselines] for m in margins}
        found[REWARD.name, None] = _macro(table, by_margin[k])
        found[MICRO_REWARD.name, None] = _micro(table, by_margin[k])
        for position, group in enumerate(WEIGHTS):
            found[REWARD.name, f"category={group}"] = _macro(table, by_margin[k], position)
        for margin, measures in by_margin.items():
            found[REWARD.name, f"k={margin}"] = _macro(table, measures)
            found[MICRO_REWARD.name, f"k={margin}"] = _micro(table, measures)
        for name, measure in zip(baselines, by_margin[k], strict=True):
            found[REWARD.name, f"baseline={name}"] = _macro(table, [measure])
            found[MICRO_REWARD.name, f"baseline={name}"] = _micro(table, [measure])
    found[LENGTH.name, None] = _length(table, ("score", *(f"reward:{n}:{k}" for n in baselines)))
    return {name: one for name, one in found.items() if one is not None and one.value is not None}


class _Measure:
    """What one judgement of each session came to, on the scale of the metric's points."""

    def __init__(self, table: Table, metric: str, kind: str) -> None:
        column = table.column(metric)
        self.itself = column.against_itself
        self.there = column.there
        self.lengths_known = column.lengths_known or self.itself
        self.stored = column.stored
        self.used: FloatArray = np.where(column.stored, 1.0 if self.itself else column.used, 0.0)
        raw = np.where(column.stored, column.value, 0.0)
        # 10 x the rescaled score, 100 x the reward.
        self.points: FloatArray = 20 * (raw - 5) if kind == "score" else 100 * raw
        self.unused_counts = kind == "reward"
        """The micro reward divides the used pairs' sum by all pairs, the micro score is over all records."""


def _macro(table: Table, measures: Sequence[_Measure], position: int | None = None) -> ClusterTotals | None:
    """The mean over measures of the weighted mean over task groups, or of one group."""
    if not table.tags_known or not all(m.there and m.lengths_known for m in measures):
        return None
    columns = range(len(WEIGHTS)) if position is None else [position]
    weight = list(WEIGHTS.values())
    parts = []
    for measure in measures:
        for place in columns:
            inside = np.flatnonzero((table.groups[:, place] > 0) & measure.stored)
            if measure.used[inside].any():
                share = weight[place] / TOTAL_WEIGHT if position is None else 1.0
                parts.append((inside, measure.points[inside], measure.used[inside], share / len(measures)))
    return _combined(table, parts)


def _micro(table: Table, measures: Sequence[_Measure]) -> ClusterTotals | None:
    parts = []
    for measure in measures:
        if not measure.there or (measure.unused_counts and not measure.lengths_known):
            return None
        inside = np.flatnonzero(measure.stored)
        counted = measure.used[inside] if measure.unused_counts else np.ones(len(inside))
        # All records are below the line, but a pair not used has nothing above it.
        parts.append((inside, measure.points[inside] * counted, None, 1 / len(measures)))
    return _combined(table, parts)


def _length(table: Table, metrics: Sequence[str]) -> ClusterTotals | None:
    columns = [table.column(metric) for metric in metrics]
    for column in columns:
        if column.stored.any() and not column.against_itself:
            inside = np.flatnonzero(column.stored)
            if not column.lengths_known:
                return None
            return _combined(table, [(inside, column.length[inside], column.used[inside], 1.0)])
    return None


def _combined(
    table: Table, parts: Sequence[tuple[np.ndarray, FloatArray, FloatArray | None, float]]
) -> ClusterTotals | None:
    """A weighted sum of means; each part has the places of its sessions, values, which are used, and its weight."""
    if not parts:
        return None
    sizes = [len(inside) for inside, *_ in parts]
    used = [np.ones(len(inside)) if counted is None else counted for inside, _, counted, _ in parts]
    return cluster_totals(
        np.concatenate([np.where(u > 0, v, 0.0) * u for (_, v, _, _), u in zip(parts, used, strict=True)]),
        np.concatenate(used),
        clusters=np.array(table.ids)[np.concatenate([inside for inside, *_ in parts])],
        terms=np.repeat(np.arange(len(parts)), sizes),
        term_weights=[weight for *_, weight in parts],
    )
