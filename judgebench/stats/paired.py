"""Could chance have made the difference of two runs on the same prompts? The permutation test.

It is made from the differences within clusters, so what both runs share (hard prompts, an easy baseline) cancels out;
intervals of the two scores that overlap say nothing. The runs' statistics are ``clustered.ClusterTotals`` of any form:
means, IFEval's instruction level, WildBench's mixes. The level is right for every number of clusters, also with many
ties. The difference itself and its interval are ``clustered.clustered_estimate`` of ``clustered.difference``.

References
----------
Phipson, Smyth: Permutation p-values should never be zero. Statistical Applications in Genetics and Molecular Biology 9,
2010.
Canay, Romano, Shaikh: Randomization tests under an approximate symmetry assumption. Econometrica 85, 2017 (sign changes
of whole clusters).
"""

import numpy as np

from judgebench.stats.arrays import FloatArray
from judgebench.stats.clustered import ClusterTotals, difference
from judgebench.stats.intervals import batches

# Clusters up to which all assignments are tried: 4,096 of them.
_ENUMERATED = 12
# Statistics of permutations that are equal but for rounding.
_NEAR = 1e-9


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
    extreme = 0
    for size in batches(rounds, count):
        swapped = swap.differences(random_signs(size, count, rng))
        if not np.isfinite(swapped).all():
            return None
        extreme += int((np.abs(swapped) >= threshold).sum())
    return (extreme + 1) / (rounds + 1)


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
