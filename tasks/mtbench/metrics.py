"""MT-Bench's numbers: from judgements to example scores, and from those to scores.

Source: lm-sys/FastChat@0e6d3e4beaab66f4d3f93db72541a4abab8af28d:fastchat/llm_judge/show_result.py; standard errors and
intervals are ours: a question is one cluster, with both its turns and all its baselines.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import numpy as np

from judgebench.judges.orders import candidate_share
from judgebench.records import Example, ExampleScore, Judgement, Score
from judgebench.stats.arrays import FloatArray
from judgebench.stats.clustered import ClusterTotals, cluster_totals
from judgebench.task import Fetch, Generations, TaskData
from judgebench.task.metric import Metric, MetricSums

from .judges import HIGHEST, LOWEST, OFF_SCALE, judged_turns, off_scale

TASK = "mtbench"
SUPERSEDED = "#superseded-"
"""Stands, with a number, behind the case id of a record that a later one of the same file replaces."""
CATEGORIES = ("writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities")
"""Order of the axes of upstream's radar chart; other categories follow in that of the examples."""


# -- what the metrics are


def _rating_of(rows: Sequence[ExampleScore]) -> float | None:
    """Average a question's ratings over its turns. A rating off the scale counts as the nearer end of the scale."""
    return _question_mean([None if row.value is None else min(max(row.value, LOWEST), HIGHEST) for row in rows])


def _question_mean(values: Sequence[float | None]) -> float | None:
    """Average the values of all turns; return ``None`` if one is missing."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


SCORE = Metric(
    name="score",
    unit="points",
    bounds=(LOWEST, HIGHEST),
    value_of=_rating_of,
    how="the judge rates each turn from 1 to 10; the mean of all ratings, so that each turn counts by itself",
)

Turns = Callable[[Example], tuple[int, ...]]
"""The judged turns of an example."""
Share = Callable[[Any, Any], Any]
"""A share of comparisons from the shares won and lost: of two numbers, or of two columns of them."""


@dataclass(frozen=True)
class Rate:
    """One way to count comparisons."""

    metric: Metric
    what: str
    share: Share


def _rate(name: str, what: str, share: Share, **about: Any) -> Rate:
    return Rate(Metric(name=name, value_of=partial(_share_of, share), **about), what, share)


def _share_of(share: Share, rows: Sequence[ExampleScore]) -> float | None:
    won, lost = (
        _question_mean([row.value for row in rows if row.covariates.get("result") == result])
        for result in ("win", "loss")
    )
    return None if won is None or lost is None else float(share(won, lost))


WINS = _rate("win_rate", "both games won", lambda win, loss: win)
LOSSES = _rate("loss_rate", "both games lost", lambda win, loss: loss, direction="none")
TIES = Rate(
    Metric(name="tie_rate", direction="none"),
    "a game tied, or one won and one lost",
    lambda win, loss: 1 - win - loss,
)
ADJUSTED = _rate("adjusted_win_rate", "wins and half the ties", lambda win, loss: (1 + win - loss) / 2, win_share=True)
RATES = (WINS, LOSSES, TIES, ADJUSTED)


def metrics(mode: str) -> tuple[Metric, ...]:
    """Return the metrics of a mode, the headline first.

    As means over questions they are valid where every question has as many judged turns, as MT-Bench's and Vicuna's
    have.
    """
    if mode == "single":
        return (SCORE,)
    return tuple(rate.metric for rate in (ADJUSTED, WINS, LOSSES, TIES))


def _has_group(metric: Metric, group: str | None) -> bool:
    """Say whether a metric has this group. Categories of comparisons have the headline only: ten questions are few."""
    return not (group or "").startswith("category=") or metric in (SCORE, ADJUSTED.metric)


# -- judgements → example scores


def score(
    data: TaskData,
    generations: Generations,
    judgements: Iterable[Judgement],
    *,
    mode: str,
    strict: bool,
    every_record: bool,
    judged: Turns = judged_turns,
) -> list[ExampleScore]:
    """Make one row per question and turn (and baseline and result), whether it was judged or not.

    Upstream counts every record of a file, and ratings off the scale. If that differs from what counts here, it is
    among the row's covariates.
    """
    if mode == "single":
        return list(_ratings(data, judgements, strict=strict, every_record=every_record, judged=judged))
    return list(_results(data, judgements, every_record=every_record, judged=judged))


def _ratings(
    data: TaskData, judgements: Iterable[Judgement], *, strict: bool, every_record: bool, judged: Turns
) -> Iterator[ExampleScore]:
    records: dict[tuple[str, int], list[Judgement]] = {}
    for judgement in judgements:
        records.setdefault((judgement.example_id, judgement.turn), []).append(judgement)
    for example in data.examples:
        for turn in judged(example):
            everything = records.get((example.id, turn), [])
            own = [j for j in everything if every_record or SUPERSEDED not in j.case_id]
            values = [_rating(judgement, strict=strict) for judgement in own]
            read = [value for value in values if value is not None]
            upstream = [value for j in everything if (value := _rating(j, strict=False)) is not None]
            latest = sum(_rating(judgement, strict=False) is not None for judgement in own)
            yield _row(
                example,
                f"rating#turn-{turn}",
                read,
                upstream=upstream,
                superseded=len(upstream) - latest,
                failed=sum(judgement.failed for judgement in own),
                unread=sum(v is None and not j.failed for v, j in zip(values, own, strict=True)),
                turn=float(turn),
                off_scale=float(sum(off_scale(value) is not None for value in read)),
            )


def _rating(judgement: Judgement, *, strict: bool) -> float | None:
    """Return the number in a judge's reply, whichever way it was read; if ``strict``, only one from 1 to 10."""
    left_out = judgement.verdict.details.get(OFF_SCALE)
    value = left_out if isinstance(left_out, int | float) else judgement.verdict.value
    return None if value is None or (strict and off_scale(value)) else float(value)


def _results(
    data: TaskData, judgements: Iterable[Judgement], *, every_record: bool, judged: Turns
) -> Iterator[ExampleScore]:
    """Make rows of wins and losses by the rule of two games; what is neither is a tie."""
    pairs: dict[tuple[str, int, str], dict[str, list[Judgement]]] = {}
    others = dict.fromkeys(data.baselines)
    for judgement in judgements:
        other = judgement.answers[1 - judgement.candidate]
        others[other] = None
        record = judgement.case_id.partition(SUPERSEDED)[2]
        pairs.setdefault((judgement.example_id, judgement.turn, other), {}).setdefault(record, []).append(judgement)
    for other in others:
        for example in data.examples:
            for turn in judged(example):
                everything = pairs.get((example.id, turn, other), {})
                records = [games for number, games in everything.items() if every_record or not number]
                outcomes = [_outcome(games) for games in records]
                read = [outcome for outcome in outcomes if outcome is not None]
                upstream = [outcome for games in everything.values() if (outcome := _outcome(games)) is not None]
                failed = sum(any(game.failed for game in games) for games in records)
                for result, sign in (("win", 1), ("loss", -1)):
                    yield _row(
                        example,
                        f"{result}#turn-{turn}#against-{other}",
                        [float(outcome == sign) for outcome in read],
                        upstream=[float(outcome == sign) for outcome in upstream],
                        superseded=len(upstream) - len(read),
                        failed=failed,
                        unread=len(outcomes) - len(read) - failed,
                        turn=float(turn),
                        result=result,
                        baseline=other,
                    )


def _outcome(games: Sequence[Judgement]) -> int | None:
    """Return 1, -1 or 0 for the candidate. A tie in one game, or two winners, is a tie; both games must be read."""
    shares = [candidate_share(g.verdict.value, g.candidate) for g in games if g.verdict.value is not None]
    if len(shares) != 2:
        return None
    first, second = ((share > 0.5) - (share < 0.5) for share in shares)
    return first if first == second else 0


def _row(
    example: Example,
    metric: str,
    values: Sequence[float],
    *,
    upstream: Sequence[float],
    superseded: int,
    failed: int,
    unread: int,
    **covariates: float | str,
) -> ExampleScore:
    """Average a question's records; their number is the row's weight.

    ``upstream`` are the values that upstream counts, ``superseded`` how many of them a later record replaces.
    """
    unlike: dict[str, float | None] = {}
    if len(upstream) != len(values):
        unlike = {
            "upstream_value": sum(upstream) / len(upstream) if upstream else None,
            "upstream_records": float(len(upstream)),
            "superseded": float(superseded),
        }
    return ExampleScore(
        example_id=example.id,
        metric=metric,
        value=sum(values) / len(values) if values else None,
        weight=float(max(len(values), 1)),
        covariates={
            "category": str(example.meta["category"]),
            "failed": float(failed),
            "unread": float(unread),
            # Beside the one that an absent value stands for.
            "further_missing": float(max(failed + unread - (not values), 0)),
            **covariates,
            **unlike,
        },
    )


# -- example scores → scores


def summarise(data: TaskData, scores: Sequence[ExampleScore], *, mode: str) -> list[Score]:
    """Make all scores of a run, the headline first, then by turn, category and, of several, baseline."""
    of_group = _rating_scores if mode == "single" else _result_scores
    shown = {metric.name: metric for metric in metrics(mode)}
    summarised = []
    for group, rows in groups_of(scores).items():
        found, unlike = of_group(rows, group), [row for row in rows if "upstream_records" in row.covariates]
        if unlike:
            upstream = of_group(_as_upstream(rows), group)
            found = [_beside(own, other, unlike) for own, other in zip(found, upstream, strict=True)]
        summarised += [score for score in found if _has_group(shown[score.metric], group)]
    return summarised


def metric_sums(examples: Sequence[Example], scores: Sequence[ExampleScore], fetch: Fetch, *, mode: str) -> MetricSums:
    """Sum the same numbers over questions, for comparing two runs."""
    sums = {}
    for group, rows in groups_of(scores).items():
        if mode == "single":
            sums[SCORE.name, group] = _MetricColumns(rows).sums()
            continue
        wins, losses = _outcomes(rows)
        for rate in RATES:
            if _has_group(rate.metric, group):
                sums[rate.metric.name, group] = wins.sums(100 * rate.share(wins.values, losses.values))
    return sums


def _as_upstream(rows: Sequence[ExampleScore]) -> list[ExampleScore]:
    """Return the rows with the records that upstream counts."""
    return [
        msgspec.structs.replace(
            row,
            value=row.covariates["upstream_value"],
            weight=max(float(row.covariates["upstream_records"] or 0), 1.0),
        )
        if "upstream_records" in row.covariates
        else row
        for row in rows
    ]


def _beside(score: Score, upstream: Score, unlike: Sequence[ExampleScore]) -> Score:
    """Put upstream's score beside ours; ``unlike`` are the rows for which upstream counts other records."""
    if upstream.value is None:
        return score
    rows = [row for row in unlike if row.covariates.get("result") != "loss"]
    superseded, counted = (
        round(sum(float(row.covariates[name] or 0) for row in rows)) for name in ("superseded", "upstream_records")
    )
    strict = counted - superseded - sum(round(row.weight) for row in rows if row.value is not None)
    told = [f"{superseded} records that a later one of the same turn replaces"] if superseded else []
    told += [f"{strict} ratings outside {LOWEST:g} to {HIGHEST:g}"] if strict else []
    return score.beside(upstream.as_upstream(f"upstream counts {' and '.join(told)} too"))


def groups(example: Example) -> tuple[str]:
    """The group of an example's category."""
    return (f"category={example.meta['category']}",)


def groups_of(scores: Sequence[ExampleScore]) -> dict[str | None, list[ExampleScore]]:
    """Group the rows: all (under ``None``), then by turn, category and, of several, baseline."""
    groups: dict[str | None, list[ExampleScore]] = {None: list(scores)}
    groups |= _grouped("turn", scores, (1.0, 2.0))
    groups |= _grouped("category", scores, CATEGORIES)
    baselines = _grouped("baseline", scores, ())
    return groups | (baselines if len(baselines) > 1 else {})


def _grouped(name: str, scores: Sequence[ExampleScore], first: Sequence[Any]) -> dict[str | None, list[ExampleScore]]:
    """Group rows by one of their covariates: the values in ``first`` in that order, then others as they occur."""
    found: dict[Any, list[ExampleScore]] = {value: [] for value in first}
    for row in scores:
        if name in row.covariates:
            found.setdefault(row.covariates[name], []).append(row)
    shown = {value: f"{value:g}" if isinstance(value, float) else str(value) for value in found}
    return {f"{name}={shown[value]}": rows for value, rows in found.items() if rows}


def _rating_scores(rows: Sequence[ExampleScore], group: str | None) -> list[Score]:
    table = _MetricColumns(rows)
    if not table.n:
        about = {"n_missing": table.missing, "group": group, "details": table.counts}
        return [SCORE.absent(TASK, "no answer has a rating", **about)]
    total, missing = float(table.weights @ table.values), table.missing
    bounds = [(total + missing * rating) / (table.n + missing) for rating in (LOWEST, HIGHEST)]
    details = {**table.counts, "outside_1_to_10": table.sum("off_scale"), "if_missing_all_rated_1_or_10": bounds}
    # A rating off the scale is counted as it is, so that the scale is no bound of the mean.
    bounded = not details["outside_1_to_10"]
    return [table.score(SCORE, table.values, "mean of ratings", group, details, bounded=bounded)]


def _outcomes(rows: Sequence[ExampleScore]) -> tuple["_MetricColumns", "_MetricColumns"]:
    """Return the columns of wins and of losses."""
    wins, losses = (
        _MetricColumns([row for row in rows if row.covariates["result"] == result]) for result in ("win", "loss")
    )
    return wins, losses


def _result_scores(rows: Sequence[ExampleScore], group: str | None) -> list[Score]:
    wins, losses = _outcomes(rows)
    if not wins.n:
        about = {"n_missing": wins.missing, "group": group, "details": wins.counts}
        return [rate.metric.absent(TASK, "no question has two verdicts", **about) for rate in RATES]
    won, lost = float(wins.weights @ wins.values), float(losses.weights @ losses.values)
    everything = wins.n + wins.missing
    counts = {**wins.counts, "win": won, "loss": lost, "tie": wins.n - won - lost}
    bounds = {
        WINS: _bounds(won, wins.missing, everything),
        ADJUSTED: _bounds(won + counts["tie"] / 2, wins.missing, everything),
    }
    return [
        wins.score(
            rate.metric,
            100 * rate.share(wins.values, losses.values),
            f"share of comparisons: {rate.what}",
            group,
            {**counts, **bounds.get(rate, {})},
        )
        for rate in RATES
    ]


def _bounds(won: float, missing: int, everything: int) -> dict[str, Any]:
    return {"if_missing_all_lost_or_won": [100 * won / everything, 100 * (won + missing) / everything]}


class _MetricColumns:
    """Rows of one metric as columns. Rows without a value are counted."""

    def __init__(self, rows: Sequence[ExampleScore]) -> None:
        self._rows = rows
        valued = [(row.example_id, row.weight, row.value) for row in rows if row.value is not None]
        self.weights: FloatArray = np.array([weight for _, weight, _ in valued], dtype=float)
        self.values: FloatArray = np.array([value for *_, value in valued], dtype=float)
        self._questions = [example_id for example_id, *_ in valued]
        self.n = round(float(self.weights.sum()))
        self.missing = len(rows) - len(valued) + self.sum("further_missing")

    def sum(self, covariate: str) -> int:
        """Sum a count over all rows."""
        return round(sum(float(row.covariates.get(covariate) or 0) for row in self._rows))

    @property
    def counts(self) -> dict[str, Any]:
        """How many values are missing for which reason."""
        failed, unread = self.sum("failed"), self.sum("unread")
        return {"unread": unread, "failed": failed, "without_judgement": max(self.missing - failed - unread, 0)}

    def sums(self, values: FloatArray | None = None) -> ClusterTotals:
        """Sum the rows' own or other values, by weight; a question's turns and baselines are one cluster."""
        points = self.weights * (self.values if values is None else values)
        return cluster_totals(points, self.weights, clusters=self._questions)

    def score(
        self,
        metric: Metric,
        values: FloatArray,
        what: str,
        group: str | None,
        details: Mapping[str, Any],
        *,
        bounded: bool = True,
    ) -> Score:
        """Average the values by weight; the interval is over questions."""
        sums = self.sums(values)
        return metric.score(
            TASK,
            sums,
            what,
            "questions with all their turns",
            value=float(self.weights @ values / self.weights.sum()),
            n=self.n,
            n_missing=self.missing,
            group=group,
            details={"questions": sums.n_clusters, **details},
            bounded=bounded,
        )
