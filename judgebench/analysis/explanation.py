"""What numbers are made of: where their variance comes from, how much of them is style, whether models beat in circles.

For one run, this is the variance of verdicts over items, judges, orders and repeats. For its comparisons with a
baseline, it is also the win rate with length, and with all style, held equal, and what a judge that sees only style
would predict. For several runs of one protocol, it is how many pairs of runs the benchmark tells apart, and whether
models beat each other in circles. Any pairwise task will do: the inputs are judgements and the covariates of example
scores. The statistics themselves are in ``stats``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import combinations
from typing import Any

import msgspec
import numpy as np

from judgebench.display import reasons
from judgebench.judges.orders import candidate_share
from judgebench.records import ExampleScore, Judgement
from judgebench.run.folder import VERIFIED_BY
from judgebench.run.reading import Run, TaskRun
from judgebench.stats.benchmark_quality import paired_separability, separability
from judgebench.stats.intervals import Interval, resample_counts
from judgebench.stats.style_share import StyleReport, style_only_judge, style_report
from judgebench.stats.transitivity import cycles, fit_test, item_cycles, win_matrix
from judgebench.stats.variance_components import variance_components
from judgebench.task import Task
from judgebench.task.metric import Metric
from judgebench.tasks import is_among

SEED = 0
ROUNDS = 500
LENGTHS = ("length", "token_len")
"""Covariates that are a length: the first feature of a style control."""
EFFECTS = (("item",), ("judge",), ("order",), ("item", "judge"), ("item", "order"))
"""In the order of their importance: if the verdicts cannot tell effects apart, the last one is left out first."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One source of variance."""

    effect: str
    variance: float
    share: float | None
    """Of the sum, 0 to 1."""
    interval: Interval | None


class Variance(msgspec.Struct, frozen=True, kw_only=True):
    """Where the variance of one judge prompt's verdicts comes from."""

    judge: str
    """The prompt and rule."""
    verdicts: int
    parts: tuple[Part, ...]
    reason: str | None


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """The win rate with something held equal, in percent."""

    held_equal: str
    win_rate: float | None
    interval: Interval | None
    explained_points: float | None
    """How much lower it is than the plain win rate."""
    explained_interval: Interval | None


class Style(msgspec.Struct, frozen=True, kw_only=True):
    """What length and markdown explain of one model's comparisons with a baseline."""

    comparison: str
    """The example scores that were read."""
    features: tuple[str, ...]
    """The length first."""
    rates: tuple[Rate, ...] = ()
    coefficients: dict[str, float | None] = {}
    """Of a logistic fit on relative differences: positive where more of it wins."""
    explained_by_length: float | None = None
    """Share of the verdicts' deviance, 0 to 1."""
    explained_by_markdown: float | None = None
    explained_by_style: float | None = None
    style_only_judge: float | None = None
    """Share of the decided verdicts that a judge who sees only style predicts, cross-validated: the floor."""
    style_only_interval: Interval | None = None
    n: int = 0
    n_without_style: int
    """Comparisons left out because an answer's style is not known."""
    reason: str | None


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """One task of one run."""

    run: str
    model: str
    task: str
    variance: tuple[Variance, ...]
    style: tuple[Style, ...]


class SeveralRuns(msgspec.Struct, frozen=True, kw_only=True):
    """Several runs of one task and protocol."""

    task: str
    metric: str
    models: tuple[str, ...]
    pairs: int
    separable: float | None
    """Share of pairs whose intervals do not overlap."""
    paired_separable: float | None
    """Share of pairs whose paired difference keeps its sign in 95 % of resamples."""
    cyclic_triads: int | None = None
    """Threes of models that beat each other in a circle; null if no three models all met."""
    possible_triads: int = 0
    cycles_by_chance: float | None = None
    """Expected if every pair were a coin flip."""
    strongest_cycle_z: float | None = None
    strong_violations: int | None = None
    item_cycles: float | None = None
    """Share of (item, three models) whose verdicts form a circle."""
    item_cycles_interval: Interval | None = None
    item_cycles_by_chance: float | None = None
    """Expected of independent verdicts with each pair's own win rate."""
    ratings_fit_p: float | None = None
    """Small if one rating per model does not give the win rates."""
    reason: str | None


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that ``explain`` shows."""

    runs: tuple[Explained, ...]
    together: tuple[SeveralRuns, ...]


@dataclass(frozen=True)
class _Run:
    """One task of one run, with what is read from its files."""

    model: str
    task_run: TaskRun
    rows: Sequence[ExampleScore]
    judgements: Sequence[Judgement]

    @property
    def task(self) -> Task:
        return self.task_run.task


def explain(runs: Sequence[Run], task: str | None = None) -> Explanation:
    """Explain the numbers of the runs; of one task only, if it is named."""
    return explain_tasks(
        (run, task_run) for run in runs for task_run in run.tasks.values() if is_among(task, task_run.names)
    )


def explain_tasks(chosen: Iterable[tuple[Run, TaskRun]], *, circles: bool = True) -> Explanation:
    """Explain the numbers of some tasks of some runs; ``circles`` of models are counted over all threes of them."""
    read = [
        _Run(run.manifest.shown_name, task_run, task_run.example_scores(), task_run.judgements())
        for run, task_run in chosen
    ]
    alike: dict[tuple[str, str], list[_Run]] = {}
    for own in read:
        alike.setdefault((own.task_run.key, own.task_run.task_manifest.protocol_hash), []).append(own)
    return Explanation(
        runs=tuple(
            Explained(
                run=str(own.task_run.run),
                model=own.model,
                task=own.task.label,
                variance=tuple(_variances(own.judgements)),
                style=tuple(_styles(own)),
            )
            for own in read
        ),
        together=tuple(
            _together(several, [own for own in read if circles and own.task_run.key == key])
            for (key, _), several in alike.items()
            if len(several) > 1
        ),
    )


# -- variance


def _variances(judgements: Sequence[Judgement]) -> Iterable[Variance]:
    """One decomposition for each judge prompt. Verifiers are left out: their verdicts do not vary."""
    by_judge: dict[str, list[Judgement]] = {}
    for judgement in judgements:
        if judgement.verdict.value is not None and judgement.replies:
            by_judge.setdefault(judgement.judge, []).append(judgement)
    for judge, own in by_judge.items():
        yield _variance(judge, own)


def _variance(judge: str, judgements: Sequence[Judgement]) -> Variance:
    values = [_candidates_value(judgement) for judgement in judgements]
    factors = {
        "item": [f"{j.example_id}#{j.turn}#{_opponent(j)}" for j in judgements],
        "judge": [j.judge_model for j in judgements],
        "order": [str(j.candidate) for j in judgements],
    }
    varying = [name for name, levels in factors.items() if len(set(levels)) > 1]
    effects = [effect for effect in EFFECTS if set(effect) <= set(varying)]
    reason = "every item has one verdict, so items, judge and chance cannot be told apart. Judge in both orders, by "
    reason += "several judges, or with --judge-repeats"
    if len(judgements) == len(set(factors["item"])):
        effects = []
    while effects:
        try:
            found = variance_components(values, {name: factors[name] for name in varying}, effects)
        except ValueError as error:
            effects, reason = effects[:-1], str(error)
            continue
        parts = tuple(
            Part(effect=" x ".join(part.effect), variance=part.variance, share=part.share, interval=part.interval)
            for part in found.components
        )
        return Variance(judge=judge, verdicts=found.n, parts=parts, reason=found.reason)
    return Variance(judge=judge, verdicts=len(judgements), parts=(), reason=reason)


def _candidates_value(judgement: Judgement) -> float:
    value = judgement.verdict.value
    assert value is not None
    return candidate_share(value, judgement.candidate) if len(judgement.answers) == 2 else value


def _opponent(judgement: Judgement) -> str:
    return judgement.answers[1 - judgement.candidate] if len(judgement.answers) == 2 else ""


# -- style


def _styles(run: _Run) -> Iterable[Style]:
    for pattern, (loss, win) in run.task.pairwise_metrics.items():
        by_metric: dict[str, list[ExampleScore]] = {}
        for row in run.rows:
            if fnmatchcase(row.metric, pattern) and row.value is not None and not row.covariates.get("against_itself"):
                by_metric.setdefault(row.metric, []).append(row)
        for metric, rows in by_metric.items():
            yield _style(metric, rows, loss, win)


def _style(metric: str, rows: Sequence[ExampleScore], loss: float, win: float) -> Style:
    features = _features(rows)
    kept = [row for row in rows if all(_known(row, name) for name in features)] if features else []
    if not kept:
        why = "the run holds judgements without the answers, and no counts of their style"
        return Style(comparison=metric, features=features, n_without_style=len(rows), reason=why)
    shares = [((row.value or 0.0) - loss) / (win - loss) for row in kept]
    own = [[float(row.covariates[name] or 0) for name in features] for row in kept]
    other = [[float(row.covariates[f"baseline_{name}"] or 0) for name in features] for row in kept]
    items = [row.example_id for row in kept]
    report = style_report(shares, own, other, clusters=items, rng=np.random.default_rng(SEED), rounds=ROUNDS)
    judge = style_only_judge(shares, own, other, clusters=items)
    return Style(
        comparison=metric,
        features=features,
        rates=tuple(
            Rate(
                held_equal=rate.controls,
                win_rate=rate.win_rate,
                interval=rate.interval,
                explained_points=rate.explained_points,
                explained_interval=rate.explained_interval,
            )
            for rate in report.rates
        ),
        coefficients=dict(zip(features, report.coefficients, strict=True)),
        explained_by_length=report.explained_by_length,
        explained_by_markdown=report.explained_by_markdown,
        explained_by_style=report.explained_by_style,
        style_only_judge=judge.accuracy.value,
        style_only_interval=judge.accuracy.interval,
        n=report.n,
        n_without_style=len(rows) - len(kept),
        reason=_joined(
            ("rates", report.reason),
            *_unexplained(report),
            ("a judge that sees only style", judge.accuracy.reason if judge.accuracy.interval is None else None),
        ),
    )


def _unexplained(report: StyleReport) -> Iterable[tuple[str, str | None]]:
    """Why further numbers are missing, where rates are known."""
    if report.reason is not None:
        return
    if any(rate.interval is None for rate in report.rates):
        yield "intervals of the rates", "hardly any resample has both wins and losses"
    if report.explained_by_style is None:
        yield "what style explains", "all verdicts are alike, so there is no deviance"


def _joined(*missing: tuple[str, str | None]) -> str | None:
    return "; ".join(reasons(missing)) or None


def _features(rows: Sequence[ExampleScore]) -> tuple[str, ...]:
    """The covariates that both answers have in some row, a length first."""
    names = {
        name: None
        for row in rows
        for name in row.covariates
        if f"baseline_{name}" in row.covariates and _known(row, name)
    }
    lengths = [name for name in LENGTHS if name in names]
    return (lengths[0], *(name for name in names if name not in LENGTHS)) if lengths else ()


def _known(row: ExampleScore, name: str) -> bool:
    return all(isinstance(row.covariates.get(side + name), int | float) for side in ("", "baseline_"))


# -- several runs


def _together(runs: Sequence[_Run], all_runs: Sequence[_Run]) -> SeveralRuns:
    metric = runs[0].task.headline[0]
    scores = [run.task_run.overall.get(metric) for run in runs]
    bounded = [(s.low, s.high) for s in scores if s is not None and s.low is not None and s.high is not None]
    lows, highs = [low for low, _ in bounded], [high for _, high in bounded]
    apart = separability(lows, highs)
    mean = next(iter(runs[0].task.means.values()), None)
    paired = None if mean is None else _paired(runs, mean)
    circles = _circles([judgement for run in all_runs for judgement in run.judgements])
    why = f"fewer than two runs have one of {metric}" if apart.share is None else None
    no_pairs = "no metric of the task is a plain mean over examples" if mean is None else "fewer than two in common"
    missing = [("intervals", why), ("paired differences", no_pairs if paired is None else None)]
    circles["reason"] = _joined(*missing, *circles["reason"])
    return SeveralRuns(
        task=runs[0].task.label,
        metric=metric,
        models=tuple(run.model for run in runs),
        pairs=len(runs) * (len(runs) - 1) // 2,
        separable=apart.share,
        paired_separable=paired,
        **circles,
    )


def _paired(runs: Sequence[_Run], mean: Metric) -> float | None:
    """Share of pairs that resamples of the examples with a number in all runs tell apart."""
    tables = [mean.values(run.rows) for run in runs]
    shared = [key for key in tables[0] if all(table.get(key) is not None for table in tables)]
    if len(shared) < 2:
        return None
    values = np.array([[table[key] for key in shared] for table in tables], dtype=float)
    counts = resample_counts(len(shared), ROUNDS, np.random.default_rng(SEED))
    return paired_separability(counts @ values.T / len(shared)).share


def _circles(judgements: Sequence[Judgement]) -> dict[str, Any]:
    """Cycles among the models of all games, and within items; orders and repeats of a game count as one.

    Keys are fields of ``SeveralRuns``; ``reason`` lists the reasons by what is missing.
    """
    shares: dict[tuple[str, str, str], list[float]] = {}
    for judgement in judgements:
        if len(judgement.answers) == 2 and judgement.verdict.value is not None:
            first, second = judgement.answers
            if first == second:
                continue
            value = judgement.verdict.value if first < second else 1 - judgement.verdict.value
            item = f"{judgement.judge}#{judgement.example_id}#{judgement.turn}"
            shares.setdefault((item, min(first, second), max(first, second)), []).append(value)
    models = sorted({model for _, *pair in shares for model in pair})
    number = {model: place for place, model in enumerate(models)}
    met = {(one, other) for _, one, other in shares}
    triads = [three for three in combinations(models, 3) if all(pair in met for pair in combinations(three, 2))]
    if not triads:
        why = "no three models have all met, so circles cannot be seen: judge runs against each other with --baseline"
        judged = any(judgement.judge_model != VERIFIED_BY for judgement in judgements)
        return {"reason": [("circles", why)] if judged else []}
    ones, others = [number[one] for _, one, _ in shares], [number[other] for *_, other in shares]
    means = np.array([sum(values) / len(values) for values in shares.values()])
    votes = np.sign(means - 0.5)
    found = cycles(win_matrix(ones, others, means, len(models)))
    items = [item for item, *_ in shares]
    within = item_cycles(items, ones, others, votes, len(models), rng=np.random.default_rng(SEED))
    fit = fit_test(ones, others, (votes + 1) / 2, len(models))
    return {
        "cyclic_triads": found.triads,
        "possible_triads": found.possible,
        "cycles_by_chance": found.by_chance,
        "strongest_cycle_z": found.strongest,
        "strong_violations": found.strong_violations,
        "item_cycles": within.share,
        "item_cycles_interval": within.interval,
        "item_cycles_by_chance": within.independent,
        "ratings_fit_p": fit.p,
        "reason": [
            ("circles within items", "no three models have all met on an item" if within.share is None else None),
            ("fit of one rating per model", fit.reason),
        ],
    }
