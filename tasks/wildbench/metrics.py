"""WildBench's numbers, from example scores.

Source: allenai/WildBench@d6b8dca:leaderboard/data_dir/{_create_tables,_merge_results}.py; standard errors and intervals
are ours. Every number is a weighted sum of means, over groups and baselines, and a session is one cluster in all of
them: it may belong to two groups, and is compared with every baseline.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from judgebench.records import Example, ExampleScore, Score
from judgebench.stats.arrays import FloatArray
from judgebench.stats.clustered import ClusterTotals
from judgebench.task import TaskData, join_names
from judgebench.task.metric import Metric

from .formulas import TOTAL_WEIGHT, WEIGHTS, Averages, mean_length, mean_rewards, mean_scores, membership, rescaled

TASK = "wildbench"

# Ten times a score of 1 or 10 rescaled; a hundred times a loss or win by far.
SCORE, MICRO_SCORE = (Metric(name=name, unit="points", bounds=(-80, 100)) for name in ("wb_score", "wb_score_micro"))
REWARD, MICRO_REWARD = (
    Metric(name=name, unit="points", bounds=(-100, 100)) for name in ("wb_reward", "wb_reward_micro")
)
LENGTH = Metric(name="length", unit="characters", direction="none")
ELO = Metric(name="wb_elo", unit="rating", shown=False)
"""Of the published tables only: a run alone has none."""

GROUP_WEIGHTS = np.array(list(WEIGHTS.values())) / TOTAL_WEIGHT
NO_LENGTHS = "the run holds judgements without the answers, so it is not known which are empty, cut off or long"
NO_TAGS = "the official tasks could not be had, so it is not known which belong to which group"
NO_VERDICT = "no example has a verdict"


def metrics(judges: Sequence[str]) -> tuple[Metric, ...]:
    """The metrics that these judges give, the headline first."""
    scores, rewards = "score" in judges, "pairwise" in judges
    return (
        *([SCORE] if scores else []),
        *([REWARD] if rewards else []),
        *([MICRO_SCORE] if scores else []),
        *([MICRO_REWARD] if rewards else []),
        LENGTH,
        ELO,
    )


def summarise(
    data: TaskData,
    scores: Sequence[ExampleScore],
    *,
    judges: Sequence[str],
    baselines: Sequence[str],
    k: int,
    margins: Sequence[int],
) -> list[Score]:
    """All metrics of a run, the headline first.

    ``baselines`` are those whose mean is the reward; ``k`` is the length margin of the headline, ``margins`` are all.
    """
    table = Table(data.examples, scores)
    found = []
    if "score" in judges:
        found += _scores(table)
    if "pairwise" in judges:
        found += _rewards(table, baselines, k, margins)
    columns = [table.column(f"reward:{name}:{k}") for name in table.baselines]
    compared = [column for column in columns if not column.against_itself]
    judged = [column for column in (table.column("score"), *compared) if column.stored.any()]
    found.append(_length(table, (judged or [table.column("score")])[0], None))
    headline = [score for score in found if score.group is None]
    order = [metric.name for metric in metrics(judges)]
    headline.sort(key=lambda score: order.index(score.metric))
    return headline + [score for score in found if score.group is not None]


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

    def counts(self) -> dict[str, Any]:
        """What a reader of a mean over the used ones should know."""
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
        self.groups = membership(groups)

    @property
    def baselines(self) -> list[str]:
        """Every baseline that the run compares with."""
        return list(dict.fromkeys(name.split(":")[1] for name in self._by_metric if name.startswith("reward:")))

    def column(self, metric: str) -> Column:
        """A metric's example scores."""
        own = self._by_metric.get(metric, {})
        return Column([own.get(example_id) for example_id in self.ids])

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
        """A number with its interval."""
        if not math.isfinite(value):
            return metric.absent(TASK, reason, n_missing=self.total, group=group)
        return metric.score(
            TASK, sums, method, "sessions", value=value, n=n, n_missing=missing, group=group, details=details
        )


def _totals(numerator: FloatArray, denominator: FloatArray, weights: FloatArray) -> ClusterTotals:
    """Totals by session, shapes (n, terms), without the terms and sessions that have no row."""
    terms = denominator.sum(axis=0) > 0
    sessions = denominator[:, terms].any(axis=1)
    rows = np.ix_(sessions, terms)
    return ClusterTotals(
        np.flatnonzero(sessions), numerator[rows], denominator[rows], weights[terms], int(sessions.sum())
    )


def _whole(value: FloatArray, counted: FloatArray) -> ClusterTotals:
    """Totals of one mean: what is added up, and how much each session counts."""
    return _totals(value[:, None], counted[:, None], np.ones(1))


def _array(values: Sequence[float | None]) -> FloatArray:
    """Numbers with NaN for ``None``: only inside this module, never in a record."""
    return np.array([np.nan if value is None else float(value) for value in values], dtype=float)


def _why(table: Table, *columns: Column) -> str:
    if not any(column.stored.any() for column in columns):
        return NO_VERDICT
    if not all(column.lengths_known for column in columns):
        return NO_LENGTHS
    return NO_VERDICT if table.tags_known else NO_TAGS


# -- scores


def _scores(table: Table) -> list[Score]:
    column = table.column("score")
    averages = mean_scores(column.value, column.used, table.groups)
    value, stored = np.where(column.stored, 10 * rescaled(column.value), 0.0), column.stored.astype(float)
    inside = table.groups * (stored * column.used)[:, None]
    n, used = int(column.stored.sum()), int((column.stored * column.used).sum())
    missing = table.total - n
    known = column.lengths_known and table.tags_known
    why = _why(table, column)
    bounds = [_all_scored(table, column, value) for value in (1.0, 10.0)]
    found = [
        table.score(
            SCORE,
            10 * averages.macro if known else math.nan,
            _totals(value[:, None] * inside, inside, GROUP_WEIGHTS),
            method="10 x weighted mean of five groups' rescaled scores, without cut-off and empty answers",
            n=used,
            missing=missing,
            reason=why,
            details={**column.counts(), "if_missing_all_lost_or_won": [10 * b.macro for b in bounds]},
        ),
        table.score(
            MICRO_SCORE,
            10 * averages.micro,
            _whole(value, stored),
            method="10 x rescaled mean score of all answers",
            n=n,
            missing=missing,
            details={**column.counts(), "if_missing_all_lost_or_won": [10 * b.micro for b in bounds]},
        ),
    ]
    for position, group in enumerate(WEIGHTS):
        own = table.groups[:, position] > 0
        found.append(
            table.score(
                SCORE,
                10 * float(averages.per_group[position]) if known else math.nan,
                _whole(value * inside[:, position], inside[:, position]),
                method="10 x rescaled mean score, without cut-off and empty answers",
                n=int((column.stored * column.used)[own].sum()),
                missing=int((~column.stored)[own].sum()),
                group=f"category={group}",
                reason=why if table.tags_known else NO_TAGS,
            )
        )
    return found


def _all_scored(table: Table, column: Column, value: float) -> Averages:
    """The averages if every missing example had got this score."""
    score = np.where(column.stored, column.value, value)
    used = np.where(column.stored, column.used, 1.0)
    return mean_scores(score, used, table.groups)


def _length(table: Table, column: Column, group: str | None) -> Score:
    used = column.used * column.stored
    return table.score(
        LENGTH,
        mean_length(column.length, used) if column.lengths_known else math.nan,
        _whole(np.where(used > 0, column.length, 0.0), used),
        method="mean characters of the answers as judged, without cut-off and empty ones",
        n=int(used.sum()),
        missing=table.total - int(column.stored.sum()),
        group=group,
        reason=_why(table, column) if not column.lengths_known else NO_VERDICT,
    )


# -- rewards


class _Pairs:
    """One baseline at one length margin."""

    def __init__(self, table: Table, name: str, k: int) -> None:
        self.name = name
        self.column = table.column(f"reward:{name}:{k}")
        self.averages = mean_rewards(self.column.value, self.column.used, table.groups)
        if self.column.against_itself:
            self.averages = Averages(0.0, np.zeros(len(WEIGHTS)), 0.0)
        stored = self.column.stored.astype(float)
        used = self.column.used * stored
        value = np.where(used > 0, 100 * self.column.value, 0.0)
        self.micro = (value[:, None], stored[:, None])
        """Points that each session adds up to, and how much it counts: numerator and denominator, shape (n, 1)."""
        self.by_group = (table.groups * value[:, None], table.groups * used[:, None])
        """The same of the groups, shape (n, 5)."""

    def bound(self, table: Table, reward: float) -> Averages:
        """The averages if every missing example had ended so."""
        if self.column.against_itself:
            return self.averages
        value = np.where(self.column.stored, self.column.value, reward)
        used = np.where(self.column.stored, self.column.used, 1.0)
        return mean_rewards(value, used, table.groups)


def _rewards(table: Table, baselines: Sequence[str], k: int, margins: Sequence[int]) -> list[Score]:
    names = list(dict.fromkeys([*baselines, *table.baselines]))
    pairs = {(name, margin): _Pairs(table, name, margin) for name in names for margin in margins}
    found = _mixed(table, [pairs[name, k] for name in baselines], k, None)
    for position, group in enumerate(WEIGHTS):
        found += _mixed(table, [pairs[name, k] for name in baselines], k, f"category={group}", position)
    for margin in margins:
        found += _mixed(table, [pairs[name, margin] for name in baselines], margin, f"k={margin}")
    for name in names:
        found += _against(table, pairs[name, k], k)
    return found


def _mixed(
    table: Table, parts: Sequence[_Pairs], k: int, group: str | None, position: int | None = None
) -> list[Score]:
    """The mean over the baselines: with macro and micro averages, or (``position``) within one task group."""
    absent = [part.name for part in parts if not part.column.there]
    inside = np.ones(table.total, bool) if position is None else table.groups[:, position] > 0
    compared = [part for part in parts if not part.column.against_itself]
    stored = np.logical_and.reduce([np.ones(table.total, bool), *(part.column.stored for part in compared)])
    used = np.logical_and.reduce([stored, *(part.column.used > 0 for part in compared)])
    length_known = all(part.column.lengths_known for part in compared)
    missing = int((~stored & inside).sum())
    if len(parts) == 1:
        method = f"100 x the {{}} reward against {parts[0].name}, K = {k}"
    else:
        method = f"100 x mean over {len(parts)} baselines of the {{}} reward, K = {k}"
    if absent:
        why = f"it is the mean over {len(parts)} baselines; nothing was compared with {', '.join(absent)}"
        if there := [part.name for part in parts if part.column.there]:
            why += f" (score with wildbench:baselines={join_names(there)} for the mean over the rest)"
    else:
        why = _why(table, *(part.column for part in compared))
    if position is not None:
        own = slice(position, position + 1)
        columns = {REWARD: [float(part.averages.per_group[position]) for part in parts]}
        terms = {REWARD: [tuple(column[:, own] for column in part.by_group) for part in compared]}
    else:
        columns = {
            REWARD: [part.averages.macro for part in parts],
            MICRO_REWARD: [part.averages.micro for part in parts],
        }
        terms = {REWARD: [p.by_group for p in compared], MICRO_REWARD: [p.micro for p in compared]}
    found = []
    for metric, values in columns.items():
        is_macro = metric is REWARD
        computable = not absent and length_known and (table.tags_known or not is_macro)
        kind = "micro" if not is_macro else "task-macro" if position is None else "task group's"
        details: dict[str, Any] = {"K": k}
        if group is None and computable:
            details["if_missing_all_lost_or_won"] = [
                _mean([100 * getattr(part.bound(table, r), "macro" if is_macro else "micro") for part in parts])
                for r in (-1.0, 1.0)
            ]
        weights = GROUP_WEIGHTS if is_macro and position is None else np.ones(1)
        nothing = np.zeros((table.total, 0))
        numerator, denominator = (
            np.concatenate([nothing, *(pair[side] for pair in terms[metric])], axis=1) for side in (0, 1)
        )
        found.append(
            table.score(
                metric,
                _mean([100 * value for value in values]) if computable else math.nan,
                _totals(numerator, denominator, np.tile(weights / len(parts), len(compared))),
                method=method.format(kind),
                n=int((used & inside).sum()) if is_macro else int((stored & inside).sum()),
                missing=missing,
                group=group,
                reason=why,
                details=details if group is None else None,
            )
        )
    return found


def _mean(values: Sequence[float]) -> float:
    """Equal weights, added up in upstream's order: haiku, llama, gpt-4-turbo (that is: the first one last)."""
    return sum((*values[1:], values[0])) / len(values)


def _against(table: Table, part: _Pairs, k: int) -> list[Score]:
    """One baseline's reward, macro and micro, and the mean length of the answers compared with it."""
    group = f"baseline={part.name}"
    column = part.column
    if column.against_itself:
        method = "a model against itself: 0 by definition"
        return [
            Score(task=TASK, metric=metric.name, value=0.0, unit=metric.unit, method=method, n=table.total, group=group)
            for metric in (REWARD, MICRO_REWARD)
        ]
    n, used = int(column.stored.sum()), int((column.stored * column.used).sum())
    missing = table.total - n
    why = _why(table, column) if column.there else "nothing was compared with it"
    return [
        table.score(
            REWARD,
            100 * part.averages.macro if column.lengths_known and table.tags_known else math.nan,
            _totals(*part.by_group, GROUP_WEIGHTS),
            method=f"100 x weighted mean of five groups' rewards, K = {k}, without cut-off and empty answers",
            n=used,
            missing=missing,
            group=group,
            reason=why,
            details={"K": k, **column.counts()},
        ),
        table.score(
            MICRO_REWARD,
            100 * part.averages.micro if column.lengths_known else math.nan,
            _totals(*part.micro, np.ones(1)),
            method=f"100 x sum of rewards of used pairs / number of all pairs, K = {k}",
            n=n,
            missing=missing,
            group=group,
            reason=why,
            details={"K": k, **_endings(column), **column.counts()},
        ),
        _length(table, column, group),
    ]


def _endings(column: Column) -> dict[str, int]:
    """How the used pairs ended, after the length rule: upstream's columns. Only whole verdicts have such a name."""
    names = {1.0: "win_much", 0.5: "win", 0.0: "tie", -0.5: "lose", -1.0: "lose_much"}
    values = column.value[(column.used > 0) & column.stored]
    return {name: int((values == reward).sum()) for reward, name in names.items()} | {"total": int(column.stored.sum())}
