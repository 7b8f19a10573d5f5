"""The paired permutation test for two runs on the same prompts.
The difference and its interval are in ``clustered``.

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
    pooled = (first.numerator + second.numerator).sum(axis=0) / (first.denominator + second.denominator).sum(axis=0)
    threshold = abs(value) - _NEAR * (abs(value) + float(np.abs(first.weights) @ np.abs(pooled)))
    if count <= _ENUMERATED:
        flipped = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
        swapped = _swapped(first, second, 1 - 2 * flipped.astype(float))
        return float((np.abs(swapped) >= threshold).mean()) if np.isfinite(swapped).all() else None
    extreme = 0
    for size in batches(rounds, count):
        swapped = _swapped(first, second, random_signs(size, count, rng))
        if not np.isfinite(swapped).all():
            return None
        extreme += int((np.abs(swapped) >= threshold).sum())
    return (extreme + 1) / (rounds + 1)


def random_signs(rounds: int, count: int, rng: np.random.Generator) -> FloatArray:
    """1.0 or -1.0 with equal odds, shape (rounds, count)."""
    bits = np.unpackbits(np.frombuffer(rng.bytes((rounds * count + 7) // 8), dtype=np.uint8), count=rounds * count)
    return 1 - 2 * bits.reshape(rounds, count).astype(float)


def _swapped(first: ClusterTotals, second: ClusterTotals, signs: FloatArray) -> FloatArray:
    """The difference after some clusters are swapped between the runs, shape (rounds,); NaN where there is none.

    ``signs``, shape (rounds, clusters), is 1 where a cluster is as it was.
    """
    pairs = (first.numerator, second.numerator), (first.denominator, second.denominator)
    # Swapping leaves the totals of both runs together alone and moves half of each cluster's difference.
    halves = [(one + other).sum(axis=0) / 2 for one, other in pairs]
    # Denominators are mostly those of both runs, and half of the work would add up zeros.
    moved = [signs @ ((one - other) / 2) if (one != other).any() else np.zeros((len(signs), 1)) for one, other in pairs]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = (halves[0] + moved[0]) / (halves[1] + moved[1]) - (halves[0] - moved[0]) / (halves[1] - moved[1])
    return np.asarray(ratios @ first.weights)
