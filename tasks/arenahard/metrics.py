"""Arena-Hard's numbers, from example scores.

Sources: lmarena/arena-hard-auto@196f6b8:``show_result.py`` (current pipeline); the parent of its commit 9a1d386:
``show_result.py``, ``utils_math.py`` (legacy). Every battle is against the baseline, so that Bradley–Terry's optimum is
the plain share of battles won; only control for style needs a fit, in ``controlled.py``.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from judgebench.records import Example, ExampleScore, Score
from judgebench.stats.arrays import FloatArray
from judgebench.stats.clustered import ClusterTotals, bounded_estimate, cluster_totals
from judgebench.task import Fetch, TaskData
from judgebench.task.metric import MetricSums

from .battles import COUNTS, NOT_COUNTED, Rules, number, numbers, whole_battles
from .controlled import Controlled, control_style, over_categories
from .estimates import CONTROLLED_WINS, METRICS, SEED, TASK, WINS, Resampled, rate_score
from .judges import Pipeline

ROUNDS = 1000


def summarise(data: TaskData, scores: Sequence[ExampleScore], *, rules: Rules) -> list[Score]:
    """Make both win rates over all examples and by category, and the plain one by subcategory."""
    scores = sorted(scores, key=lambda score: score.example_id)  # so that intervals do not depend on their order
    parts = _parts(data.examples, scores, "category")
    counter = data.extras.counter
    controlled = {
        name: control_style({"": own}, rules, upstream=True, counter=counter)[""] for name, (own, _) in parts.items()
    }
    rows = [
        _win_rate(scores, len(data.examples), rules),
        over_categories(list(controlled.values())).score(None, len(data.examples), rules),
    ]
    for name, (own, total) in parts.items():
        group = f"category={name}"
        rows += [_win_rate(own, total, rules, group), controlled[name].score(group, total, rules)]
    for name, reason in data.extras.unavailable.items():
        if name not in parts:
            total = sum(example.meta["category"] == name for example in data.extras.set_aside)
            about: dict[str, Any] = {"n_missing": total, "group": f"category={name}"}
            rows += [metric.absent(TASK, f"not evaluated: {reason}", **about) for metric in METRICS]
    for name, (own, total) in _parts(data.examples, scores, "subcategory").items():
        if name not in parts:
            rows.append(_win_rate(own, total, rules, f"subcategory={name}"))
    return rows


def tabulate(runs: Mapping[str, Sequence[ExampleScore]], *, rules: Rules) -> dict[str, list[Score]]:
    """Fit the style-controlled rates of several runs in one table, as upstream does; return them by run."""
    categories = sorted({str(score.covariates["category"]) for scores in runs.values() for score in scores})
    found: dict[str, list[Controlled]] = {run: [] for run in runs}
    for category in categories:
        parts = {
            run: sorted((s for s in scores if s.covariates["category"] == category), key=lambda s: s.example_id)
            for run, scores in runs.items()
        }
        for run, one in control_style(parts, rules, upstream=rules.upstream_compat).items():
            if one.value is not None:
                found[run].append(one)
    return {run: [over_categories(own).score(None, len(runs[run]), rules)] for run, own in found.items() if own}


def metric_sums(
    examples: Sequence[Example], scores: Sequence[ExampleScore], fetch: Fetch, *, rules: Rules
) -> MetricSums:
    """Sum the same numbers over questions, for comparing two runs.

    Each run is controlled for style alone, as in its own scores, and not in one table with the other.
    """
    categories = _parts(examples, scores, "category")
    sums: dict[tuple[str, str | None], ClusterTotals | None] = {(WINS.name, None): _win_sums(scores)}
    controlled = []
    for name, (own, _) in categories.items():
        controlled.append(control_style({"": own}, rules, upstream=False)[""])
        sums[WINS.name, f"category={name}"] = _win_sums(own)
        sums[CONTROLLED_WINS.name, f"category={name}"] = controlled[-1].totals
    sums[CONTROLLED_WINS.name, None] = over_categories(controlled).totals
    for name, (own, _) in _parts(examples, scores, "subcategory").items():
        if name not in categories:
            sums[WINS.name, f"subcategory={name}"] = _win_sums(own)
    return {name: own for name, own in sums.items() if own is not None and own.value is not None}


def _win_sums(scores: Sequence[ExampleScore]) -> ClusterTotals:
    """Sum the battles; a question's two games are one row."""
    weights = [score.weight for score in scores]
    points = [100 * score.weight * (score.value or 0.0) for score in scores]
    return cluster_totals(points, weights, clusters=[score.example_id for score in scores])


def groups(example: Example) -> tuple[str, ...]:
    """The groups of an example: its category and, of the current edition, its subcategory."""
    return tuple(f"{key}={example.meta[key]}" for key in ("category", "subcategory") if example.meta.get(key))


def _parts(
    examples: Sequence[Example], scores: Sequence[ExampleScore], key: str
) -> dict[str, tuple[list[ExampleScore], int]]:
    """Return example scores, and how many there should be, by category or subcategory."""
    totals = Counter(str(example.meta[key]) for example in examples if example.meta.get(key))
    return {name: ([s for s in scores if s.covariates[key] == name], total) for name, total in totals.items()}


def _win_rate(scores: Sequence[ExampleScore], total: int, rules: Rules, group: str | None = None) -> Score:
    """The share of battles won in one part of the examples, of which there should be ``total``."""
    valued = [score for score in scores if score.value is not None]
    games = {f"{name}_games": int(sum(number(score, name) or 0 for score in scores)) for name in NOT_COUNTED}
    games["unjudged_games"] += (total - len(scores)) * (1 if rules.first_game_only else 2)
    labels = Counter(label for s in scores for label in str(s.covariates["unknown_labels"] or "").split())
    not_counted = {**games, "unknown_labels": dict(sorted(labels.items()))}
    missing = total - len(valued)
    if not valued:
        return WINS.absent(TASK, "no question has a verdict", n_missing=missing, group=group, details=not_counted)
    shares = np.array([score.value for score in valued], dtype=float)
    weights = np.array([score.weight for score in valued], dtype=float)
    won, weight, most = float(shares @ weights), float(weights.sum()), sum(games.values()) * rules.weight
    battles = np.nan_to_num(numbers(valued, COUNTS)).sum(axis=0)
    upstream = _resampled(battles, rules.pipeline) if whole_battles(valued) else None
    mean = bounded_estimate(_win_sums(valued), 0, 100)
    assert mean.value is not None
    return rate_score(
        WINS,
        mean.value,
        mean.stderr or None,
        mean.interval,
        f"share of battles won, ties as halves, a clear win as {rules.weight}",
        f"{mean.interval.method} over questions" if mean.interval else f"no interval: {mean.reason}",
        instead=upstream if rules.upstream_compat else None,
        n=len(valued),
        n_missing=missing,
        group=group,
        details={
            "battles": dict(zip(COUNTS, battles.tolist(), strict=True)),
            **not_counted,
            "if_missing_all_lost_or_won": [100 * won / (weight + most), 100 * (won + most) / (weight + most)],
            "upstream": None if upstream is None else upstream.details(),
        },
    )


def _resampled(battles: FloatArray, pipeline: Pipeline) -> Resampled:
    """Resample whole battles, of which so many were won, tied and lost."""
    total, points = battles.sum(), np.array([1, 0.5, 0])
    drawn = np.random.default_rng(SEED).multinomial(int(total), battles / total, size=ROUNDS)
    rates = 100 * (drawn @ points) / total
    if pipeline == "current":
        return Resampled(float(rates.mean()), rates, "current", "mean")
    return Resampled(float(100 * battles @ points / total), rates, "legacy")
