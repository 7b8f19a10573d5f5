"""Scores over clusters: means, pooled ratios and mixes of category means, with standard errors and intervals.

Nearly every headline number here is a weighted sum of ratios of totals,

    value = sum_t w_t * (sum_i numerator_it / sum_i denominator_it)                                           (1)

with one term (a mean: the denominator is 1; a weighted mean; IFEval's share of instructions: followed over asked) or
several (WildBench: a term for each category and baseline; the difference of two runs: the terms of both). The rows i
are not independent: the two orders of a game, the turns of a conversation, the repeats of a prompt and its comparisons
with several baselines belong to one prompt, their cluster. ``cluster_totals`` sums rows to ``ClusterTotals``, which
is all that (1) and its standard error need.

Which interval
--------------
``benchmarks/coverage.py`` simulates data shaped like ours, with 80 to 1,024 prompts and win rates from 0.03 to 0.97;
benchmarks/README.md has the figures.

* A score with bounds (win rate, accuracy, grade from 1 to 10, reward from -1 to 1; mixes and pooled ratios of them):
  ``bounded_estimate``. It holds the truth in 93 to 97 % of samples in every setting.
* The difference of two runs: ``clustered_estimate``, in every setting. For a single score it is for what has no bounds,
  such as a length; near a bound it is too short.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judgebench.stats.arrays import FloatArray
from judgebench.stats.intervals import Interval, check_level
from judgebench.stats.proportions import ALL_EQUAL, ONE_CLUSTER, score_interval, share_interval

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
        """Say in words how the interval over such clusters was made, or why there is none."""
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
    def counted(self) -> NDArray[np.generic]:
        """The clusters with a part in the value: those that have a denominator other than 0."""
        return self.clusters[self.denominator.any(axis=1)]

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
    if not codes.size:
        codes = codes.astype(np.int64)  # an empty list has no type of its own
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
    # Most often each is there once, in order, and numpy would sort texts for nothing.
    ascending = names.dtype.kind in "Uiu" and bool((names[1:] > names[:-1]).all())
    known, place = (names, np.arange(len(names))) if ascending else np.unique(names, return_inverse=True)
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
        interval = Interval.around(value, half, level, "clustered t")
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


def missing_reason(statistic: ClusterTotals) -> str | None:
    """Why a statistic has no value, standard error or spread; ``None`` if it has all three.

    >>> missing_reason(cluster_totals([0.5, 0.5, 0.5]))
    'all values are equal, so they show no spread'
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

    check_level(level)
    return float(stdtrit(degrees, (1 + level) / 2))
