"""Win rates controlled for style: what they would be if a model wrote as the baseline does, but for a constant.

Sources: lmarena/arena-hard-auto@196f6b8:``show_result.py``, ``utils/math_utils.py`` (current pipeline); the parent of
9a1d386:``utils_math.py`` (legacy). Fits are those of ``stats/style_control.py``, to their minimum.

All battles of a table are standardised together, so that a model's number depends on the other models of the table,
and the zero of each feature is the table's mean difference from the baseline. Alone in its table, as in a run, a model
has its own mean difference as zero.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from judgebench.records import ExampleScore, Score
from judgebench.stats.bradley_terry import ABOVE, BELOW, Anchor, predicted_win_rate
from judgebench.stats.intervals import percentile_interval, resample_counts
from judgebench.stats.style_control import (
    ARENA_HARD_CURRENT,
    ARENA_HARD_LEGACY,
    StyleControlled,
    bootstrap_style_controlled,
    style_controlled,
    style_differences,
)

from .battles import SIDES, Rules, number, whole_battles
from .estimates import LEVEL, SEED, TASK, FloatArray, IntArray, Upstream, absent, bounds, one_sided
from .judges import Pipeline
from .style import FEATURES, TokenCounter

METRIC = "win_rate_style_controlled"
ROUNDS_ALONE, ROUNDS_TOGETHER, UPSTREAM_ROUNDS = 400, 100, 100

CONTROLS = {"both": [0, 1, 2, 3], "length": [0], "markdown": [1, 2, 3]}
"""Features that each kind of control uses, as places in ``FEATURES``."""

OPTIONS = {"current": ARENA_HARD_CURRENT, "legacy": ARENA_HARD_LEGACY}
RIDGES = (0.0, 0.1, 1.0, 10.0)
"""Penalties on coefficients of style, tried in this order where a table, or a resample of it, has no finite fit."""


@dataclass(frozen=True)
class StyleBattles:
    """Single battles of some models against one baseline, in any order. Shapes (battles,) and (battles, 4)."""

    n_models: int
    model: IntArray
    """Index of the model."""
    question: IntArray
    """Index of the question: its battles are resampled together, whichever models fought them."""
    share: FloatArray
    """The model's share of the win: 0, 0.5 or 1."""
    style: FloatArray
    baseline_style: FloatArray

    @classmethod
    def of(cls, tables: Sequence[Sequence[ExampleScore]]) -> "StyleBattles":
        """The battles of each model's example scores; a feature that is not known counts as 0."""
        scores = [(model, score) for model, table in enumerate(tables) for score in table]
        questions = {score.example_id: 0 for _, score in scores}
        questions = {example_id: place for place, example_id in enumerate(sorted(questions))}
        counts = np.array([[number(s, name) or 0 for name in ("won", "tied", "lost")] for _, s in scores], dtype=int)
        battles = counts.sum(axis=1)
        style, baseline_style = (
            np.array([[number(score, side + name) or 0.0 for name in FEATURES] for _, score in scores])
            for side in SIDES
        )
        return cls(
            n_models=len(tables),
            model=np.repeat([model for model, _ in scores], battles),
            question=np.repeat([questions[score.example_id] for _, score in scores], battles),
            share=np.repeat(np.tile([1.0, 0.5, 0.0], len(scores)), counts.ravel()),
            style=np.repeat(style, battles, axis=0),
            baseline_style=np.repeat(baseline_style, battles, axis=0),
        )

    def differences(self, pipeline: Pipeline, control: str) -> FloatArray:
        """Relative differences in the features controlled for."""
        table = style_differences(self.style, self.baseline_style, OPTIONS[pipeline].formula)
        return table[:, CONTROLS[control]]

    def fit(self, pipeline: Pipeline, control: str, *, ridge: float = 0.0) -> StyleControlled:
        """The published tables' fit, to its minimum. Item 0 is the baseline, item 1 + k model k.

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
        """The fit with the smallest of ``RIDGES`` that has a minimum, and which that was."""
        for ridge in RIDGES[:-1]:
            try:
                return self.fit(pipeline, control, ridge=ridge), ridge
            except ValueError:
                continue
        return self.fit(pipeline, control, ridge=RIDGES[-1]), RIDGES[-1]

    def resampled(self, rounds: int, rules: Rules) -> FloatArray:
        """Win rates of resampled questions, refitted: shape (rounds, models), NaN where no battle tells."""
        last = int(self.question.max()) + 1
        rates = []
        for counts in resample_counts(last, rounds, np.random.default_rng(SEED)):
            rows = np.repeat(np.arange(len(self.share)), counts[self.question])
            drawn = StyleBattles(
                self.n_models,
                self.model[rows],
                self.question[rows],
                self.share[rows],
                self.style[rows],
                self.baseline_style[rows],
            )
            rates.append(win_rates(drawn.fit_anyway(rules.pipeline, rules.control)[0]))
        return np.array(rates, dtype=float)


def win_rates(fit: StyleControlled) -> list[float | None]:
    """Percent against the baseline per model; 0 or 100 where every battle was lost or won.

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
    replicates: FloatArray = field(default_factory=lambda: np.zeros(0))
    """Of resampled questions."""
    upstream: FloatArray = field(default_factory=lambda: np.zeros(0))
    """Of resampled battles."""
    reason: str = "no battle tells"
    details: dict[str, Any] = field(default_factory=dict)

    def score(self, group: str | None, total: int, rules: Rules) -> Score:
        """With our interval, or upstream's estimate and interval if they were asked for."""
        if self.value is None:
            return absent(METRIC, total, self.reason, group)
        how = f"bootstrap percentile over questions, {len(self.replicates)} rounds, refitted"
        interval = percentile_interval(self.replicates, LEVEL, how)
        stderr = float(self.replicates.std(ddof=1)) if interval else None
        if self.value in (0.0, 100.0):
            stderr, interval = None, one_sided(self.value, self.n)
        value, median = self.value, rules.pipeline == "current" and len(self.upstream) > 0
        upstream = Upstream(float(np.median(self.upstream)) if median else value, self.upstream, rules.pipeline)
        if rules.upstream_compat and upstream.interval is not None:
            value, interval, stderr = upstream.estimate, upstream.interval, None
        controlled = {"both": "length and Markdown"}.get(rules.control, rules.control)
        table = "this model alone" if self.n_models == 1 else f"{self.n_models} models in one table"
        return Score(
            task=TASK,
            metric=METRIC,
            value=value,
            unit="percent",
            stderr=stderr,
            **bounds(interval),
            method=f"Bradley–Terry controlled for {controlled}, {rules.pipeline} pipeline, {table}; "
            + (interval.method if interval else "too few questions for an interval"),
            n=self.n,
            n_missing=total - self.n,
            group=group,
            details={**self.details, "upstream": upstream.details()},
        )


def control_style(
    tables: Mapping[str, Sequence[ExampleScore]], rules: Rules, counter: TokenCounter | None
) -> dict[str, Controlled]:
    """Style-controlled win rates of models in one table and category, by name. ``counter`` only explains itself."""
    known = {name: known_styles(scores, rules) for name, scores in tables.items()}
    found = {name: Controlled(None, reason=_why(tables[name], own, counter)) for name, own in known.items()}
    usable = {name: own for name, own in known.items() if own and whole_battles(own)}
    if not usable:
        return found
    battles = StyleBattles.of(list(usable.values()))
    fit, ridge = battles.fit_anyway(rules.pipeline, rules.control)
    rates = win_rates(fit)
    alone = len(usable) == 1
    settled = alone and rates[0] in (None, 0.0, 100.0)
    resampled = None if settled else battles.resampled(ROUNDS_ALONE if alone else ROUNDS_TOGETHER, rules)
    drawn = (
        None
        if settled
        else bootstrap_style_controlled(fit, rng=np.random.default_rng(SEED), rounds=UPSTREAM_ROUNDS).ratings
    )
    for place, name in enumerate(usable):
        replicates, upstream = np.zeros(0), np.zeros(0)
        if resampled is not None and drawn is not None and place + 1 in drawn.rated:
            replicates = resampled[np.isfinite(resampled[:, place]), place]
            column = int(np.searchsorted(drawn.rated, place + 1))
            upstream = 100 * predicted_win_rate(drawn.ratings[:, column], drawn.ratings[:, 0])
        found[name] = Controlled(
            rates[place],
            n=len(usable[name]),
            battles=int((battles.model == place).sum()),
            n_models=len(usable),
            replicates=replicates,
            upstream=upstream,
            details={**_details(fit, battles, place, rules), "ridge": ridge},
        )
    return found


def over_categories(found: Sequence[Controlled]) -> Controlled:
    """One category's number, or the mean of several weighted with their battles: each has a baseline of its own."""
    valued = [one for one in found if one.value is not None]
    if len(valued) <= 1:
        return next(iter(valued or found), Controlled(None, reason="no question has a verdict"))
    share = np.array([one.battles for one in valued]) / sum(one.battles for one in valued)
    rounds = min(len(one.replicates) for one in valued)
    upstream = min(len(one.upstream) for one in valued)
    return Controlled(
        float(share @ [one.value for one in valued]),
        n=sum(one.n for one in valued),
        n_models=max(one.n_models for one in valued),
        replicates=share @ np.array([one.replicates[:rounds] for one in valued]),
        upstream=share @ np.array([one.upstream[:upstream] for one in valued]),
    )


def known_styles(scores: Sequence[ExampleScore], rules: Rules) -> list[ExampleScore]:
    """Those with a verdict and all features that the control reads: the current pipeline always relates to length."""
    places = CONTROLS[rules.control] if rules.pipeline == "legacy" else {0, *CONTROLS[rules.control]}
    needed = [side + FEATURES[place] for side in SIDES for place in sorted(places)]
    return [s for s in scores if s.value is not None and all(number(s, name) is not None for name in needed)]


def _why(scores: Sequence[ExampleScore], known: Sequence[ExampleScore], counter: TokenCounter | None) -> str:
    """The reason why a model has no number, if it has none."""
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


def _details(fit: StyleControlled, battles: StyleBattles, place: int, rules: Rules) -> dict[str, Any]:
    """Coefficients per standard deviation, and the win rate that the same fit gives two answers of equal style."""
    differences = battles.differences(rules.pipeline, rules.control)
    mean, spread = (
        differences.mean(axis=0),
        differences.std(axis=0, ddof=min(fit.options.std_ddof, len(differences) - 1)),
    )
    names = [FEATURES[feature] for feature in CONTROLS[rules.control]]
    found: dict[str, Any] = {
        "coefficients": dict(zip(names, fit.coefficients, strict=True)),
        "mean_differences": dict(zip(names, mean.tolist(), strict=True)),
        "at_equal_style": None,
    }
    if 0 in fit.rated and place + 1 in fit.rated:
        beta = np.array([coefficient or 0.0 for coefficient in fit.coefficients])
        base, own = (fit.strengths[int(np.searchsorted(fit.rated, item))] for item in (0, place + 1))
        logit = own - base - (beta * mean / np.where(spread > 0, spread, 1)).sum()
        found["at_equal_style"] = float(100 / (1 + np.exp(-logit)))
    return found
