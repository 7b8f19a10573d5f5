"""How well a benchmark tells items apart, and how well its order agrees with a reference such as human ratings.

Inputs are one score, interval or bootstrap mean and variance per item. Shares are 0 to 1 and over pairs of items;
``None`` where there is no pair to count.

References
----------
Li, Chiang, Frick, Dunlap, Wu, Zhu, Gonzalez, Stoica: From crowdsourced data to high-quality benchmarks: Arena-Hard and
BenchBuilder pipeline. arXiv:2406.11939, 2024, section 3.
lmarena/arena-hard-auto, parent of a06dde2: notebook/benchmark_statistics.ipynb.
"""

from dataclasses import dataclass
from math import erf, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judgebench.stats.arrays import FloatArray


@dataclass(frozen=True)
class Separability:
    """How many pairs of items a benchmark tells apart."""

    share: float | None
    """Pairs whose intervals do not overlap, of all."""
    overlapping: int
    pairs: int


@dataclass(frozen=True)
class Agreement:
    """Agreement with confidence: whether a benchmark orders the pairs that the reference tells apart."""

    half_credit: float | None
    """Mean over pairs of 1 (told apart, same order), 0.5 (not told apart) and 0 (told apart, other order)."""
    signed: float | None
    """Mean of +1, 0 and -1 instead: 2 * ``half_credit`` - 1."""
    pairs: int
    """Pairs that the reference tells apart; only they count."""
    skipped: int
    """Pairs whose intervals overlap in the reference."""


@dataclass(frozen=True)
class PairForecast:
    """How well a benchmark's scores, with their uncertainty, forecast which item of a pair the reference rates higher.

    Every forecast at 0.5 would have a Brier score of 0.25 and a log loss of 0.693.
    """

    brier: float | None
    """Mean squared error of the forecast, 0 at best."""
    log_loss: float | None
    """Forecasts are clipped to [eps, 1 - eps] with the machine's eps, so that a sure and wrong one costs 36."""
    pairs: int


def separability(low: ArrayLike, high: ArrayLike) -> Separability:
    """Share of pairs whose intervals do not overlap ("separability with confidence"). Arrays have shape (n,).

    With pairs ordered by lower bound, they overlap if the later one's lower bound is below the earlier one's upper
    bound: intervals that touch do not overlap. Upstream counts items with the same interval once; here all count.

    >>> separability([0, 2, 3, 6], [2, 4, 5, 7])  # only the second and third overlap
    Separability(share=0.8333333333333334, overlapping=1, pairs=6)
    """
    lows, highs = _intervals(low, high)
    order = np.argsort(lows, kind="stable")
    lows, highs, n = lows[order], highs[order], len(lows)
    below = np.searchsorted(lows, highs, side="left")
    overlapping = int(np.maximum(below - np.arange(1, n + 1), 0).sum())
    pairs = n * (n - 1) // 2
    return Separability(1 - overlapping / pairs if pairs else None, overlapping, pairs)


def paired_separability(draws: ArrayLike, level: float = 0.95) -> Separability:
    """Share of pairs whose *difference* keeps its sign in the central ``level`` of bootstrap draws, shape (rounds, n).

    Draws of one row must be of the same resampled examples for all items: then the difficulty of the examples cancels,
    and pairs are told apart whose intervals overlap. ``overlapping`` counts the pairs not told apart.

    >>> rng = np.random.default_rng(0)
    >>> examples = rng.normal(size=(500, 1))
    >>> draws = np.array([0.0, 0.3]) + examples + 0.1 * rng.normal(size=(500, 2))
    >>> paired_separability(draws).share
    1.0
    >>> low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    >>> separability(low, high).share
    0.0
    """
    table = np.asarray(draws, dtype=float)
    if table.ndim != 2 or not np.isfinite(table).all():
        raise ValueError(f"draws are finite numbers of shape (rounds, items); got shape {table.shape}")
    if not 0 < level < 1:
        raise ValueError(f"level is a share between 0 and 1, such as 0.95; got {level}")
    n = table.shape[1]
    pairs, apart = n * (n - 1) // 2, 0
    if not len(table) or not pairs:
        return Separability(None, 0, pairs)
    for item in range(n - 1):
        gaps = table[:, item + 1 :] - table[:, item, None]
        low, high = np.quantile(gaps, [(1 - level) / 2, (1 + level) / 2], axis=0)
        apart += int(((low > 0) | (high < 0)).sum())
    return Separability(apart / pairs, pairs - apart, pairs)


def strict_agreement(score: ArrayLike, reference: ArrayLike) -> float | None:
    """Share of pairs that score and reference, shape (n,), order alike; a tie in either does not agree.

    >>> strict_agreement([1, 2, 3], [1, 3, 2])
    0.6666666666666666
    """
    scores, references = _columns(score, reference)
    if len(scores) < 2:
        return None
    one, other = np.triu_indices(len(scores), 1)
    alike = (scores[one] - scores[other]) * (references[one] - references[other]) > 0
    return float(alike.mean())


def agreement_with_confidence(
    low: ArrayLike, high: ArrayLike, reference_low: ArrayLike, reference_high: ArrayLike
) -> Agreement:
    """Agreement on the pairs whose reference intervals do not overlap. Arrays have shape (n,), items in one order.

    The paper's text counts +1, 0 and -1, its code 1, 0.5 and 0: both are given.

    The reference tells all three pairs apart. The benchmark orders the first like it, does not tell the second apart,
    and orders the third the other way round:

    >>> agreement_with_confidence([0, 5, 2], [3, 6, 4], [0, 2, 4], [1, 3, 5])
    Agreement(half_credit=0.5, signed=0.0, pairs=3, skipped=0)
    """
    lows, highs = _intervals(low, high)
    reference_lows, reference_highs = _intervals(reference_low, reference_high)
    if len(lows) != len(reference_lows):
        raise ValueError(f"benchmark and reference rate the same items; got {len(lows)} and {len(reference_lows)}")
    order, reference = _pair_order(lows, highs), _pair_order(reference_lows, reference_highs)
    # 9 stands for an overlap. Intervals without width at one place do not overlap, and have order 0.
    told = reference != 9
    pairs, skipped = int(told.sum()), int((~told).sum())
    if not pairs:
        return Agreement(None, None, 0, skipped)
    credit = np.where(order[told] == 9, 0.0, order[told] * reference[told])
    signed = float(credit.mean())
    return Agreement((1 + signed) / 2, signed, pairs, skipped)


def pair_forecast(mean: ArrayLike, variance: ArrayLike, reference: ArrayLike) -> PairForecast:
    """Brier score and log loss of the forecasts P(a < b) = Phi((mean_b - mean_a) / sqrt(variance_a + variance_b)).

    ``mean`` and ``variance``, shape (n,), are those of an item's bootstrap scores; the label of a pair is 1 if
    ``reference`` is lower for a, the first of the two (ties in the reference thus count for a; upstream sorts items by
    name). If neither score varies the forecast is 0, 1, or 0.5 for equal means.

    One standard deviation ahead is a forecast of 0.841:

    >>> forecast = pair_forecast([1.0, 2.0], [0.5, 0.5], [1000, 1100])
    >>> round(forecast.brier, 4), round(forecast.log_loss, 4)
    (0.0252, 0.1728)
    """
    means, references = _columns(mean, reference)
    variances, _ = _columns(variance, reference)
    if (variances < 0).any():
        raise ValueError("variances cannot be negative")
    n = len(means)
    if n < 2:
        return PairForecast(None, None, 0)
    one, other = np.triu_indices(n, 1)
    gap, deviation = means[other] - means[one], np.sqrt(variances[one] + variances[other])
    # Where neither varies, any number is so many deviations away that the forecast is sure; the gap 0 stays 0.
    standardised = np.where(deviation > 0, gap / np.where(deviation > 0, deviation, 1), np.sign(gap) * 1e3)
    forecast = np.array([0.5 * (1 + erf(value / sqrt(2))) for value in standardised.tolist()])
    happened = references[one] < references[other]
    eps = float(np.finfo(float).eps)
    clipped = np.clip(forecast, eps, 1 - eps)
    losses = -np.where(happened, np.log(clipped), np.log(1 - clipped))
    return PairForecast(float(np.square(forecast - happened).mean()), float(losses.mean()), len(one))


def _pair_order(lows: FloatArray, highs: FloatArray) -> NDArray[np.int64]:
    """Per pair a < b of items: 1 if a's interval lies above b's, -1 below, 0 same place, 9 if they overlap."""
    one, other = np.triu_indices(len(lows), 1)
    overlap = np.minimum(highs[one], highs[other]) > np.maximum(lows[one], lows[other])
    # Of two intervals that do not overlap, the one whose bounds add up to more lies above.
    order = np.sign(lows[one] + highs[one] - lows[other] - highs[other])
    return np.where(overlap, 9, order).astype(np.int64)


def _intervals(low: ArrayLike, high: ArrayLike) -> tuple[FloatArray, FloatArray]:
    lows, highs = _columns(low, high)
    if (lows > highs).any():
        raise ValueError("the lower bound of an interval is not above its upper bound")
    return lows, highs


def _columns(first: ArrayLike, second: ArrayLike) -> tuple[FloatArray, FloatArray]:
    one, other = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if one.ndim != 1 or one.shape != other.shape:
        raise ValueError(f"there is one number per item in every column; got shapes {one.shape} and {other.shape}")
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise ValueError("numbers must be finite: leave out items that lack one")
    return one, other
