"""Arena-Hard's numbers, from example scores.

Sources: lmarena/arena-hard-auto@196f6b8:``show_result.py`` (current pipeline); the parent of its commit 9a1d386:
``show_result.py``, ``utils_math.py`` (legacy). Every battle is against the baseline, so that Bradley–Terry's optimum is
the plain share of battles won; only control for style needs a fit, in ``controlled.py``.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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

ROUNDS = 1000


def summarise(data: TaskData, scores: Sequence[ExampleScore], *, rules: Rules) -> list[Score]:
    """Make both win rates over all examples and by category, and the plain one by subcategory."""
    scores = sorted(scores, key=lambda score: score.example_id)  # so that intervals do not depend on their order
    parts = _parts(data.examples, scores, "category")
    rates = {name: _WinRate.of(own, total, rules) for name, (own, total) in parts.items()}
    counter = data.extras.counter
    controlled = {
        name: control_style({"": own}, rules, upstream=True, counter=counter)[""] for name, (own, _) in parts.items()
    }
    rows = [
        _WinRate.of(scores, len(data.examples), rules).score(None),
        over_categories(list(controlled.values())).score(None, len(data.examples), rules),
    ]
    for name, (_, total) in parts.items():
        group = f"category={name}"
        rows += [rates[name].score(group), controlled[name].score(group, total, rules)]
    for name, reason in data.extras.unavailable.items():
        if name not in parts:
            total = sum(example.meta["category"] == name for example in data.extras.set_aside)
            about: dict[str, Any] = {"n_missing": total, "group": f"category={name}"}
            rows += [metric.absent(TASK, f"not evaluated: {reason}", **about) for metric in METRICS]
    for name, (own, total) in _parts(data.examples, scores, "subcategory").items():
        if name not in parts:
            rows.append(_WinRate.of(own, total, rules).score(f"subcategory={name}"))
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


def _parts(
    examples: Sequence[Example], scores: Sequence[ExampleScore], key: str
) -> dict[str, tuple[list[ExampleScore], int]]:
    """Return example scores, and how many there should be, by category or subcategory."""
    totals = Counter(str(example.meta[key]) for example in examples if example.meta.get(key))
    return {name: ([s for s in scores if s.covariates[key] == name], total) for name, total in totals.items()}


@dataclass(frozen=True)
class _WinRate:
    """The share of battles won in one part of the examples."""

    shares: FloatArray
    weights: FloatArray
    sums: ClusterTotals
    battles: FloatArray
    """Battles won, tied and lost: shape (3,)."""
    whole: bool
    """The shares are made from these battles."""
    n_missing: int
    games: dict[str, int]
    """How games ended that count nothing."""
    unknown_labels: dict[str, int]
    rules: Rules

    @classmethod
    def of(cls, scores: Sequence[ExampleScore], total: int, rules: Rules) -> "_WinRate":
        valued = [score for score in scores if score.value is not None]
        counts = {f"{name}_games": int(sum(number(score, name) or 0 for score in scores)) for name in NOT_COUNTED}
        counts["unjudged_games"] += (total - len(scores)) * (1 if rules.first_game_only else 2)
        labels = Counter(label for s in scores for label in str(s.covariates["unknown_labels"] or "").split())
        return cls(
            shares=np.array([score.value for score in valued], dtype=float),
            weights=np.array([score.weight for score in valued], dtype=float),
            sums=_win_sums(valued),
            battles=np.nan_to_num(numbers(valued, COUNTS)).sum(axis=0),
            whole=whole_battles(valued),
            n_missing=total - len(valued),
            games=counts,
            unknown_labels=dict(sorted(labels.items())),
            rules=rules,
        )

    def score(self, group: str | None) -> Score:
        """Make the score with our interval, or with upstream's estimate and interval if the rules ask for them."""
        if not len(self.shares):
            details = {**self.games, "unknown_labels": self.unknown_labels}
            why = "no question has a verdict"
            return WINS.absent(TASK, why, n_missing=self.n_missing, group=group, details=details)
        mean = bounded_estimate(self.sums, 0, 100)
        assert mean.value is not None
        upstream = self._upstream()
        return rate_score(
            WINS,
            mean.value,
            mean.stderr or None,
            mean.interval,
            f"share of battles won, ties as halves, a clear win as {self.rules.weight}",
            f"{mean.interval.method} over questions" if mean.interval else f"no interval: {mean.reason}",
            instead=upstream if self.rules.upstream_compat else None,
            n=len(self.shares),
            n_missing=self.n_missing,
            group=group,
            details=self._details(upstream),
        )

    def _details(self, upstream: Resampled | None) -> dict[str, Any]:
        won, weight = float(self.shares @ self.weights), float(self.weights.sum())
        most = sum(self.games.values()) * self.rules.weight
        return {
            "battles": dict(zip(COUNTS, self.battles.tolist(), strict=True)),
            **self.games,
            "unknown_labels": self.unknown_labels,
            "if_missing_all_lost_or_won": [100 * won / (weight + most), 100 * (won + most) / (weight + most)],
            "upstream": None if upstream is None else upstream.details(),
        }

    def _upstream(self) -> Resampled | None:
        """Resample the battles if they are whole ones."""
        if not self.whole:
            return None
        total, points = self.battles.sum(), np.array([1, 0.5, 0])
        drawn = np.random.default_rng(SEED).multinomial(int(total), self.battles / total, size=ROUNDS)
        rates = 100 * (drawn @ points) / total
        if self.rules.pipeline == "current":
            return Resampled(float(rates.mean()), rates, "current", "mean")
        return Resampled(float(100 * self.battles @ points / total), rates, "legacy")
