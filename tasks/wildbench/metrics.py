"""WildBench's numbers, from example scores.

Source: allenai/WildBench@d6b8dca:leaderboard/data_dir/{_create_tables,_merge_results}.py; standard errors and intervals
are ours. Every number is a weighted sum of means, over groups and baselines, and a session is one cluster in all of
them: it may belong to two groups, and is compared with every baseline.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from judgebench.records import Example, ExampleScore, Score
from judgebench.stats.arrays import FloatArray
from judgebench.stats.clustered import ClusterTotals
from judgebench.task import Fetch, TaskData, join_names
from judgebench.task.metric import Metric, MetricSums, single_row

from . import formulas
from .formulas import TOTAL_WEIGHT, WEIGHTS, Averages
from .judges import Plan

TASK = "wildbench"


# Ten times a score of 1 or 10 rescaled; a hundred times a loss or win by far.
def _micro_score_of(rows: Sequence[ExampleScore]) -> float | None:
    """The points of an answer's score."""
    value = single_row("score")(rows)
    return None if value is None else 10 * 2 * (value - 5)


def _micro_reward_of(names: Sequence[str], rows: Sequence[ExampleScore]) -> float | None:
    """The points of an answer's rewards, given by the names of their rows; a pair that is left out has none."""
    own = {row.metric: row for row in rows}
    found = [own.get(name) for name in names]
    values = [_reward_of(row) for row in found if row is not None]
    known = [value for value in values if value is not None]
    return 100 * sum(known) / len(known) if known and len(known) == len(names) else None


def _reward_of(row: ExampleScore) -> float | None:
    if row.covariates.get("against_itself"):
        return 0.0
    lengths = [row.covariates[name] for name in ("length", "baseline_length") if name in row.covariates]
    if row.value is None or not lengths or None in lengths:
        return None
    return 0.0 if row.covariates.get("flag") else row.value


SCORE_HOW = "a judge's score of 1 to 10 gives 20 times (score less 5) points"
REWARD_HOW = (
    "much better than a baseline's answer is 1, slightly better 0.5, a tie 0, slightly worse -0.5, much worse -1; a "
    "slight verdict is a tie if the winner is longer by more characters than the end of the score's name says"
)
BY_GROUP = "the mean within each task group, without empty and cut off answers, then of the groups by their weights"
SCORE = Metric(name="wb_score", unit="points", bounds=(-80, 100), how=f"{SCORE_HOW}; {BY_GROUP}")
MICRO_SCORE = Metric(
    name="wb_score_micro", unit="points", bounds=(-80, 100), value_of=_micro_score_of, how=f"{SCORE_HOW}; the mean"
)
REWARD, MICRO_REWARD = (
    Metric(name=name, unit="points", bounds=(-100, 100), how=f"{REWARD_HOW}; 100 times {mean}")
    for name, mean in (
        ("wb_reward", BY_GROUP),
        ("wb_reward_micro", "the mean, in which empty and cut off answers are 0"),
    )
)
LENGTH = Metric(name="length", unit="characters", direction="none")
ELO = Metric(name="wb_elo", unit="rating", shown=False)
"""Of the published tables only: a run alone has none."""

MACRO = (SCORE, REWARD)
"""Weighted means over task groups; within one group, its mean."""
NO_DETAILS: Mapping[Metric, Mapping[str, Any]] = {}
GROUP_WEIGHTS = np.array(list(WEIGHTS.values())) / TOTAL_WEIGHT
NO_LENGTHS = "the run holds judgements without the answers, so it is not known which are empty, cut off or long"
NO_TAGS = "the official tasks could not be had, so it is not known which belong to which group"
NO_VERDICT = "no example has a verdict"


def metrics(plan: Plan) -> tuple[Metric, ...]:
    """Return the metrics that a plan's judges give, the headline first."""
    scores, rewards = "score" in plan.judges, "pairwise" in plan.judges
    named = [f"reward:{name}:{plan.reward_k}" for name in plan.baselines]
    return (
        *([SCORE] if scores else []),
        *([REWARD] if rewards else []),
        *([MICRO_SCORE] if scores else []),
        *([replace(MICRO_REWARD, value_of=partial(_micro_reward_of, named))] if rewards else []),
        LENGTH,
        ELO,
    )


def groups(example: Example) -> tuple[str, ...]:
    """The task groups of an example."""
    return tuple(map(_group, example.meta.get("groups", ())))


def _group(name: str) -> str:
    return f"category={name}"


def summarise(data: TaskData, scores: Sequence[ExampleScore], *, plan: Plan) -> list[Score]:
    """Make all scores of a run, the headline first."""
    table = Table(data.examples, scores)
    found = _scores(table) if "score" in plan.judges else []
    if "pairwise" in plan.judges:
        found += _rewards(table, plan)
    found.append(_length(table, table.first_judged(plan.reward_k), None))
    headline = [score for score in found if score.group is None]
    order = [metric.name for metric in metrics(plan)]
    headline.sort(key=lambda score: order.index(score.metric))
    return headline + [score for score in found if score.group is not None]


def metric_sums(examples: Sequence[Example], scores: Sequence[ExampleScore], fetch: Fetch, *, plan: Plan) -> MetricSums:
    """Sum the same numbers over sessions, for comparing two runs. Those without a value are left out."""
    table = Table(sorted(examples, key=lambda example: example.id), scores)
    found: dict[tuple[str, str | None], ClusterTotals] = {}
    k = plan.reward_k
    if "score" in plan.judges:
        found |= _sums(table, (SCORE, MICRO_SCORE), [Measure(table, "score")], None)
    if "pairwise" in plan.judges:
        rewards = {m: [Measure(table, f"reward:{name}:{m}") for name in plan.baselines] for m in plan.margins}
        groups: dict[str | None, list[Measure]] = {
            None: rewards[k],
            **{f"k={margin}": measures for margin, measures in rewards.items()},
            **{f"baseline={name}": [measure] for name, measure in zip(plan.baselines, rewards[k], strict=True)},
        }
        for group, measures in groups.items():
            found |= _sums(table, (REWARD, MICRO_REWARD), measures, group)
    lengths = table.first_judged(k)
    if lengths.lengths_known:
        found[LENGTH.name, None] = table.totals([*lengths.characters(), lengths.stored[:, None]], np.ones(1))
    return {name: own for name, own in found.items() if own.value is not None}


def _sums(
    table: "Table", metrics: tuple[Metric, Metric], measures: Sequence["Measure"], group: str | None
) -> dict[tuple[str, str | None], ClusterTotals]:
    """Sum the mean over measures: macro, micro and, over all examples, within each task group."""
    macro, micro = metrics
    found: dict[tuple[str, str | None], ClusterTotals] = {}
    if not all(measure.column.there for measure in measures):
        return found
    lengths_known = all(measure.lengths_known for measure in measures)
    by_group = table.side_by_side([measure.by_group for measure in measures])
    if lengths_known and table.tags_known:
        found[macro.name, group] = table.totals(by_group, _shared(GROUP_WEIGHTS, measures))
    if lengths_known or micro is MICRO_SCORE:
        columns = table.side_by_side([measure.micro for measure in measures])
        found[micro.name, group] = table.totals(columns, _shared(np.ones(1), measures))
    if lengths_known and table.tags_known and group is None:
        for position, name in enumerate(WEIGHTS):
            own = [side[:, position :: len(WEIGHTS)] for side in by_group]
            found[macro.name, _group(name)] = table.totals(own, _shared(np.ones(1), measures))
    return found


class Column:
    """One metric's example scores, a row for each example of the run."""

    def __init__(self, scores: Sequence[ExampleScore | None]) -> None:
        rows: list[Mapping[str, Any]] = [{} if score is None else score.covariates for score in scores]
        self.there = any(score is not None for score in scores)
        self.value = _array([None if score is None else score.value for score in scores])
        self.length = _array([row.get("length") for row in rows])
        self.flags = [row.get("flag") or "" for row in rows]
        self.against_itself = self.there and all(row.get("against_itself") for row in rows if row)
        known = np.isfinite(self.length)
        if scores and any("baseline_length" in row for row in rows):
            known &= np.isfinite(_array([row.get("baseline_length") for row in rows]))
        self.used = (known & np.array([not flag for flag in self.flags], dtype=bool)).astype(float)
        self.stored = np.isfinite(self.value)
        self.lengths_known = bool(known[self.stored].all())
        self.marks = {mark: sum(bool(row.get(mark)) for row in rows) for mark in ("repaired", "disputed")}

    def characters(self) -> tuple[FloatArray, FloatArray]:
        """Return each answer's length, if it counts, and whether it does: numerator and denominator, shape (n, 1)."""
        used = self.used * self.stored
        return np.where(used > 0, self.length, 0.0)[:, None], used[:, None]

    def counts(self) -> dict[str, Any]:
        """Count the answers that a mean leaves out, and the replies that had to be repaired."""
        stored = [flag for flag, there in zip(self.flags, self.stored, strict=True) if there]
        left_out = {f"n_{name}": stored.count(name) for name in ("truncated", "empty")}
        return {**left_out, **{f"n_{mark}": count for mark, count in self.marks.items() if count}}


class Table:
    """A run's example scores by metric, and its examples' groups."""

    def __init__(self, examples: Sequence[Example], scores: Sequence[ExampleScore]) -> None:
        self._by_metric: dict[str, dict[str, ExampleScore]] = {}
        for score in scores:
            self._by_metric.setdefault(score.metric, {})[score.example_id] = score
        self.ids = [example.id for example in examples]
        self.total = len(self.ids)
        groups = [example.meta.get("groups", ()) for example in examples]
        self.tags_known = all(groups)
        self.groups = formulas.membership(groups)

    @property
    def baselines(self) -> list[str]:
        """Every baseline that the run compares with."""
        return list(dict.fromkeys(_baseline_of(name) for name in self._by_metric if name.startswith("reward:")))

    def first_judged(self, k: int) -> Column:
        """Return the scores or, if there are none, the first baseline's rewards: they hold the answers' lengths."""
        columns = [self.column("score"), *(self.column(f"reward:{name}:{k}") for name in self.baselines)]
        judged = (column for column in columns if column.stored.any() and not column.against_itself)
        return next(judged, columns[0])

    def column(self, metric: str) -> Column:
        """Return a metric's example scores."""
        own = self._by_metric.get(metric, {})
        return Column([own.get(example_id) for example_id in self.ids])

    def side_by_side(self, parts: Sequence[Sequence[FloatArray]]) -> list[FloatArray]:
        """Put the terms of several parts side by side: their numerators, their denominators and so on."""
        nothing = np.zeros((self.total, 0))
        return [np.concatenate([nothing, *sides], axis=1) for sides in zip(*parts, strict=True)] or [nothing] * 2

    def totals(self, sides: Sequence[FloatArray], weights: FloatArray) -> ClusterTotals:
        """Sum by session, without the terms in which nothing counts.

        ``sides`` are numerator and denominator, shape (n, terms). A third one says which sessions are clusters if
        these are more than those that count.
        """
        numerator, denominator, rows = sides[0], sides[1], sides[-1]
        terms = denominator.sum(axis=0) > 0
        sessions = rows[:, terms].any(axis=1)
        kept = np.ix_(sessions, terms)
        ids = np.array(self.ids)[sessions]
        return ClusterTotals(ids, numerator[kept], denominator[kept], weights[terms], len(ids))

    def score(
        self,
        metric: Metric,
        value: float,
        sums: ClusterTotals,
        *,
        method: str,
        n: int,
        missing: int,
        group: str | None = None,
        reason: str = NO_VERDICT,
        details: Mapping[str, Any] | None = None,
    ) -> Score:
        """Make a score with its interval."""
        if not math.isfinite(value):
            return metric.absent(TASK, reason, n_missing=self.total, group=group)
        return metric.score(
            TASK, sums, method, "sessions", value=value, n=n, n_missing=missing, group=group, details=details
        )


def _shared(weights: FloatArray, measures: Sequence["Measure"]) -> FloatArray:
    """Return the weights of all terms of the mean over measures; each measure has terms of these weights."""
    return np.tile(weights / len(measures), len(measures))


def _baseline_of(metric: str) -> str:
    """Return the name in ``reward:NAME:MARGIN``."""
    return metric.partition(":")[2].rpartition(":")[0]


def _array(values: Sequence[float | None]) -> FloatArray:
    """Make an array with NaN for ``None``: only inside this module, never in a record."""
    return np.array([np.nan if value is None else float(value) for value in values], dtype=float)


def _why(table: Table, *columns: Column) -> str:
    if not any(column.stored.any() for column in columns):
        return NO_VERDICT
    if not all(column.lengths_known for column in columns):
        return NO_LENGTHS
    return NO_VERDICT if table.tags_known else NO_TAGS


class Measure:
    """The scores, or the rewards over one baseline at one length margin, in points."""

    def __init__(self, table: Table, metric: str) -> None:
        self.name = _baseline_of(metric)
        self.column = column = table.column(metric)
        self._groups = table.groups
        self.scale = 100 if self.name else 10
        self.lengths_known = column.lengths_known or column.against_itself
        stored = column.stored.astype(float)
        used = stored if column.against_itself else column.used * stored
        points = np.where(column.stored, 100 * column.value if self.name else 10 * formulas.rescaled(column.value), 0.0)
        # The micro reward adds up the used pairs only, the micro score all answers; both divide by the number of all.
        self.micro = ((points * used if self.name else points)[:, None], stored[:, None])
        """Points that each session adds up to, and how much it counts: numerator and denominator, shape (n, 1)."""
        inside = table.groups * used[:, None]
        self.by_group = (points[:, None] * inside, inside, table.groups * stored[:, None])
        """The same of the groups, shape (n, 5), and which sessions have a verdict."""

    def averages(self, missing: float = math.nan) -> Averages:
        """Return the averages if every missing example had this number; a model has 0 against itself."""
        column = self.column
        if column.against_itself:
            return Averages(0.0, np.zeros(len(WEIGHTS)), 0.0)
        used = np.where(column.stored | math.isnan(missing), column.used, 1.0)
        value = np.where(column.stored, column.value, missing)
        return (formulas.mean_rewards if self.name else formulas.mean_scores)(value, used, self._groups)

    def average(self, metric: Metric, position: int | None = None, missing: float = math.nan) -> float:
        """Return the macro or the micro average, or (``position``) that of one task group, in points."""
        averages = self.averages(missing)
        if position is not None:
            return self.scale * float(averages.per_group[position])
        return self.scale * (averages.macro if metric in MACRO else averages.micro)

    def sides(self, metric: Metric, position: int | None = None) -> tuple[FloatArray, FloatArray]:
        """Return the numerator and denominator of the same average."""
        if metric not in MACRO:
            return self.micro
        columns = slice(None) if position is None else slice(position, position + 1)
        return self.by_group[0][:, columns], self.by_group[1][:, columns]


def _means(
    table: Table,
    parts: Sequence[Measure],
    methods: Mapping[Metric, str],
    why: str,
    *,
    group: str | None = None,
    position: int | None = None,
    details: Mapping[Metric, Mapping[str, Any]] = NO_DETAILS,
) -> list[Score]:
    """Average over measures, by metric, or (``position``) within one task group. ``why`` explains a missing value."""
    inside = np.ones(table.total, bool) if position is None else table.groups[:, position] > 0
    compared = [part for part in parts if not part.column.against_itself]
    stored = np.logical_and.reduce([np.ones(table.total, bool), *(part.column.stored for part in compared)])
    used = np.logical_and.reduce([stored, *(part.column.used > 0 for part in compared)])
    there = all(part.column.there for part in parts)
    lengths_known = all(part.lengths_known for part in parts)
    found = []
    for metric, method in methods.items():
        computable = there and (lengths_known or metric is MICRO_SCORE) and (table.tags_known or metric not in MACRO)
        about = dict(details.get(metric, {}))
        if group is None and computable:
            about["if_missing_all_lost_or_won"] = [
                formulas.mean_over_baselines([part.average(metric, missing=worst_or_best) for part in parts])
                for worst_or_best in ((1.0, 10.0) if metric in (SCORE, MICRO_SCORE) else (-1.0, 1.0))
            ]
        weights = GROUP_WEIGHTS if metric in MACRO and position is None else np.ones(1)
        sides = table.side_by_side([part.sides(metric, position) for part in compared])
        averages = [part.average(metric, position) for part in parts]
        found.append(
            table.score(
                metric,
                formulas.mean_over_baselines(averages) if computable else math.nan,
                table.totals(sides, np.tile(weights / len(parts), len(compared))),
                method=method,
                n=int(((used if metric in MACRO else stored) & inside).sum()),
                missing=int((~stored & inside).sum()),
                group=group,
                reason=why,
                details=about,
            )
        )
    return found


# -- scores


def _scores(table: Table) -> list[Score]:
    measure = Measure(table, "score")
    why, counts = _why(table, measure.column), measure.column.counts()
    methods = {
        SCORE: "10 x weighted mean of five groups' rescaled scores, without cut-off and empty answers",
        MICRO_SCORE: "10 x rescaled mean score of all answers",
    }
    found = _means(table, [measure], methods, why, details=dict.fromkeys(methods, counts))
    within = {SCORE: "10 x rescaled mean score, without cut-off and empty answers"}
    for position, group in enumerate(WEIGHTS):
        found += _means(table, [measure], within, why, group=_group(group), position=position)
    return found


def _length(table: Table, column: Column, group: str | None) -> Score:
    characters = column.characters()
    return table.score(
        LENGTH,
        formulas.mean_length(column.length, characters[1][:, 0]) if column.lengths_known else math.nan,
        table.totals(characters, np.ones(1)),
        method="mean characters of the answers as judged, without cut-off and empty ones",
        n=int(characters[1].sum()),
        missing=table.total - int(column.stored.sum()),
        group=group,
        reason=_why(table, column) if not column.lengths_known else NO_VERDICT,
    )


# -- rewards


def _rewards(table: Table, plan: Plan) -> list[Score]:
    k, names = plan.reward_k, list(dict.fromkeys([*plan.baselines, *table.baselines]))
    pairs = {(name, m): Measure(table, f"reward:{name}:{m}") for name in names for m in plan.margins}
    official = {margin: [pairs[name, margin] for name in plan.baselines] for margin in plan.margins}
    found = _mixed(table, official[k], k, None)
    for position, group in enumerate(WEIGHTS):
        found += _mixed(table, official[k], k, _group(group), position)
    for margin, measures in official.items():
        found += _mixed(table, measures, margin, f"k={margin}")
    for name in names:
        found += _against(table, pairs[name, k], k)
    return found


def _mixed(
    table: Table, parts: Sequence[Measure], k: int, group: str | None, position: int | None = None
) -> list[Score]:
    """Average over the baselines: macro and micro averages, or (``position``) within one task group."""
    absent = [part.name for part in parts if not part.column.there]
    over = f"reward against {parts[0].name}, K = {k}"
    prefix = "100 x the"
    if len(parts) > 1:
        prefix, over = f"100 x mean over {len(parts)} baselines of the", f"reward, K = {k}"
    if absent:
        why = f"it is the mean over {len(parts)} baselines; nothing was compared with {', '.join(absent)}"
        if there := [part.name for part in parts if part.column.there]:
            why += f" (score with wildbench:baselines={join_names(there)} for the mean over the rest)"
    else:
        why = _why(table, *(part.column for part in parts if not part.column.against_itself))
    kinds = {REWARD: "task-macro", MICRO_REWARD: "micro"} if position is None else {REWARD: "task group's"}
    methods = {metric: f"{prefix} {kind} {over}" for metric, kind in kinds.items()}
    details = {metric: {"K": k} for metric in methods} if group is None else NO_DETAILS
    return _means(table, parts, methods, why, group=group, position=position, details=details)


def _against(table: Table, part: Measure, k: int) -> list[Score]:
    """Score one baseline: macro and micro reward, and the mean length of the answers compared with it."""
    group = f"baseline={part.name}"
    column = part.column
    if column.against_itself:
        method = "a model against itself: 0 by definition"
        return [
            metric.number(TASK, 0.0, method=method, n=table.total, group=group) for metric in (REWARD, MICRO_REWARD)
        ]
    why = _why(table, column) if column.there else "nothing was compared with it"
    methods = {
        REWARD: f"100 x weighted mean of five groups' rewards, K = {k}, without cut-off and empty answers",
        MICRO_REWARD: f"100 x sum of rewards of used pairs / number of all pairs, K = {k}",
    }
    endings = {**formulas.endings(column.value, column.used), "total": int(column.stored.sum())}
    details = {REWARD: {"K": k, **column.counts()}, MICRO_REWARD: {"K": k, **endings, **column.counts()}}
    return [*_means(table, [part], methods, why, group=group, details=details), _length(table, column, group)]
