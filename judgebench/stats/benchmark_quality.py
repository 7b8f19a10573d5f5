"""How well a benchmark ranks models: pairs that it tells apart, and whether people rank them likewise.

Inputs are one interval, or bootstrap draws, per item. Shares are shares of the pairs of items, 0 to 1, and ``None`` if
there is no pair.

References
----------
Li, Chiang, Frick, Dunlap, Wu, Zhu, Gonzalez, Stoica: From crowdsourced data to high-quality benchmarks: Arena-Hard and
BenchBuilder pipeline. arXiv:2406.11939, 2024, section 3.
Frick, Li, Chen, Chiang, Angelopoulos, Jiao, Zhu, Gonzalez, Stoica: How to evaluate reward models for RLHF.
arXiv:2410.14872, 2024 (preference proxy evaluations).
lmarena/arena-hard-auto, parent of a06dde2: notebook/benchmark_statistics.ipynb.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from judgebench.stats.arrays import FloatArray, columns
from judgebench.stats.correlation import coefficients
from judgebench.stats.intervals import Interval, check_level, percentile_interval, resample_counts


@dataclass(frozen=True)
class Separability:
    """How many pairs of items a benchmark tells apart."""

    share: float | None
    """Pairs whose intervals do not overlap, of all."""
    overlapping: int
    pairs: int


def separability(low: ArrayLike, high: ArrayLike) -> Separability:
    """Share of pairs whose intervals do not overlap ("separability with confidence"). Arrays have shape (n,).

    With pairs ordered by lower bound, they overlap if the later one's lower bound is below the earlier one's upper
    bound: intervals that touch do not overlap. Upstream counts items with the same interval once; here all count.

    >>> separability([0, 2, 3, 6], [2, 4, 5, 7])  # only the second and third overlap
    Separability(share=0.8333333333333334, overlapping=1, pairs=6)
    """
    lows, highs = columns(low, high)
    if (lows > highs).any():
        raise ValueError("the lower bound of an interval is not above its upper bound")
    order = np.argsort(lows, kind="stable")
    lows, highs, n = lows[order], highs[order], len(lows)
    below = np.searchsorted(lows, highs, side="left")
    overlapping = int(np.maximum(below - np.arange(1, n + 1), 0).sum())
    pairs = n * (n - 1) // 2
    return Separability(1 - overlapping / pairs if pairs else None, overlapping, pairs)


def paired_separability(draws: ArrayLike, level: float = 0.95) -> Separability:
    """Share of pairs whose *difference* keeps its sign in the central ``level`` of bootstrap draws, shape (rounds, n).

    Draws of one row must be of the same resampled examples for all items: then the difficulty of the examples cancels,
    and even pairs whose intervals overlap can be told apart. ``overlapping`` counts the pairs that are not.

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
    check_level(level)
    n = table.shape[1]
    pairs, apart = n * (n - 1) // 2, 0
    if not len(table) or not pairs:
        return Separability(None, 0, pairs)
    for item in range(n - 1):
        gaps = table[:, item + 1 :] - table[:, item, None]
        low, high = np.quantile(gaps, [(1 - level) / 2, (1 + level) / 2], axis=0)
        apart += int(((low > 0) | (high < 0)).sum())
    return Separability(apart / pairs, pairs - apart, pairs)


@dataclass(frozen=True)
class PairQuality:
    """A mean over the pairs of models, with an interval by resampling models."""

    value: float | None
    interval: Interval | None
    """``None`` below four models: there are too few to resample."""
    pairs: int
    models: int
    reason: str | None
    """Why a number is missing."""


def confident_agreement(
    low: ArrayLike,
    high: ArrayLike,
    human_low: ArrayLike,
    human_high: ArrayLike,
    *,
    rng: np.random.Generator | None = None,
) -> PairQuality:
    """Agreement with confidence of a benchmark and people, from one interval of each model on each side, shapes (n,).

    A pair counts 1 if the intervals of both sides do not overlap and rank it alike, -1 if they rank it differently, and
    0 if either side cannot tell it apart. With ``rng``, an interval over 1,000 resamples of models: the question is how
    the benchmark would do on other models.

    >>> confident_agreement([0, 2, 4], [1, 3, 5], [0, 2, 0.5], [1, 3, 4]).value  # one pair told apart by both, alike
    0.3333333333333333
    """
    sides = [columns(low, high), columns(human_low, human_high)]
    if sides[0][0].shape != sides[1][0].shape:
        raise ValueError(f"both sides rank the same models; got {len(sides[0][0])} and {len(sides[1][0])}")
    if any((lows > highs).any() for lows, highs in sides):
        raise ValueError("the lower bound of an interval is not above its upper bound")
    signs = [(lows[:, None] >= highs).astype(float) - (lows >= highs[:, None]).astype(float) for lows, highs in sides]
    return _over_pairs(signs[0] * signs[1], rng)


def pair_rank_brier(draws: ArrayLike, human: ArrayLike, *, rng: np.random.Generator | None = None) -> PairQuality:
    """Brier score of the benchmark's belief which of two models is better: 0 is best, 0.25 knows nothing.

    ``draws``, shape (rounds, n), are bootstrap draws of the benchmark's scores; the belief is the share of the rounds
    in which one model's is larger, equal ones half. ``human``, shape (n,), are people's scores; pairs that they rank
    equal are left out. With ``rng``, an interval over resampled models.

    >>> pair_rank_brier([[1, 2], [1, 3], [4, 2], [1, 2]], [10, 20]).value
    0.0625
    """
    table, truth = np.asarray(draws, dtype=float), np.asarray(human, dtype=float)
    if table.ndim != 2 or truth.shape != table.shape[1:] or not (np.isfinite(table).all() and np.isfinite(truth).all()):
        raise ValueError(
            f"draws are finite numbers of shape (rounds, models), people's scores of shape (models,); got shapes "
            f"{table.shape} and {truth.shape}"
        )
    n = table.shape[1]
    if not len(table):
        return PairQuality(None, None, 0, n, "there are no draws")
    belief = np.empty((n, n))
    for model in range(n):
        own = table[:, model, None]
        belief[model] = (own > table).mean(axis=0) + (own == table).mean(axis=0) / 2
    better = truth[:, None] > truth
    equal = truth[:, None] == truth
    return _over_pairs(np.where(equal, np.nan, np.square(belief - better)), rng)


def row_correlation(wins: ArrayLike, human_wins: ArrayLike) -> PairQuality:
    """Mean over models of the Pearson correlation of their win rates against the others, shapes (n, n).

    NaN is a pair that was never played; rows with fewer than three common entries, or constant ones, are left out.

    >>> human = [[0.5, 0.7, 0.9, 0.6], [0.3, 0.5, 0.8, 0.4], [0.1, 0.2, 0.5, 0.3], [0.4, 0.6, 0.7, 0.5]]
    >>> round(row_correlation(human, human).value, 6)
    1.0
    """
    one, other = np.asarray(wins, dtype=float), np.asarray(human_wins, dtype=float)
    if one.ndim != 2 or one.shape[0] != one.shape[1] or one.shape != other.shape:
        raise ValueError(f"win rates have shape (models, models); got shapes {one.shape} and {other.shape}")
    n = len(one)
    common = np.isfinite(one) & np.isfinite(other) & ~np.eye(n, dtype=bool)
    rows = [(one[row][common[row]], other[row][common[row]]) for row in range(n) if common[row].sum() >= 3]
    found = [float(coefficients(a[None], b[None], "pearson")[0]) for a, b in rows if np.ptp(a) > 0 and np.ptp(b) > 0]
    if not found:
        return PairQuality(None, None, 0, n, "no model has three opponents on both sides with different win rates")
    reason = "rows share their opponents, and no interval of their mean is known"
    return PairQuality(float(np.mean(found)), None, int(common.sum()) // 2, len(found), reason)


def _over_pairs(values: FloatArray, rng: np.random.Generator | None) -> PairQuality:
    """The mean of a symmetric table over pairs without NaN; resampled models meet only where they differ."""
    n = len(values)
    above = np.triu(np.ones((n, n), dtype=bool), 1) & ~np.isnan(values)
    pairs = int(above.sum())
    if not pairs:
        return PairQuality(None, None, 0, n, "there is no pair of models to rank")
    value = float(values[above].mean())
    if rng is None or n < 4:
        return PairQuality(value, None, pairs, n, "an interval needs four models" if rng is not None else None)
    filled, known = np.where(above, values, 0), above.astype(float)
    counts = resample_counts(n, 1000, rng).astype(float)
    top, bottom = (np.einsum("bi,ij,bj->b", counts, table, counts, optimize=True) for table in (filled, known))
    interval = percentile_interval(top[bottom > 0] / bottom[bottom > 0])
    return PairQuality(value, interval, pairs, n, None)
