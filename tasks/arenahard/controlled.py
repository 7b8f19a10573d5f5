"""Win rates controlled for style: what they would be if the model's style differed from the baseline's by a constant.

Sources: lmarena/arena-hard-auto@196f6b8:``show_result.py``, ``utils/math_utils.py`` (current pipeline); the parent of
9a1d386:``utils_math.py`` (legacy). Fits are those of ``stats/style_control.py``, to their minimum.

All battles of a table are standardised together, so that a model's number depends on the other models of the table,
and the zero of each feature is the table's mean difference from the baseline. Alone in its table, as in a run, a model
has its own mean difference as zero.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Any

import numpy as np

from judgebench.records import ExampleScore, Score
from judgebench.stats.arrays import FloatArray, IntArray
from judgebench.stats.bradley_terry import ABOVE, BELOW, Anchor, predicted_win_rate
from judgebench.stats.clustered import ClusterTotals, bounded_estimate, cluster_totals
from judgebench.stats.style_control import (
    ARENA_HARD_CURRENT,
    ARENA_HARD_LEGACY,
    StyleControlled,
    bootstrap_style_controlled,
    clustered_influence,
    style_controlled,
    style_differences,
)

from .battles import COUNTS, SIDES, Rules, number, numbers, whole_battles
from .estimates import CONTROLLED_WINS, SEED, TASK, Resampled, one_sided, rate_score
from .judges import Pipeline
from .style import FEATURES, TokenCounter

UPSTREAM_ROUNDS = 100

CONTROLS = {"both": [0, 1, 2, 3], "length": [0], "markdown": [1, 2, 3]}
"""Features that each kind of control uses, as places in ``FEATURES``."""

OPTIONS = {"current": ARENA_HARD_CURRENT, "legacy": ARENA_HARD_LEGACY}
RIDGES = (0.0, 0.1, 1.0, 10.0)
"""Penalties on coefficients of style, tried in this order where a table has no finite fit."""


@dataclass(frozen=True)
class StyleBattles:
    """The single battles of some models against one baseline, in any order: shapes (battles,) and (battles, 4)."""

    n_models: int
    model: IntArray
    """Index of the model."""
    question: IntArray
    """Index of the question: its battles go together, whichever models fought them."""
    share: FloatArray
    """The model's share of the win: 0, 0.5 or 1."""
    style: FloatArray
    baseline_style: FloatArray
    questions: tuple[str, ...]

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

    def differences(self, pipeline: Pipeline, control: str) -> FloatArray:
        """Return the relative differences in the features controlled for."""
        table = style_differences(self.style, self.baseline_style, OPTIONS[pipeline].formula)
        return table[:, CONTROLS[control]]

    def fit(self, pipeline: Pipeline, control: str, *, ridge: float = 0.0) -> StyleControlled:
        """Fit as the published tables do, to the minimum. Item 0 is the baseline, item 1 + k model k.

        Where a feature sorts its few battles by outcome there is no minimum, which is a ``ValueError``; a ``ridge`` on
        the coefficients makes one.
        """
        return style_controlled(
            1 + self.model,
            np.zeros(len(self.model), dtype=np.int64),
            self.share,
            self.differences(pipeline, control),
            replace(OPTIONS[pipeline], l2=OPTIONS[pipeline].l2 or ridge),
            n_items=1 + self.n_models,
            anchor=Anchor(0, 1000.0),
        )

    def fit_anyway(self, pipeline: Pipeline, control: str) -> tuple[StyleControlled, float]:
        """Fit with the smallest of ``RIDGES`` that gives a minimum; return that ridge as well."""
        for ridge in RIDGES[:-1]:
            try:
                return self.fit(pipeline, control, ridge=ridge), ridge
            except ValueError:
                continue
        return self.fit(pipeline, control, ridge=RIDGES[-1]), RIDGES[-1]

    def fought(self) -> IntArray:
        """Count the battles of each model over each question: shape (questions, models)."""
        shape = len(self.questions), self.n_models
        cells = np.bincount(self.question * self.n_models + self.model, minlength=shape[0] * shape[1])
        return cells.reshape(shape)

    def influence(self, fit: StyleControlled, zero: "Zero") -> FloatArray:
        """Each question's part in the deviation of each rated model's logit against the baseline, shape (questions,
        rated models), whose columns sum to 0.

        It is that in the fit and, because the zero of the differences is their mean, the coefficients times the
        distance of its battles from that mean, over the number of all battles.
        """
        rated = len(fit.rated)
        # Item 0, the first of those rated, is the baseline.
        parameters = clustered_influence(fit, self.question)
        logits = parameters[:, 1:rated] - parameters[:, :1]
        moved = (zero.differences - zero.mean) @ zero.slopes(fit) / len(self.share)
        logits += np.bincount(self.question, moved, minlength=len(self.questions))[:, None]
        return np.asarray(logits - logits.mean(axis=0))


@dataclass(frozen=True)
class Zero:
    """The zero of the fit's standardised differences, and their unit."""

    differences: FloatArray
    """Of the features controlled for: shape (battles, features)."""
    mean: FloatArray
    spread: FloatArray

    @classmethod
    def of(cls, battles: StyleBattles, rules: Rules) -> "Zero":
        """Compute the zero as ``StyleBattles.fit`` standardises."""
        table = battles.differences(rules.pipeline, rules.control)
        degrees = min(OPTIONS[rules.pipeline].std_ddof, len(table) - 1)
        return cls(table, table.mean(axis=0), table.std(axis=0, ddof=degrees))

    def slopes(self, fit: StyleControlled) -> FloatArray:
        """What a difference of 1 adds to the logit, 0 for a feature without coefficient."""
        beta = np.array([coefficient or 0.0 for coefficient in fit.coefficients])
        return np.asarray(beta / np.where(self.spread > 0, self.spread, 1))


def win_rates(fit: StyleControlled) -> list[float | None]:
    """Return each model's win rate against the baseline in percent: 0 or 100 if it lost or won every battle.

    ``None`` where no battle tells.
    """
    base = fit.ratings[0]
    endless: dict[str | None, float] = {ABOVE: 100.0, BELOW: 0.0}
    return [
        endless.get(fit.unrated.get(item))
        if rating is None or base is None
        else float(100 * predicted_win_rate(rating, base))
        for item, rating in enumerate(fit.ratings[1:], 1)
    ]


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
    rates, fought, zero = win_rates(fit), battles.fought(), Zero.of(battles, rules)
    influence = battles.influence(fit, zero)
    shares = np.bincount(battles.model, battles.share, minlength=len(usable)) / fought.sum(axis=0)
    drawn = _upstream(fit) if upstream else {}
    for place, name in enumerate(usable):
        rate, totals = rates[place], None
        settled = 100 * float(shares[place]) if shares[place] in (0, 1) else None
        if rate is not None and settled is None:
            column = int(np.searchsorted(fit.rated, place + 1)) - 1
            totals = _linear(rate, influence[:, column], fought[:, place], battles.questions)
        found[name] = Controlled(
            rate,
            n=len(usable[name]),
            battles=int(fought[:, place].sum()),
            n_models=len(usable),
            totals=totals,
            settled=settled,
            upstream=drawn.get(place + 1, np.zeros(0)),
            details={**_details(fit, zero, place, rules), "ridge": ridge},
        )
    return found


def _linear(rate: float, influence: FloatArray, battles: IntArray, questions: Sequence[str]) -> ClusterTotals:
    """Write a rate in percent as a mean over battles whose questions have the given influence on its logit."""
    slope = rate * (100 - rate) / 100
    points = rate * battles + battles.sum() * slope * influence
    return cluster_totals(points, battles, clusters=questions)


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


def _details(fit: StyleControlled, zero: Zero, place: int, rules: Rules) -> dict[str, Any]:
    """Return the coefficients per standard deviation, and the win rate by the fit of two answers of equal style."""
    names = [FEATURES[feature] for feature in CONTROLS[rules.control]]
    found: dict[str, Any] = {
        "coefficients": dict(zip(names, fit.coefficients, strict=True)),
        "mean_differences": dict(zip(names, zero.mean.tolist(), strict=True)),
        "at_equal_style": None,
    }
    if 0 in fit.rated and place + 1 in fit.rated:
        base, own = (fit.strengths[int(np.searchsorted(fit.rated, item))] for item in (0, place + 1))
        logit = own - base - zero.slopes(fit) @ zero.mean
        found["at_equal_style"] = float(100 / (1 + np.exp(-logit)))
    return found
