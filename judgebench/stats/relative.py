"""Ratios of two runs, and relative gains such as "28.6 % better", with intervals.

A ratio has an interval only if its denominator is away from 0. Fieller's interval holds every ratio rho for which the
t-test of first - rho * second = 0 does not reject; where the denominator itself is not significantly different from 0
these are all ratios beyond some bound, or all there are, and no interval is given.

References
----------
Fieller: Some problems in interval estimation. Journal of the Royal Statistical Society B 16, 1954.
Franz: Ratios: a short guide to confidence limits and proper use. arXiv 0710.2024, 2007.
"""

from dataclasses import dataclass

import numpy as np

from judgebench.stats.clustered import ClusterTotals, missing_reason, t_quantile
from judgebench.stats.intervals import Interval


@dataclass(frozen=True)
class Ratio:
    """first / second, and by how much first is above second."""

    ratio: float | None
    interval: Interval | None
    reason: str | None
    """Why a number is missing."""

    @property
    def gain(self) -> float | None:
        """Relative gain in percent: 100 * (ratio - 1)."""
        return None if self.ratio is None else 100 * (self.ratio - 1)

    @property
    def gain_interval(self) -> Interval | None:
        """Its interval."""
        own = self.interval
        return own and Interval(100 * (own.low - 1), 100 * (own.high - 1), own.level, own.method)


def paired_ratio(first: ClusterTotals, second: ClusterTotals, *, level: float = 0.95) -> Ratio:
    """The ratio of two statistics on the same clusters with Fieller's interval, clusters - 1 degrees of freedom.

    Covariance is respected: two runs that find the same prompts hard have a ratio known better than either score. The
    values must be on a scale with a true zero; a relative gain of rewards between -1 and 1 means nothing.

    Examples
    --------
    >>> from judgebench.stats.clustered import cluster_totals
    >>> second = np.random.default_rng(0).random(300)
    >>> result = paired_ratio(cluster_totals(1.286 * second), cluster_totals(second + 0.0))
    >>> round(result.gain, 1)
    28.6
    >>> paired_ratio(cluster_totals([1.0, 2.0, 3.0]), cluster_totals([-1.0, 0.0, 1.5])).reason
    'the denominator is not significantly different from 0, so the ratio may have any size'
    """
    if not np.array_equal(first.clusters, second.clusters):
        raise ValueError("a ratio of two runs needs the same clusters on both sides")
    top, bottom = first.value, second.value
    if top is None or bottom is None:
        return Ratio(None, None, missing_reason(first if top is None else second))
    if bottom == 0:
        return Ratio(None, None, "the denominator is 0")
    ratio, count = top / bottom, first.n_clusters
    if count < 2:
        return Ratio(ratio, None, missing_reason(first))
    one, other = first.influence(), second.influence()
    factor = count / (count - 1)
    var_top, var_bottom, covariance = (factor * float(a @ b) for a, b in ((one, one), (other, other), (one, other)))
    square = t_quantile(count - 1, level) ** 2
    # Of a rho^2 - 2 b rho + c <= 0.
    a, b, c = bottom**2 - square * var_bottom, top * bottom - square * covariance, top**2 - square * var_top
    if a <= 0:
        why = "the denominator is not significantly different from 0, so the ratio may have any size"
        return Ratio(ratio, None, why)
    if not first.stderr and not second.stderr:
        return Ratio(ratio, None, missing_reason(first))
    half = max(b**2 - a * c, 0.0) ** 0.5
    return Ratio(ratio, Interval((b - half) / a, (b + half) / a, level, "Fieller"), None)
