"""Two runs on the same prompts: is one better, by how much, and could chance have done it?

Everything is computed from the differences within clusters, so what both runs share (hard prompts, an easy baseline)
cancels out; intervals of the two scores that overlap say nothing. The runs' statistics are ``clustered.ClusterTotals``
of any form: means, IFEval's instruction level, WildBench's mixes.

Three p-values are given. They agree unless there are few clusters or few differences; which one a report quotes is
fixed beforehand, and here that is the permutation's: its level is right for every number of clusters, also with many
ties.

References
----------
Miller: Adding error bars to evals. arXiv 2411.00640, 2024.
Phipson, Smyth: Permutation p-values should never be zero. Statistical Applications in Genetics and Molecular Biology 9,
2010.
Canay, Romano, Shaikh: Randomization tests under an approximate symmetry assumption. Econometrica 85, 2017 (sign changes
of whole clusters).
McNemar: Note on the sampling error of the difference between correlated proportions. Psychometrika 12, 1947.
Fagerland, Lydersen, Laake: The McNemar test for binary matched-pairs data: mid-p and asymptotic are better than exact
conditional. BMC Medical Research Methodology 13, 2013.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from judgebench.stats.arrays import FloatArray
from judgebench.stats.clustered import (
    ClusterTotals,
    Estimate,
    bootstrap_replicates,
    clustered_estimate,
    difference,
    missing_reason,
)
from judgebench.stats.intervals import Interval, studentised_interval

# Signs held at once, 8 bytes each.
_TOGETHER = 2_000_000
# Clusters up to which all assignments are tried: 4,096 of them.
_ENUMERATED = 12
# Statistics of permutations that are equal but for rounding.
_NEAR = 1e-9


@dataclass(frozen=True)
class PairedComparison:
    """first - second, in the unit of the values."""

    first: float | None
    second: float | None
    difference: Estimate
    """With the clustered t interval."""
    p_t: float | None
    """Two-sided, as all p-values here: difference / stderr against Student's t with clusters - 1 degrees of freedom."""
    p_permutation: float | None
    """Of swapping the two runs' rows, cluster by cluster."""
    p_bootstrap: float | None
    """Of the studentised bootstrap."""
    bootstrap_interval: Interval | None
    """Its interval."""
    correlation: float | None
    """Of the two runs' influences; positive where pairing helps. ``None`` if one of them does not vary."""
    stderr_unpaired: float | None
    """What the standard error would be if the runs had different prompts."""


def paired_comparison(
    first: ClusterTotals,
    second: ClusterTotals,
    *,
    rng: np.random.Generator,
    rounds: int = 10_000,
    level: float = 0.95,
) -> PairedComparison:
    """Compare two statistics on the same clusters.

    Where a number cannot be given, ``difference.reason`` says why. If no cluster differs, the difference is 0, without
    interval, and the permutation p-value is 1.

    Examples
    --------
    >>> from judgebench.stats.clustered import cluster_totals
    >>> rng = np.random.default_rng(0)
    >>> skill = rng.random(200)
    >>> runs = [cluster_totals((skill + rng.normal(0, 0.3, 200) > bar).astype(float)) for bar in (0.4, 0.5)]
    >>> result = paired_comparison(*runs, rng=rng)
    >>> round(result.difference.value, 3), result.p_permutation < 0.05, result.p_t < 0.05
    (0.095, True, True)
    """
    both = difference(first, second)
    found = clustered_estimate(both, level=level)
    usable = missing_reason(both) is None
    p_t = p_bootstrap = interval = None
    if usable:
        p_t = _t_p_value(both)
        p_bootstrap, interval = bootstrap_p_value(both, rng=rng, rounds=rounds, level=level)
    return PairedComparison(
        first=first.value,
        second=second.value,
        difference=found,
        p_t=p_t,
        p_permutation=permutation_p_value(first, second, rng=rng, rounds=rounds),
        p_bootstrap=p_bootstrap,
        bootstrap_interval=interval,
        correlation=_correlation(first, second),
        stderr_unpaired=_unpaired(first, second),
    )


def permutation_p_value(
    first: ClusterTotals, second: ClusterTotals, *, rng: np.random.Generator, rounds: int = 10_000
) -> float | None:
    """How often swapping the runs at random, cluster by cluster, makes at least as large a difference.

    For means this is the sign-flip test of the clusters' differences. Up to 12 clusters every assignment is tried and
    the p-value is exact; beyond, ``rounds`` are drawn and the data themselves counted as one more, so that it is valid
    and never 0. ``None`` if a statistic has no value, or has none after some swap.

    Examples
    --------
    All five prompts prefer the first run, which happens in 2 of 32 assignments:

    >>> from judgebench.stats.clustered import cluster_totals
    >>> runs = [cluster_totals(values) for values in ([0.9, 0.8, 0.7, 0.9, 0.6], [0.5, 0.5, 0.4, 0.1, 0.2])]
    >>> permutation_p_value(*runs, rng=np.random.default_rng(0))
    0.0625
    """
    observed = difference(first, second)
    value, count = observed.value, observed.n_clusters
    if value is None:
        return None
    if first.numerator.shape != second.numerator.shape or not np.array_equal(first.weights, second.weights):
        raise ValueError("runs can only be swapped if their statistics have the same terms and weights")
    swap = _Swap(first, second)
    threshold = abs(value) - _NEAR * (abs(value) + swap.scale)
    if count <= _ENUMERATED:
        flipped = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
        swapped = swap.differences(1 - 2 * flipped.astype(float))
        return float((np.abs(swapped) >= threshold).mean()) if np.isfinite(swapped).all() else None
    extreme, together = 0, max(1, _TOGETHER // count)
    for begin in range(0, rounds, together):
        swapped = swap.differences(random_signs(min(together, rounds - begin), count, rng))
        if not np.isfinite(swapped).all():
            return None
        extreme += int((np.abs(swapped) >= threshold).sum())
    return (extreme + 1) / (rounds + 1)


def bootstrap_p_value(
    statistic: ClusterTotals,
    *,
    rng: np.random.Generator,
    rounds: int = 10_000,
    level: float = 0.95,
) -> tuple[float | None, Interval | None]:
    """Of the null hypothesis that the statistic is 0, and the studentised interval, from the same resamples.

    The p-value is the share of resamples whose |t*| = |replicate - value| / its standard error reaches |t| of the data,
    the data counted as one more; both are ``None`` where there is no interval. The interval has equal tails, the
    p-value is symmetric: near the level one may hold without the other.

    Examples
    --------
    >>> from judgebench.stats.clustered import cluster_totals
    >>> values = np.random.default_rng(0).normal(0.2, 1, 100)
    >>> p_value, interval = bootstrap_p_value(cluster_totals(values), rng=np.random.default_rng(1))
    >>> p_value < 0.05, interval.low > 0
    (True, True)
    """
    value, stderr = statistic.value, statistic.stderr
    if value is None or not stderr:
        return None, None
    drawn = bootstrap_replicates([statistic], rng=rng, rounds=rounds, stderrs=True)
    values, spreads = drawn.values[:, 0], drawn.stderrs[:, 0]
    interval, _ = studentised_interval(values, spreads, value, stderr, level)
    if interval is None:
        return None, None
    varies = spreads > 0
    reached = np.abs(values[varies] - value) >= spreads[varies] * abs(value) / stderr
    return float((reached.sum() + 1) / (varies.sum() + 1)), interval


@dataclass(frozen=True)
class McNemar:
    """Two runs that are right or wrong on each prompt."""

    both: int
    first_only: int
    second_only: int
    neither: int
    p_exact: float
    """Two-sided binomial test of the discordant prompts; conservative."""
    p_mid: float
    """With half of the observed table's probability; the one to quote."""
    chi2: float | None
    """(b - c)^2 / (b + c) of the discordant counts; ``None`` without any."""
    p_chi2: float | None
    """Its upper tail at one degree of freedom."""
    chi2_corrected: float | None
    """With Edwards' continuity correction, (max(|b - c| - 1, 0))^2 / (b + c)."""
    p_chi2_corrected: float | None


def mcnemar(first: ArrayLike, second: ArrayLike) -> McNemar:
    """McNemar's test of two runs' right and wrong answers, shape (n,), one row per prompt.

    Rows must be independent: with turns, orders or repeats use ``paired_comparison``.

    Examples
    --------
    >>> result = mcnemar([1, 1, 1, 1, 0, 0], [0, 0, 0, 1, 1, 0])
    >>> result.first_only, result.second_only, result.p_exact, result.p_mid
    (3, 1, 0.625, 0.375)
    """
    from scipy.special import bdtr, chdtrc

    one, other = np.asarray(first), np.asarray(second)
    if one.ndim != 1 or one.shape != other.shape or not (np.isin(one, (0, 1)) & np.isin(other, (0, 1))).all():
        raise ValueError(f"McNemar's test needs 0 or 1 per prompt and run, got shapes {one.shape} and {other.shape}")
    one, other = one.astype(bool), other.astype(bool)
    b, c = int((one & ~other).sum()), int((~one & other).sum())
    low, discordant = min(b, c), b + c
    below = float(bdtr(low, discordant, 0.5)) if discordant else 1.0
    point = below - (float(bdtr(low - 1, discordant, 0.5)) if low else 0.0)
    exact = min(1.0, 2 * below)
    chi2 = (b - c) ** 2 / discordant if discordant else None
    corrected = max(abs(b - c) - 1, 0) ** 2 / discordant if discordant else None
    return McNemar(
        both=int((one & other).sum()),
        first_only=b,
        second_only=c,
        neither=int((~one & ~other).sum()),
        p_exact=exact,
        p_mid=1.0 if b == c == 0 else min(1.0, 2 * below - point),
        chi2=chi2,
        p_chi2=None if chi2 is None else float(chdtrc(1, chi2)),
        chi2_corrected=corrected,
        p_chi2_corrected=None if corrected is None else float(chdtrc(1, corrected)),
    )


def random_signs(rounds: int, count: int, rng: np.random.Generator) -> FloatArray:
    """1.0 or -1.0 with equal odds, shape (rounds, count)."""
    bits = np.unpackbits(np.frombuffer(rng.bytes((rounds * count + 7) // 8), dtype=np.uint8), count=rounds * count)
    return 1 - 2 * bits.reshape(rounds, count).astype(float)


class _Swap:
    """The difference of two statistics after some clusters are swapped between them."""

    def __init__(self, first: ClusterTotals, second: ClusterTotals) -> None:
        self._weights = first.weights
        self._ratio = (first.numerator + second.numerator).sum(axis=0) / (first.denominator + second.denominator).sum(
            axis=0
        )
        # About the pooled ratio: swapping leaves the pooled totals alone and moves half the difference.
        residuals = [run.numerator - self._ratio * run.denominator for run in (first, second)]
        self._residual_sum = (residuals[0] + residuals[1]).sum(axis=0) / 2
        self._residual_half = (residuals[0] - residuals[1]) / 2
        self._total_sum = (first.denominator + second.denominator).sum(axis=0) / 2
        self._total_half = (first.denominator - second.denominator) / 2
        self._equal_totals = not self._total_half.any()
        self.scale = float(np.abs(self._weights) @ np.abs(self._ratio))

    def differences(self, signs: FloatArray) -> FloatArray:
        """Values (rounds,) for signs (rounds, clusters), 1 where a cluster is as it was; NaN where there is none."""
        moved = signs @ self._residual_half
        total = np.zeros(1) if self._equal_totals else signs @ self._total_half
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = (self._residual_sum + moved) / (self._total_sum + total)
            ratios -= (self._residual_sum - moved) / (self._total_sum - total)
        values: FloatArray = ratios @ self._weights
        return values


def _t_p_value(statistic: ClusterTotals) -> float:
    from scipy.special import stdtr

    assert statistic.value is not None
    assert statistic.stderr is not None
    return float(2 * stdtr(statistic.n_clusters - 1, -abs(statistic.value) / statistic.stderr))


def _correlation(first: ClusterTotals, second: ClusterTotals) -> float | None:
    if not first.stderr or not second.stderr:
        return None
    one, other = first.influence(), second.influence()
    return float(one @ other / np.sqrt((one @ one) * (other @ other)))


def _unpaired(first: ClusterTotals, second: ClusterTotals) -> float | None:
    if first.stderr is None or second.stderr is None:
        return None
    return float(np.hypot(first.stderr, second.stderr))
