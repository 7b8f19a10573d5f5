"""Win rates controlled for style: what they would be if the model's style differed from the baseline's by a constant.

Sources: lmarena/arena-hard-auto@196f6b8:``show_result.py``, ``utils/math_utils.py`` (current pipeline); the parent of
9a1d386:``utils_math.py`` (legacy). Fits are those of ``stats/style_control.py``, to their minimum.

All battles of a table are standardised together, so that a model's number depends on the other models of the table,
and the zero of each feature is the table's mean difference from the baseline. Alone in its table, as in a run, a model
has its own mean difference as zero.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import numpy as np

from judgebench.records import ExampleScore, Score
from judgebench.stats.arrays import FloatArray
from judgebench.stats.bradley_terry import predicted_win_rate
from judgebench.stats.clustered import ClusterTotals, bounded_estimate, cluster_totals
from judgebench.stats.style_control import (
    ARENA_HARD_CURRENT,
    ARENA_HARD_LEGACY,
    StyleControlled,
    bootstrap_style_controlled,
)
from judgebench.stats.style_rate import BaselineBattles, Zero, fit_details, linear_rate, win_rates

from .battles import COUNTS, SIDES, Rules, number, numbers, whole_battles
from .estimates import CONTROLLED_WINS, SEED, TASK, Resampled, one_sided, rate_score
from .judges import Pipeline
from .style import FEATURES, TokenCounter

UPSTREAM_ROUNDS = 100

CONTROLS = {"both": [0, 1, 2, 3], "length": [0], "markdown": [1, 2, 3]}
"""Features that each kind of control uses, as places in ``FEATURES``."""

OPTIONS = {"current": ARENA_HARD_CURRENT, "legacy": ARENA_HARD_LEGACY}


@dataclass(frozen=True)
class StyleBattles(BaselineBattles):
    """The battles of a table, with the four features of Arena-Hard."""

    @classmethod
    def of(cls, tables: Sequence[Sequence[ExampleScore]]) -> "StyleBattles":
        """Make the battles of each model's example scores; an unknown feature counts as 0."""
        scores = [score for table in tables for score in table]
        questions = sorted({score.example_id for score in scores})
        place_of = {example_id: place for place, example_id in enumerate(questions)}
        names = [*COUNTS, *(side + name for side in SIDES for name in FEATURES)]
        known = np.nan_to_num(np.concatenate([numbers(table, names) for table in tables]))
        counts, style, baseline_style = np.split(known, [len(COUNTS), len(COUNTS) + len(FEATURES)], axis=1)
        battles = counts.sum(axis=1).astype(np.int64)
        return cls(
            n_models=len(tables),
            model=np.repeat(np.repeat(np.arange(len(tables)), [len(table) for table in tables]), battles),
            question=np.repeat([place_of[score.example_id] for score in scores], battles),
            share=np.repeat(np.tile([1.0, 0.5, 0.0], len(scores)), counts.astype(np.int64).ravel()),
            style=np.repeat(style, battles, axis=0),
            baseline_style=np.repeat(baseline_style, battles, axis=0),
            questions=tuple(questions),
        )

    def fit(self, pipeline: Pipeline, control: str) -> StyleControlled:
        """Fit as the published tables do, to the minimum. Item 0 is the baseline, item 1 + k model k."""
        return self.fit_with(OPTIONS[pipeline], CONTROLS[control])

    def fit_anyway(self, pipeline: Pipeline, control: str) -> tuple[StyleControlled, float]:
        """Fit with the smallest ridge that gives a minimum; return that ridge as well."""
        return self.fit_anyhow(OPTIONS[pipeline], CONTROLS[control])


@dataclass(frozen=True)
class Controlled:
    """A model's style-controlled win rate in one category, or why there is none."""

    value: float | None
    n: int = 0
    battles: int = 0
    n_models: int = 1
    totals: ClusterTotals | None = None
    """The value in percent, linearised: what each question adds to it. ``None`` without value, or if ``settled``."""
    settled: float | None = None
    """0 or 100 where every battle was lost or won. The legacy pipeline's value, drawn to 50, is then beside it."""
    upstream: FloatArray = field(default_factory=lambda: np.zeros(0))
    """Of resampled battles."""
    reason: str = "no battle tells"
    details: dict[str, Any] = field(default_factory=dict)

    def score(self, group: str | None, total: int, rules: Rules) -> Score:
        """Make the score with our interval, or with upstream's estimate and interval if the rules ask for them."""
        if self.value is None:
            return CONTROLLED_WINS.absent(TASK, self.reason, n_missing=total, group=group)
        interval, stderr, how = None, None, "no interval: every battle of a category ended alike"
        if self.settled is not None:
            interval = one_sided(self.settled, self.n)
            how = interval.method
        elif self.totals is not None:
            estimate = bounded_estimate(self.totals, 0, 100)
            interval, stderr = estimate.interval, estimate.stderr or None
            how = f"{interval.method} over questions, linearised" if interval else f"no interval: {estimate.reason}"
        value, median = self.value, rules.pipeline == "current" and len(self.upstream) > 0
        printed, taken = (float(np.median(self.upstream)), "median") if median else (value, "")
        upstream = Resampled(printed, self.upstream, rules.pipeline, taken)
        controlled = {"both": "length and Markdown"}.get(rules.control, rules.control)
        table = "this model alone" if self.n_models == 1 else f"{self.n_models} models in one table"
        return rate_score(
            CONTROLLED_WINS,
            value,
            stderr,
            interval,
            f"Bradley–Terry controlled for {controlled}, {rules.pipeline} pipeline, {table}",
            how,
            instead=upstream if rules.upstream_compat else None,
            n=self.n,
            n_missing=total - self.n,
            group=group,
            details={**self.details, "upstream": upstream.details()},
        )


def control_style(
    tables: Mapping[str, Sequence[ExampleScore]], rules: Rules, *, upstream: bool, counter: TokenCounter | None = None
) -> dict[str, Controlled]:
    """Fit the style-controlled win rates of models in one table and category; return them by name.

    ``upstream`` adds its resampled battles, which take 20 times as long as all else. ``counter`` only explains itself.
    """
    known = {name: known_styles(scores, rules) for name, scores in tables.items()}
    found = {name: Controlled(None, reason=_why(tables[name], own, counter)) for name, own in known.items()}
    usable = {name: own for name, own in known.items() if own and whole_battles(own)}
    if not usable:
        return found
    battles = StyleBattles.of(list(usable.values()))
    fit, ridge = battles.fit_anyway(rules.pipeline, rules.control)
    rates, fought, zero = (
        win_rates(fit),
        battles.fought(),
        Zero.of(battles, OPTIONS[rules.pipeline], CONTROLS[rules.control]),
    )
    influence = battles.influence(fit, zero)
    shares = np.bincount(battles.model, battles.share, minlength=len(usable)) / fought.sum(axis=0)
    drawn = _upstream(fit) if upstream else {}
    names = [FEATURES[feature] for feature in CONTROLS[rules.control]]
    for place, name in enumerate(usable):
        rate, totals = rates[place], None
        settled = 100 * float(shares[place]) if shares[place] in (0, 1) else None
        if rate is not None and settled is None:
            column = int(np.searchsorted(fit.rated, place + 1)) - 1
            totals = linear_rate(rate, influence[:, column], fought[:, place], battles.questions)
        found[name] = Controlled(
            rate,
            n=len(usable[name]),
            battles=int(fought[:, place].sum()),
            n_models=len(usable),
            totals=totals,
            settled=settled,
            upstream=drawn.get(place + 1, np.zeros(0)),
            details={**fit_details(fit, zero, place, names), "ridge": ridge},
        )
    return found


def _upstream(fit: StyleControlled) -> dict[int, FloatArray]:
    """Return the win rates of resampled battles, as upstream draws them, by item."""
    drawn = bootstrap_style_controlled(fit, rng=np.random.default_rng(SEED), rounds=UPSTREAM_ROUNDS).ratings
    return {
        item: 100 * predicted_win_rate(drawn.ratings[:, column], drawn.ratings[:, 0])
        for column, item in enumerate(drawn.rated.tolist())
    }


def over_categories(found: Sequence[Controlled]) -> Controlled:
    """Return one category's number, or average several by their battles: each category has its own baseline."""
    valued = [one for one in found if one.value is not None]
    if len(valued) <= 1:
        return next(iter(valued or found), Controlled(None, reason="no question has a verdict"))
    share = np.array([one.battles for one in valued]) / sum(one.battles for one in valued)
    upstream = min(len(one.upstream) for one in valued)
    parts = [one.totals for one in valued if one.totals is not None]
    settled = {one.settled for one in valued}
    return Controlled(
        float(share @ [one.value for one in valued]),
        n=sum(one.n for one in valued),
        battles=sum(one.battles for one in valued),
        n_models=max(one.n_models for one in valued),
        totals=_together(parts, share) if len(parts) == len(valued) else None,
        settled=settled.pop() if len(settled) == 1 else None,
        upstream=share @ np.array([one.upstream[:upstream] for one in valued]),
    )


def _together(parts: Sequence[ClusterTotals], weights: FloatArray) -> ClusterTotals:
    return cluster_totals(
        np.concatenate([one.numerator[:, 0] for one in parts]),
        np.concatenate([one.denominator[:, 0] for one in parts]),
        clusters=np.concatenate([one.clusters for one in parts]),
        terms=np.repeat(np.arange(len(parts)), [one.n_clusters for one in parts]),
        term_weights=weights,
    )


def known_styles(scores: Sequence[ExampleScore], rules: Rules) -> list[ExampleScore]:
    """Return the scores with a verdict and all features that the control reads; the current one always reads length."""
    places = CONTROLS[rules.control] if rules.pipeline == "legacy" else {0, *CONTROLS[rules.control]}
    needed = [side + FEATURES[place] for side in SIDES for place in sorted(places)]
    of_score = itemgetter(*needed)
    return [score for score in scores if score.value is not None and None not in of_score(score.covariates)]


def _why(scores: Sequence[ExampleScore], known: Sequence[ExampleScore], counter: TokenCounter | None) -> str:
    """Say why a model has no number."""
    valued = [score for score in scores if score.value is not None]
    if not valued:
        return "no question has a verdict"
    if known:
        return "the battles are not whole ones, as where verdicts are a median or shares"
    for side, whose in zip(SIDES, ("model", "baseline"), strict=True):
        if any(number(score, side + "header_count") is None for score in valued):
            return f"the run holds judgements without the {whose}'s answers, so their style is unknown"
    cause = counter.reason if counter and counter.reason else "they could not be counted"
    return f"the answers' lengths in tokens are unknown: {cause}"
