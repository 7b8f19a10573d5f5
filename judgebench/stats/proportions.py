"""Intervals of shares: of counted successes, and of any score with bounds.

The usual value -/+ 1.96 standard errors fails near 0 and 1: with 80 prompts and a win rate of 0.03, one sample in
eleven has no win at all and an interval of no width. The score interval asks instead which true shares would make the
observed one no surprise, with the spread that *they* imply, and never leaves the bounds.

References
----------
Wilson: Probable inference, the law of succession, and statistical inference. Journal of the American Statistical
Association 22, 1927.
Brown, Cai, DasGupta: Interval estimation for a binomial proportion. Statistical Science 16, 2001.
Franco, Little, Louis, Slud: Comparative study of confidence intervals for proportions in complex sample surveys.
Journal of Survey Statistics and Methodology 7, 2019 (effective sample sizes).
"""

import numpy as np
from numpy.typing import ArrayLike

from judgebench.stats.intervals import Interval, check_level

ONE_CLUSTER = "there is only one cluster, and uncertainty is estimated from differences between clusters"
ALL_EQUAL = "all values are equal, so they show no spread"

_PRIOR_CLUSTERS, _PRIOR_ALONE = 0.4, 3.0


def share_interval(successes: int, n: int, *, level: float = 0.95) -> Interval | None:
    """Wilson's interval of a share of n independent trials; ``None`` without trials.

    It covers the level on average over shares.
    Rows that belong together (orders, turns, repeats) are not independent: see ``clustered.bounded_estimate``.

    Examples
    --------
    >>> share = share_interval(1, 805)
    >>> round(share.low, 5), round(share.high, 5)
    (0.00022, 0.007)
    """
    from scipy.special import ndtri

    if not 0 <= successes <= n:
        raise ValueError(f"successes lie between 0 and the number of trials; got {successes} of {n}")
    check_level(level)
    if n == 0:
        return None
    low, high = _wilson(successes / n, float(n), float(ndtri((1 + level) / 2)))
    return Interval(low, high, level, "wilson")


def score_interval(
    value: float,
    influence: ArrayLike,
    low: float = 0.0,
    high: float = 1.0,
    *,
    trials: float | None = None,
    level: float = 0.95,
) -> tuple[Interval | None, str | None]:
    """Wilson's interval for a mean of values between ``low`` and ``high``, or the reason why there is none.

    Parameters
    ----------
    value
        The mean, or any statistic that cannot leave the bounds.
    low, high
        The bounds.
    influence : (clusters,)
        Each cluster's part in its deviation, as of ``clustered.ClusterTotals.influence`` or from a jackknife. With G
        clusters the standard error is the root of G / (G - 1) * sum of squares.
    trials : optional
        How many independent trials the value would rest on if every cluster were wholly at one bound: G by default,
        fewer if they weigh unequally.
    level
        Nominal coverage.

    Notes
    -----
    With p the place of the value between the bounds and T the trials, the variance is r p (1 - p) / T. The effective
    sample size T / r is larger than T where values are seldom at a bound, smaller where rows differ in weight. Wilson's
    interval for that many trials is taken, with two corrections for few prompts and a value near a bound, where r is
    known badly and is too small just when the value is too extreme:

    * r is drawn towards that of clusters wholly at a bound, (k r + w max(r, 1)) / (k + w), where k = (sum l^2)^2 /
      sum l^4 is the number of clusters that carry the variance, l their influences, and w = 0.4 + 3 / k^5;
    * the quantile is Student's at 2 / variance(log m) degrees of freedom, m = p (1 - p) / stderr^2, at most G - 1.
      That variance is the sum of squares of (1 - 2 p) / (p (1 - p)) * l - (l^2 - mean l^2) / sum l^2.

    Neither changes anything for one trial per cluster, where p alone tells the spread. 0.4 and 3 were chosen in
    simulations (``benchmarks/coverage.py``). If all values are at one bound, r is 1.

    Examples
    --------
    >>> interval, reason = score_interval(0.2, [0.004] * 80 + [-0.004] * 80)
    >>> round(interval.low, 3), round(interval.high, 3)
    (0.118, 0.318)
    """
    from scipy.special import stdtrit

    if not low < high or not low - 1e-9 * (high - low) <= value <= high + 1e-9 * (high - low):
        raise ValueError(f"the value {value} does not lie between the bounds {low} and {high}")
    check_level(level)
    # Rounding may put a mean of values at a bound a little beside it.
    share = min(max((value - low) / (high - low), 0.0), 1.0)
    parts = np.asarray(influence, dtype=float) / (high - low)
    count, squares = len(parts), float(np.square(parts).sum())
    if count < 2:
        return None, ONE_CLUSTER
    variance, degrees = share * (1 - share), float(count - 1)
    effective = float(count) if trials is None else trials
    if variance > 1e-12:
        if squares < 1e-24:
            return None, ALL_EQUAL
        ratio = squares * count / (count - 1) * effective / variance
        carriers = squares**2 / float((parts**4).sum())
        prior = _PRIOR_CLUSTERS + _PRIOR_ALONE / carriers**5
        effective /= (carriers * ratio + prior * max(ratio, 1.0)) / (carriers + prior)
        relative = (1 - 2 * share) / variance * parts - (np.square(parts) - squares / count) / squares
        degrees = min(degrees, 2 / max(float(np.square(relative).sum()), 1e-12))
    ends = _wilson(share, effective, float(stdtrit(degrees, (1 + level) / 2)))
    return Interval(low + (high - low) * ends[0], low + (high - low) * ends[1], level, "clustered score"), None


def _wilson(share: float, n: float, quantile: float) -> tuple[float, float]:
    square = quantile**2
    centre = (share + square / (2 * n)) / (1 + square / n)
    half = quantile / (1 + square / n) * (share * (1 - share) / n + square / (4 * n**2)) ** 0.5
    # At 0 and 1 the exact bound is 0 or 1, which rounding misses.
    return (0.0 if share == 0 else max(centre - half, 0.0)), (1.0 if share == 1 else min(centre + half, 1.0))
