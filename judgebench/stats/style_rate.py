"""Win rates against one baseline, controlled for style as Arena-Hard controls them.

The rate is what it would be if the model's style differed from the baseline's by the mean difference of all battles:
the zero of (1) in ``style_control``, whose models are the baseline, item 0, and those that fought it. A model alone in
its table has its own mean difference as zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from judgebench.stats.arrays import FloatArray, IntArray
from judgebench.stats.bradley_terry import ABOVE, BELOW, Anchor, predicted_win_rate
from judgebench.stats.clustered import ClusterTotals, cluster_totals
from judgebench.stats.style_control import (
    ARENA_HARD_CURRENT,
    StyleControlled,
    StyleOptions,
    clustered_influence,
    style_controlled,
    style_differences,
)

RIDGES = (0.0, 0.1, 1.0, 10.0)
"""Penalties on coefficients of style, tried in this order where a table has no finite fit."""


@dataclass(frozen=True)
class BaselineBattles:
    """The single battles of some models against one baseline, in any order: shapes (battles,) and (battles, features).

    The length is the first feature.
    """

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

    def differences_in(self, options: StyleOptions, columns: Sequence[int]) -> FloatArray:
        """Return the relative differences in the features controlled for."""
        return style_differences(self.style, self.baseline_style, options.formula)[:, list(columns)]

    def fit_with(self, options: StyleOptions, columns: Sequence[int], *, ridge: float = 0.0) -> StyleControlled:
        """Fit to the minimum. Item 0 is the baseline, item 1 + k model k.

        Where a feature sorts its few battles by outcome there is no minimum, which is a ``ValueError``; a ``ridge`` on
        the coefficients makes one.
        """
        return style_controlled(
            1 + self.model,
            np.zeros(len(self.model), dtype=np.int64),
            self.share,
            self.differences_in(options, columns),
            replace(options, l2=options.l2 or ridge),
            n_items=1 + self.n_models,
            anchor=Anchor(0, 1000.0),
        )

    def fit_anyhow(self, options: StyleOptions, columns: Sequence[int]) -> tuple[StyleControlled, float]:
        """Fit with the smallest of ``RIDGES`` that gives a minimum; return that ridge as well."""
        for ridge in RIDGES[:-1]:
            try:
                return self.fit_with(options, columns, ridge=ridge), ridge
            except ValueError:
                continue
        return self.fit_with(options, columns, ridge=RIDGES[-1]), RIDGES[-1]

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
    def of(cls, battles: BaselineBattles, options: StyleOptions, columns: Sequence[int]) -> "Zero":
        """Compute the zero as the fit standardises."""
        table = battles.differences_in(options, columns)
        degrees = min(options.std_ddof, len(table) - 1)
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


def fit_details(fit: StyleControlled, zero: Zero, place: int, names: Sequence[str]) -> dict[str, Any]:
    """Return the coefficients per standard deviation, and the win rate by the fit of two answers of equal style."""
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


def linear_rate(rate: float, influence: FloatArray, battles: IntArray, questions: Sequence[str]) -> ClusterTotals:
    """Write a rate in percent as a mean over battles whose questions have the given influence on its logit."""
    slope = rate * (100 - rate) / 100
    points = rate * battles + battles.sum() * slope * influence
    return cluster_totals(points, battles, clusters=questions)


@dataclass(frozen=True)
class StyleRate:
    """One model's style-controlled win rate."""

    value: float | None
    """In percent; ``None`` where no battle tells."""
    totals: ClusterTotals | None
    """The value, linearised: what each question adds to it. ``None`` without value, or if ``settled``."""
    settled: float | None
    """0 or 100 where every battle was lost or won."""
    details: dict[str, Any] = field(default_factory=dict)


def style_rate(
    share: Sequence[float],
    style: FloatArray,
    baseline_style: FloatArray,
    questions: Sequence[Any],
    names: Sequence[str],
    columns: Sequence[int],
    options: StyleOptions = ARENA_HARD_CURRENT,
) -> StyleRate:
    """The style-controlled win rate of a model alone in its table.

    Parameters
    ----------
    share : (battles,)
        1, 0.5 or 0: the model won, tied or lost.
    style, baseline_style : (battles, features)
        Counts of both answers, the length first.
    questions : (battles,)
        What the battles are about; those of one question go together.
    names, columns
        The features' names, and the places of those that are controlled for.
    options
        How differences are made relative, standardised and penalised.

    Examples
    --------
    The longer answer wins three times of four, whosever it is, and the model's are longer as often as not:

    >>> longer, shorter = [[300.0, 0.0]], [[100.0, 0.0]]
    >>> rate = style_rate([1, 1, 1, 0] * 20 + [0, 0, 0, 1] * 20, np.array(longer * 80 + shorter * 80),
    ...                   np.array(shorter * 80 + longer * 80), range(160), ("length", "bold"), (0, 1))
    >>> round(rate.value), round(rate.details["coefficients"]["length"], 1)
    (50, 1.1)
    """
    known, place = np.unique(np.asarray(questions), return_inverse=True)
    battles = BaselineBattles(
        n_models=1,
        model=np.zeros(len(share), dtype=np.int64),
        question=place,
        share=np.asarray(share, dtype=float),
        style=style,
        baseline_style=baseline_style,
        questions=tuple(known.tolist()),
    )
    fit, ridge = battles.fit_anyhow(options, columns)
    zero, (rate,), mean = Zero.of(battles, options, columns), win_rates(fit), float(battles.share.mean())
    details = {**fit_details(fit, zero, 0, [names[column] for column in columns]), "ridge": ridge}
    settled, totals = 100 * mean if mean in (0, 1) else None, None
    if rate is not None and settled is None:
        influence = battles.influence(fit, zero)
        column = int(np.searchsorted(fit.rated, 1)) - 1
        totals = linear_rate(rate, influence[:, column], battles.fought()[:, 0], battles.questions)
    return StyleRate(rate, totals, settled, details)
