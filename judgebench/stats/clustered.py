"""Scores over clusters: means, pooled ratios and mixes of category means, with standard errors and intervals.

Nearly every headline number here is a weighted sum of ratios of totals,

    value = sum_t w_t * (sum_i numerator_it / sum_i denominator_it)                                           (1)

with one term (a mean: the denominator is 1; a weighted mean; IFEval's share of instructions: followed over asked) or
several (WildBench: a term for each category and baseline; the difference of two runs: the terms of both). The rows i
are not independent: the two orders of a game, the turns of a conversation, the repeats of a prompt and its comparisons
with several baselines belong to one prompt, their cluster. ``cluster_totals`` sums rows to ``ClusterTotals``, which
is all that (1), its standard error and its resamples need.

Which interval
--------------
``benchmarks/coverage.py`` simulates data shaped like ours, with 80 to 1,024 prompts and win rates from 0.03 to 0.97;
benchmarks/README.md has the figures.

* A score with bounds (win rate, accuracy, grade from 1 to 10, reward from -1 to 1; mixes and pooled ratios of them):
  ``bounded_estimate``. It holds the truth in 93 to 97 % of samples in every setting.
* The difference of two runs: ``clustered_estimate``, in every setting. For a single score it is for what has no bounds,
  such as a length; near a bound it is too short.
* ``bootstrap_estimates`` for statistics that are computed together, or to see the shape of the distribution. With 80
  prompts and 2 or 3 wins or losses, percentile and BCa intervals hold the truth in 85 to 90 % of samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judgebench.stats.arrays import FloatArray
from judgebench.stats.intervals import (
    Interval,
    bca_interval,
    percentile_interval,
    resample_counts,
    studentised_interval,
)
from judgebench.stats.proportions import ALL_EQUAL, ONE_CLUSTER, score_interval, share_interval

Resampling = Literal["percentile", "bca", "studentised"]

# Counts of resamples held at once: 16 bytes each while they are drawn.
_TOGETHER = 2_000_000
# A spread below this share of the values is rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Estimate:
    """A number with its uncertainty, in the unit of the values."""

    value: float | None
    """``None`` if there is nothing to compute it from."""
    stderr: float | None
    """``None`` with fewer than two clusters."""
    interval: Interval | None
    n: int
    """Rows."""
    n_clusters: int
    reason: str | None
    """Why one of the numbers is missing."""

    def how(self, over: str) -> str:
        """In words, how the interval over such clusters came about, or why there is none."""
        return f"interval: {self.interval.method} over {over}" if self.interval else f"no interval: {self.reason}"


@dataclass(frozen=True, eq=False)
class ClusterTotals:
    """A statistic of the form (1), as totals per cluster and term."""

    clusters: NDArray[np.generic]
    """Names of the clusters, ascending: shape (clusters,)."""
    numerator: FloatArray
    """Shape (clusters, terms)."""
    denominator: FloatArray
    weights: FloatArray
    """w of (1), shape (terms,)."""
    n: int
    """Rows."""

    @property
    def n_clusters(self) -> int:
        """Clusters that have a row."""
        return len(self.clusters)

    @property
    def value(self) -> float | None:
        """The statistic; ``None`` if a term has no rows, or rows of denominator 0."""
        total = self.denominator.sum(axis=0)
        if not self.n_clusters or not (total > 0).all():
            return None
        return float(self.weights @ (self.numerator.sum(axis=0) / total))

    def influence(self) -> FloatArray:
        """Each cluster's part in the deviation of the value, shape (clusters,), which sum to 0.

        l_c = sum_t w_t (numerator_ct - ratio_t * denominator_ct) / denominator_t, the linear part of (1).
        """
        total = self.denominator.sum(axis=0)
        ratio = self.numerator.sum(axis=0) / total
        linear: FloatArray = (self.numerator - ratio * self.denominator) @ (self.weights / total)
        return linear

    @property
    def trials(self) -> float:
        """The number of equally weighted clusters that would tell as much, were the rows of each cluster all equal."""
        share = (self.denominator / self.denominator.sum(axis=0)) @ np.abs(self.weights)
        return float(share.sum() ** 2 / np.square(share).sum())

    @property
    def stderr(self) -> float | None:
        """The sandwich standard error, sqrt(G / (G - 1) * sum of squared influences) for G clusters (CR1).

        With one row per cluster and one term it is sd / sqrt(n) with ddof 1. 0 where only rounding is left of it;
        ``None`` without a value or with fewer than two clusters.
        """
        count = self.n_clusters
        if self.value is None or count < 2:
            return None
        spread = float(np.sqrt(count / (count - 1) * np.square(self.influence()).sum()))
        scale = float(np.abs(self.weights) @ np.abs(self.numerator.sum(axis=0) / self.denominator.sum(axis=0)))
        return spread if spread > _ROUNDING * scale else 0.0


def cluster_totals(
    numerator: ArrayLike,
    denominator: ArrayLike | None = None,
    *,
    clusters: ArrayLike | None = None,
    terms: ArrayLike | None = None,
    term_weights: ArrayLike | None = None,
) -> ClusterTotals:
    """Sum rows to clusters and terms.

    Parameters
    ----------
    numerator : (n,)
        The values of a mean; the weighted values of a weighted one; the counts of a pooled ratio. Finite: a missing
        value is the caller's to leave out and count.
    denominator : (n,), optional
        Not negative: 1 for each row by default, the weights, or the counts that those of ``numerator`` are out of.
    clusters : (n,), optional
        Names or codes of what varies independently, usually the prompt. By default each row is its own.
    terms : (n,), optional
        Codes 0, 1, ... of the category (or category and baseline) that a row belongs to. A row in two categories is
        given twice, which is right as long as ``clusters`` says that it is the same prompt.
    term_weights : (terms,), optional
        w of (1); by default equal weights that sum to 1. Categories without rows are left out by the caller.

    Examples
    --------
    Two turns of two prompts, as a mean over turns; then a mix of 3/4 of the first turns' mean, 1/4 of the second ones':

    >>> turns = cluster_totals([8.0, 6.0, 9.0, 1.0], clusters=["a", "a", "b", "b"])
    >>> turns.value, round(turns.stderr, 3)
    (6.0, 1.0)
    >>> cluster_totals([8, 6, 9, 1], clusters=[0, 0, 1, 1], terms=[0, 1, 0, 1], term_weights=[0.75, 0.25]).value
    7.25
    """
    top = np.asarray(numerator, dtype=float)
    bottom = np.ones(top.shape) if denominator is None else np.asarray(denominator, dtype=float)
    names = np.arange(len(top)) if clusters is None else np.asarray(clusters)
    codes = np.zeros(top.shape, dtype=np.int64) if terms is None else np.asarray(terms)
    if top.ndim != 1 or any(column.shape != top.shape for column in (bottom, names, codes)):
        shapes = ", ".join(str(column.shape) for column in (top, bottom, names, codes))
        raise ValueError(f"numerator, denominator, clusters and terms have one entry per row, got shapes {shapes}")
    if not (np.isfinite(top).all() and np.isfinite(bottom).all()) or (bottom < 0).any():
        raise ValueError("numerators are finite, denominators also not negative: leave out and count missing rows")
    if codes.dtype.kind not in "iu" or codes.min(initial=0) < 0:
        raise ValueError(f"terms are codes 0, 1, ...; got values of type {codes.dtype}")
    n_terms = int(codes.max(initial=0)) + 1
    weights = np.full(n_terms, 1 / n_terms) if term_weights is None else np.asarray(term_weights, dtype=float)
    if weights.ndim != 1 or len(weights) < n_terms or not np.isfinite(weights).all():
        raise ValueError(f"term_weights are finite, one for each of {n_terms} terms; got shape {weights.shape}")
    known, place = np.unique(names, return_inverse=True)
    cell, shape = place * len(weights) + codes, (len(known), len(weights))
    size = shape[0] * shape[1]
    sums = [np.bincount(cell, column, minlength=size).astype(float).reshape(shape) for column in (top, bottom)]
    return ClusterTotals(known, sums[0], sums[1], weights, len(top))


def difference(first: ClusterTotals, second: ClusterTotals) -> ClusterTotals:
    """The difference of two statistics on the same clusters, itself of the form (1), so that covariance is respected.

    >>> runs = [cluster_totals(values) for values in ([1, 0, 1, 1], [0, 0, 1, 0])]
    >>> difference(*runs).value
    0.5
    """
    if not np.array_equal(first.clusters, second.clusters):
        missing = np.setxor1d(first.clusters, second.clusters)
        raise ValueError(f"a paired comparison needs the same clusters on both sides; {len(missing)} are on one only")
    return ClusterTotals(
        first.clusters,
        np.concatenate([first.numerator, second.numerator], axis=1),
        np.concatenate([first.denominator, second.denominator], axis=1),
        np.concatenate([first.weights, -second.weights]),
        first.n + second.n,
    )


def clustered_estimate(statistic: ClusterTotals, *, level: float = 0.95) -> Estimate:
    """The value, its sandwich standard error and value -/+ t * stderr, with clusters - 1 degrees of freedom.

    References
    ----------
    Liang, Zeger: Longitudinal data analysis using generalized linear models. Biometrika 73, 1986.
    Miller: Adding error bars to evals. arXiv 2411.00640, 2024.

    Examples
    --------
    >>> estimate = clustered_estimate(cluster_totals([3.0, 5.0, 4.0, 8.0]))
    >>> estimate.value, round(estimate.stderr, 3), round(estimate.interval.low, 3)
    (5.0, 1.08, 1.563)
    """
    value, stderr, reason = statistic.value, statistic.stderr, missing_reason(statistic)
    interval = None
    if value is not None and stderr:
        half = t_quantile(statistic.n_clusters - 1, level) * stderr
        interval = Interval(value - half, value + half, level, "clustered t")
    return Estimate(value, stderr, interval, statistic.n, statistic.n_clusters, reason)


def bounded_estimate(statistic: ClusterTotals, low: float = 0.0, high: float = 1.0, *, level: float = 0.95) -> Estimate:
    """The value with ``proportions.score_interval`` between ``low`` and ``high``, which no row should exceed.

    A mean of clusters that weigh the same and are each wholly at one bound is a share of independent trials, and has
    Wilson's own interval. All wins, or all losses, have an interval here, though no standard error above 0. Where rows
    exceed the bounds so far that the value does (a judge's rating off its scale), it is ``clustered_estimate``.

    Examples
    --------
    >>> estimate = bounded_estimate(cluster_totals([1.0] * 20))
    >>> estimate.stderr, round(estimate.interval.low, 3), estimate.interval.high
    (0.0, 0.839, 1.0)
    """
    value, stderr, reason = statistic.value, statistic.stderr, missing_reason(statistic)
    interval = None
    if value is not None and not low - _ROUNDING * (high - low) <= value <= high + _ROUNDING * (high - low):
        return clustered_estimate(statistic, level=level)
    if value is not None and stderr is not None:
        wins = _wins(statistic, low, high)
        if wins is None:
            about = statistic.influence()
            interval, reason = score_interval(value, about, low, high, trials=statistic.trials, level=level)
        else:
            share, reason = share_interval(wins, statistic.n_clusters, level=level), None
            assert share is not None
            width = high - low
            interval = Interval(low + width * share.low, low + width * share.high, level, share.method)
    return Estimate(value, stderr, interval, statistic.n, statistic.n_clusters, reason)


def _wins(statistic: ClusterTotals, low: float, high: float) -> int | None:
    """How many clusters are wholly at the upper bound; ``None`` unless all others are at the lower one."""
    if len(statistic.weights) > 1 or statistic.weights[0] != 1 or np.ptp(statistic.denominator):
        return None
    share = (statistic.numerator / statistic.denominator - low) / (high - low)
    won = np.abs(share - 1) < _ROUNDING
    return int(won.sum()) if (won | (np.abs(share) < _ROUNDING)).all() else None


@dataclass(frozen=True, eq=False)
class Replicates:
    """Statistics of resampled clusters, all on the very same resamples."""

    values: FloatArray
    """Shape (rounds, statistics). Resamples in which one of them had no value are left out."""
    stderrs: FloatArray
    """Their sandwich standard errors within each resample, same shape; (0, statistics) if not asked for."""


def bootstrap_replicates(
    statistics: Sequence[ClusterTotals], *, rng: np.random.Generator, rounds: int, stderrs: bool = False
) -> Replicates:
    """Resample clusters ``rounds`` times and compute every statistic on each resample.

    The statistics must be on the same clusters: several metrics, or several runs, whose differences are then paired.
    A resample is a row of counts and each total a matrix product; memory is bounded whatever rounds and clusters are,
    beyond 8 bytes per round and statistic.

    Examples
    --------
    >>> runs = [cluster_totals(values) for values in ([1, 0, 1, 1], [0, 0, 1, 0])]
    >>> bootstrap_replicates(runs, rng=np.random.default_rng(0), rounds=1000).values.shape
    (1000, 2)
    """
    if not statistics or any(not np.array_equal(s.clusters, statistics[0].clusters) for s in statistics):
        raise ValueError("statistics that are resampled together must be on the same clusters, and at least one")
    if rounds < 1 or any(statistic.value is None for statistic in statistics):
        raise ValueError("resampling needs at least one round, and statistics that have a value")
    columns = _Columns(statistics, stderrs)
    count, parts = statistics[0].n_clusters, []
    together = max(1, _TOGETHER // count)
    for begin in range(0, rounds, together):
        counts = resample_counts(count, min(together, rounds - begin), rng).astype(float)
        parts.append(columns.evaluate(counts))
    values, spreads = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    complete = np.isfinite(values).all(axis=1)
    return Replicates(values[complete], spreads[complete] if stderrs else spreads)


def bootstrap_estimates(
    statistics: Sequence[ClusterTotals],
    *,
    rng: np.random.Generator,
    rounds: int = 2000,
    level: float = 0.95,
    method: Resampling = "bca",
) -> tuple[Estimate, ...]:
    """Each statistic with an interval from resampled clusters, all on the same resamples.

    ``"percentile"`` is the simplest and the shortest, too short below some 100 clusters; ``"bca"`` corrects it for
    skewness; ``"studentised"`` resamples value / standard error. See the head of this module for which to prefer.
    The standard error is the sandwich one in all three.

    Examples
    --------
    >>> values = np.random.default_rng(0).random(100) < 0.2
    >>> (estimate,) = bootstrap_estimates([cluster_totals(values)], rng=np.random.default_rng(1))
    >>> round(estimate.value, 2), round(estimate.interval.low, 2), round(estimate.interval.high, 2)
    (0.19, 0.11, 0.26)
    """
    reasons = [missing_reason(statistic) for statistic in statistics]
    usable = [statistic for statistic, reason in zip(statistics, reasons, strict=True) if reason is None]
    found: list[tuple[Interval | None, str | None]] = []
    if usable:
        drawn = bootstrap_replicates(usable, rng=rng, rounds=rounds, stderrs=method == "studentised")
        left_out = rounds - len(drawn.values)
        for k, statistic in enumerate(usable):
            if left_out > (1 - level) / 2 * rounds:
                found.append((None, f"{left_out} of {rounds} resamples gave no number"))
            else:
                spreads = drawn.stderrs[:, k] if method == "studentised" else np.zeros(0)
                found.append(_interval(statistic, drawn.values[:, k], spreads, level, method))
    made = iter(found)
    estimates = []
    for statistic, reason in zip(statistics, reasons, strict=True):
        interval, why = next(made) if reason is None else (None, reason)
        estimates.append(Estimate(statistic.value, statistic.stderr, interval, statistic.n, statistic.n_clusters, why))
    return tuple(estimates)


def _interval(
    statistic: ClusterTotals, values: FloatArray, spreads: FloatArray, level: float, method: Resampling
) -> tuple[Interval | None, str | None]:
    value, stderr = statistic.value, statistic.stderr
    assert value is not None
    assert stderr is not None
    if method == "studentised":
        return studentised_interval(values, spreads, value, stderr, level)
    if method == "bca":
        return bca_interval(values, value, statistic.influence(), level)
    interval = percentile_interval(values, level)
    return interval, None if interval else "fewer than two resamples"


def missing_reason(statistic: ClusterTotals) -> str | None:
    """Why a statistic has no value, standard error or spread; ``None`` if it has all three.

    >>> missing_reason(cluster_totals([0.5, 0.5, 0.5]))
    'all values are equal, so their spread cannot be told from them'
    """
    if statistic.value is None:
        return "there are no values" if not statistic.n_clusters else "a term of the statistic has no values"
    if statistic.stderr is None:
        return ONE_CLUSTER
    return None if statistic.stderr else ALL_EQUAL


def t_quantile(degrees: int, level: float) -> float:
    """The quantile of Student's t that bounds its central ``level``.

    >>> round(t_quantile(10, 0.95), 4)
    2.2281
    """
    from scipy.special import stdtrit

    if not 0 < level < 1:
        raise ValueError(f"level is a share between 0 and 1, such as 0.95; got {level}")
    return float(stdtrit(degrees, (1 + level) / 2))


class _Columns:
    """What counts of clusters are multiplied with, for several statistics at once."""

    def __init__(self, statistics: Sequence[ClusterTotals], stderrs: bool) -> None:
        self._weights = [statistic.weights for statistic in statistics]
        ends = np.cumsum([len(weights) for weights in self._weights])
        self._terms = [slice(end - len(weights), end) for end, weights in zip(ends, self._weights, strict=True)]
        denominator = np.concatenate([statistic.denominator for statistic in statistics], axis=1)
        numerator = np.concatenate([statistic.numerator for statistic in statistics], axis=1)
        self._ratio = numerator.sum(axis=0) / denominator.sum(axis=0)
        # About the ratios, so that rounding stays small when values hardly differ.
        self._residual = numerator - self._ratio * denominator
        # Where all clusters weigh the same, a resample's total is known without a product: most metrics.
        self._varying = np.flatnonzero(np.ptp(denominator, axis=0) > 0)
        self._constant = denominator.sum(axis=0)
        self._denominator = np.ascontiguousarray(denominator[:, self._varying])
        self._products: list[FloatArray] = []
        if stderrs:
            for terms in self._terms:
                both = np.concatenate([self._residual[:, terms], denominator[:, terms]], axis=1)
                above, right = np.triu_indices(both.shape[1])
                self._products.append(both[:, above] * both[:, right])

    def evaluate(self, counts: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Values and standard errors of resamples given as counts (R, clusters); NaN where there is none."""
        total = np.repeat(self._constant[None], len(counts), axis=0)
        if len(self._varying):
            total[:, self._varying] = counts @ self._denominator
        deviation = counts @ self._residual
        with np.errstate(divide="ignore", invalid="ignore"):
            deviation /= total
        ratio = deviation + self._ratio
        values = np.stack([ratio[:, t] @ w for t, w in zip(self._terms, self._weights, strict=True)], axis=1)
        spreads = np.zeros((0, values.shape[1]))
        if self._products:
            columns = zip(self._terms, self._weights, self._products, strict=True)
            found = [self._spread(counts, total[:, t], deviation[:, t], w, products) for t, w, products in columns]
            spreads = np.stack(found, axis=1)
        return values, spreads

    @staticmethod
    def _spread(
        counts: FloatArray, total: FloatArray, deviation: FloatArray, weights: FloatArray, products: FloatArray
    ) -> FloatArray:
        """Sandwich standard errors, (R,): sum_c count_c (q . z_c)^2 with z_c a cluster's residuals and denominators."""
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = weights / total
            q = np.concatenate([scale, -scale * deviation], axis=1)
            above, right = np.triu_indices(q.shape[1])
            twice = np.where(above == right, 1.0, 2.0)
            squares = np.einsum("rk,rk->r", counts @ products, q[:, above] * q[:, right] * twice)
        # What is left by rounding where a resample has no spread, perhaps less than nothing.
        largest = np.max(squares, where=np.isfinite(squares), initial=0.0)
        squares = np.where(squares > _ROUNDING * largest, squares, 0.0)
        n_clusters = counts.shape[1]
        spread: FloatArray = np.sqrt(n_clusters / (n_clusters - 1) * squares)
        return spread
