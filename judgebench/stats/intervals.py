"""Bootstrap resampling and the intervals made from it.

Resamples are passed around as counts, an array of shape (rounds, n) that says how often each of the n examples was
drawn, so that several metrics can be evaluated on the very same resamples and a mean is one matrix product.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Interval:
    """A confidence interval and how it was made."""

    low: float
    high: float
    level: float
    """Nominal coverage, e.g. 0.95."""
    method: str


def interval_fields(interval: Interval | None) -> dict[str, Any]:
    """Bounds and level by name, each ``None`` without an interval: what a record takes over.

    >>> interval_fields(Interval(0.1, 0.4, 0.95, "wilson"))
    {'low': 0.1, 'high': 0.4, 'level': 0.95}
    """
    if interval is None:
        return {"low": None, "high": None, "level": None}
    return {"low": interval.low, "high": interval.high, "level": interval.level}


def resample_counts(n: int, rounds: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw ``rounds`` bootstrap resamples of ``n`` examples and count how often each example is in them.

    Each row of the result, shape (rounds, n), is a multinomial draw: it sums to n. Rows are drawn one after another
    from ``rng``, so drawing 1,000 at once equals drawing 2 x 500 (which bounds memory at 16 bytes x rounds x n).

    >>> resample_counts(4, 3, np.random.default_rng(0)).sum(axis=1)
    array([4, 4, 4])
    """
    if n < 1 or rounds < 1:
        raise ValueError(f"a bootstrap needs at least one example and one round, got n={n} and rounds={rounds}")
    drawn = rng.integers(n, size=(rounds, n))
    drawn += n * np.arange(rounds)[:, None]
    return np.bincount(drawn.ravel(), minlength=rounds * n).reshape(rounds, n)


def percentile_interval(
    replicates: ArrayLike, level: float = 0.95, method: str = "bootstrap percentile"
) -> Interval | None:
    """The central ``level`` share of bootstrap replicates, shape (rounds,); ``None`` with fewer than two of them.

    Quantiles interpolate linearly between order statistics (numpy's default, type 7 of Hyndman and Fan 1996).

    >>> percentile_interval(range(101), level=0.5)
    Interval(low=25.0, high=75.0, level=0.5, method='bootstrap percentile')
    """
    if not 0 < level < 1:
        raise ValueError(f"level is a share between 0 and 1, such as 0.95; got {level}")
    replicates = np.asarray(replicates, dtype=float)
    if not np.isfinite(replicates).all():
        raise ValueError("bootstrap replicates must be finite: leave out the resamples that gave no number")
    if replicates.size < 2:
        return None
    low, high = np.quantile(replicates, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level, method)


def bca_interval(
    replicates: ArrayLike, estimate: float, jackknife: ArrayLike, level: float = 0.95
) -> tuple[Interval | None, str | None]:
    """The bias-corrected and accelerated interval, or the reason why there is none.

    Parameters
    ----------
    replicates : (rounds,)
        The statistic of resamples.
    estimate
        The statistic of the data.
    jackknife : (n,)
        How far the statistic is above what it would be without each of the n resampled units; any common factor and any
        common shift cancel out, so influence values do as well.
    level
        Nominal coverage.

    Notes
    -----
    The percentiles are shifted by z0 = quantile of the share of replicates below the estimate (half of the equal ones
    counted) and by the acceleration a = sum u^3 / (6 (sum u^2)^1.5), u the centred jackknife values. There is none if
    all replicates lie on one side of the estimate, or if no unit changes it.

    References
    ----------
    Efron: Better bootstrap confidence intervals. Journal of the American Statistical Association 82, 1987.

    Examples
    --------
    >>> interval, reason = bca_interval(range(101), 60, [1.0, -1.0])
    >>> round(interval.low, 1), round(interval.high, 1), reason
    (7.2, 99.3, None)
    """
    from scipy.special import ndtr, ndtri

    drawn, influence = np.asarray(replicates, dtype=float), np.asarray(jackknife, dtype=float)
    if percentile_interval(drawn, level) is None:
        return None, "fewer than two resamples"
    share = float((drawn < estimate).mean() + (drawn <= estimate).mean()) / 2
    if not 0 < share < 1:
        return None, "all resamples lie on one side of the estimate"
    centred = influence - influence.mean()
    squares = float(np.square(centred).sum())
    if not squares > 0:
        return None, "no resampled unit changes the estimate"
    shift, acceleration = ndtri(share), float((centred**3).sum()) / (6 * squares**1.5)
    ends = shift + ndtri(np.array([(1 - level) / 2, (1 + level) / 2]))
    if not (acceleration * ends < 1).all():
        return None, "the acceleration is too large for this level"
    low, high = np.quantile(drawn, ndtr(shift + ends / (1 - acceleration * ends)))
    return Interval(float(low), float(high), level, "bootstrap BCa"), None


def studentised_interval(
    replicates: ArrayLike, stderrs: ArrayLike, estimate: float, stderr: float, level: float = 0.95
) -> tuple[Interval | None, str | None]:
    """The bootstrap-t interval, or the reason why there is none.

    ``replicates`` and ``stderrs``, shape (rounds,), are the statistic of each resample and its standard error there;
    with t = (replicate - estimate) / its standard error, the bounds are estimate - quantile(t) * stderr.
    Resamples without spread have no t. If there are more of them than lie beyond one bound, there is no interval.

    References
    ----------
    Efron, Tibshirani: An introduction to the bootstrap, chapter 12. Chapman and Hall, 1993.

    Examples
    --------
    >>> interval, reason = studentised_interval(np.arange(-50.0, 51), np.full(101, 10.0), 0.0, 2.0, level=0.5)
    >>> interval.low, interval.high
    (-5.0, 5.0)
    """
    drawn, spread = np.asarray(replicates, dtype=float), np.asarray(stderrs, dtype=float)
    varies = spread > 0
    without = int((~varies).sum())
    if without > (1 - level) / 2 * len(drawn):
        return None, f"{without} of {len(drawn)} resamples have no spread"
    interval = percentile_interval((drawn[varies] - estimate) / spread[varies], level, "bootstrap studentised")
    if interval is None:
        return None, "fewer than two resamples"
    low, high = estimate - stderr * interval.high, estimate - stderr * interval.low
    return Interval(low, high, level, interval.method), None
