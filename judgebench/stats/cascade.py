"""What a dear judge would say of all items: it judges a random part of them, and a cheap judge all.

With F the cheap judge's verdicts on all N items, and Y the dear one's on a simple random sample S of n of them, drawn
before any verdict is seen,

    value = w mean_N(F) + mean_S(Y - w F),    w = cov(F, Y) / var(F) on S, clipped to [0, 1]                    (1)
    stderr^2 = (1 - n / N) RSS / ((n - 2) n),    RSS = sum_S (r - mean r)^2,    r = Y - w F                     (2)
    interval: value +- t_(n-2) stderr                                                                           (3)

This is the regression estimator of survey sampling. Its target is the dear judge's mean *of these N items*; that of
:mod:`judgebench.stats.prediction_powered` is the mean of a population that the items came from, so that its intervals
are too wide here. The result estimates the dear judge's number: it is not that number.

Four corners
------------
(3) trusts a variance that is estimated from few verdicts, or from wins and losses that may all agree. There, z^2
made-up items, 3.84 for 95 %, are spread over the four corners (F, Y) of the square of the bounds before w and RSS, with
r's mean and variance over all T = n + z^2 of them:

    interval: w mean_N(F) + mean r +- z sqrt((1 - n / N) var(r) / T), within the bounds                         (4)

Made-up items move the centre. As n nears N the width vanishes, and the move does not: with 95 of 100 items judged and
3 % wins, (4) holds the truth in a tenth of the samples. Once more than half of the items are judged, only the share
1 - n / N of the move is made, that of the items not seen, and it holds the truth in nine tenths. The coverage of both
intervals is in ``benchmarks/README.md``.

What the cheap judge is worth
-----------------------------
``gain`` = var_S(Y) / (RSS / (n - 2)): n verdicts of the dear judge do the work of gain n without the cheap one. It is
about 1 / (1 - r^2), and 1 or a little less where the two judges agree no more than by chance.

References
----------
Cochran: Sampling Techniques, 3rd edition 1977, chapter 7 (regression estimator, finite populations).
Agresti, Coull: Approximate is better than "exact" for interval estimation of binomial proportions. The American
Statistician 52(2), 1998 (made-up observations).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from judgebench.stats.arrays import FloatArray, columns
from judgebench.stats.intervals import Interval, check_level

FEW = 100
"""Below so many verdicts of the dear judge the four corners are used for grades, too."""
_HALF = 0.5
# A spread of verdicts that is none.
_NO_SPREAD = 1e-12


@dataclass(frozen=True)
class CascadeMean:
    """The dear judge's mean over all items."""

    value: float | None
    """Equation (1), within the bounds; ``None`` without a verdict of the dear judge."""
    stderr: float | None
    """Root of (2); ``None`` with fewer than three verdicts, 0 if the dear judge judged all items."""
    interval: Interval | None
    weight: float | None
    """w of (1)."""
    n: int
    """Items that the dear judge judged."""
    population: int
    """N."""
    gain: float | None
    """``None`` with fewer than three verdicts, or if the cheap judge predicts them without error."""
    reason: str | None
    """Why a number is missing."""


def cascade_mean(
    dear: ArrayLike,
    cheap: ArrayLike,
    others: ArrayLike,
    *,
    low: float = 0.0,
    high: float = 1.0,
    corners: bool | None = None,
    level: float = 0.95,
) -> CascadeMean:
    """The dear judge's mean over N items, from verdicts of both judges on n of them and the cheap one's on the others.

    Parameters
    ----------
    dear, cheap
        Y and F of the same items, shape (n,), in one unit: share of the win or grade.
    others
        F of the items that the dear judge did not see, shape (N - n,).
    low, high
        The least and greatest possible verdict.
    corners
        Whether the interval is (4) instead of (3). By default where it has to be: with fewer than 100 verdicts of the
        dear judge, and where these are wins, losses and ties only.
    level
        Nominal coverage.

    Examples
    --------
    >>> cheap = [0.2, 0.9, 0.4, 0.7, 0.6, 0.1, 0.8, 0.5]
    >>> dear = [0.3, 0.8, 0.5, 0.7, 0.5, 0.2, 0.9, 0.4]
    >>> found = cascade_mean(dear, cheap, [0.3, 0.6, 0.9] * 20, corners=False)
    >>> f"{found.value:.2f} ({found.interval.low:.2f} to {found.interval.high:.2f}), worth {found.gain:.0f} times"
    '0.59 (0.52 to 0.67), worth 7 times'
    """
    mine, known = columns(dear, cheap)
    (rest,) = columns(others)
    _check(mine, known, rest, low, high, level)
    n, population = len(mine), len(mine) + len(rest)
    if not n:
        return CascadeMean(None, None, None, None, 0, population, None, "the dear judge judged no item")
    overall = float(np.concatenate([known, rest]).mean())
    weight = _weight(known, mine, np.ones(n))
    residual = mine - weight * known
    value = min(max(weight * overall + float(residual.mean()), low), high)
    unseen = 1 - n / population
    if not unseen:
        whole = Interval(value, value, level, "all items judged")
        return CascadeMean(value, 0.0, whole, weight, n, population, _gain(mine, residual), _few(n))
    wins = bool(np.isin(mine, (low, (low + high) / 2, high)).all())
    if corners or (corners is None and (n < FEW or wins)):
        interval: Interval | None = _four_corners(value, mine, known, overall, unseen, low, high, level)
    else:
        interval = _t_interval(value, residual, unseen, level)
    stderr = (unseen * float(np.square(residual - residual.mean()).sum()) / ((n - 2) * n)) ** 0.5 if n > 2 else None
    return CascadeMean(value, stderr, interval, weight, n, population, _gain(mine, residual), _few(n))


def required_dear(
    half_width: float, *, sd: float, gain: float, population: int, span: float | None = None, level: float = 0.95
) -> int:
    """How many of ``population`` items the dear judge must judge for an interval of plus or minus ``half_width``.

    ``sd`` is the standard deviation of its verdicts, in the unit of the half-width, and ``gain`` that of a
    :class:`CascadeMean`, from a pilot; 1 is for the dear judge alone. With ``span``, the range of a verdict, the
    interval is (4), as for wins and losses, else (3). At least 3, at most all.

    >>> [required_dear(3, sd=45, gain=gain, population=805) for gain in (1.0, 1.7, 3.2)]
    [418, 314, 205]
    >>> required_dear(5, sd=30, gain=2, population=805), required_dear(5, sd=30, gain=2, population=805, span=100)
    (66, 80)
    """
    from scipy.special import ndtri, stdtrit

    check_level(level)
    if not (half_width > 0 and sd >= 0 and gain > 0 and population > 0):
        raise ValueError("a half-width, a gain and a population are above 0, and a standard deviation is not below 0")
    n = np.arange(3, population)
    unseen, scatter = 1 - n / population, sd**2 / gain
    if span is None:
        half = stdtrit(n - 2, (1 + level) / 2) * np.sqrt(unseen * scatter / n)
    else:
        z = float(ndtri((1 + level) / 2))
        # The made-up items' own variance, with a weight as large as the correlation that the gain stands for.
        corners = span**2 / 4 * (1 + max(0.0, 1 - 1 / gain))
        half = z * np.sqrt(unseen * (n * scatter + z**2 * corners)) / (n + z**2)
    enough = np.flatnonzero(half <= half_width)
    return int(n[enough[0]]) if len(enough) else population


def _t_interval(value: float, residual: FloatArray, unseen: float, level: float) -> Interval | None:
    """Equation (3)."""
    from scipy.special import stdtrit

    n = len(residual)
    if n < 3:
        return None
    variance = unseen * float(residual.var()) / (n - 2)
    half = float(stdtrit(n - 2, (1 + level) / 2)) * variance**0.5
    return Interval.around(value, half, level, "cascade, t")


def _four_corners(
    value: float,
    dear: FloatArray,
    cheap: FloatArray,
    overall: float,
    unseen: float,
    low: float,
    high: float,
    level: float,
) -> Interval:
    """Equation (4); ``overall`` is the cheap judge's mean over all items, ``unseen`` 1 - n / N."""
    from scipy.special import ndtri

    z = float(ndtri((1 + level) / 2))
    mine, known = np.concatenate([dear, [low, low, high, high]]), np.concatenate([cheap, [low, high, low, high]])
    counts = np.concatenate([np.ones(len(dear)), np.full(4, z**2 / 4)])
    weight = _weight(known, mine, counts)
    residual = mine - weight * known
    mean = float(np.average(residual, weights=counts))
    variance = float(np.average(np.square(residual - mean), weights=counts)) / counts.sum()
    centre, half = weight * overall + mean, z * (unseen * variance) ** 0.5
    if unseen < _HALF:
        centre = value + unseen * (centre - value)
    return Interval(max(centre - half, low), min(centre + half, high), level, "cascade, four corners")


def _weight(cheap: FloatArray, dear: FloatArray, counts: FloatArray) -> float:
    """The weight of (1), each item standing for ``counts`` items; 0 if the cheap judge gives one verdict to all."""
    if np.ptp(cheap) <= _NO_SPREAD:
        return 0.0
    away = cheap - np.average(cheap, weights=counts)
    covariance = float(counts @ (away * (dear - np.average(dear, weights=counts))))
    return min(max(covariance / float(counts @ np.square(away)), 0.0), 1.0)


def _gain(dear: FloatArray, residual: FloatArray) -> float | None:
    n = len(dear)
    if n < 3 or np.ptp(residual) <= _NO_SPREAD:
        return None
    return float(dear.var(ddof=1) / (residual.var() * n / (n - 2)))


def _few(n: int) -> str | None:
    return "a standard error needs at least three verdicts of the dear judge" if n < 3 else None


def _check(dear: FloatArray, cheap: FloatArray, others: FloatArray, low: float, high: float, level: float) -> None:
    check_level(level)
    if not low < high:
        raise ValueError(f"low and high are the least and the greatest possible verdict; got {low} and {high}")
    if any(((side < low) | (side > high)).any() for side in (dear, cheap, others)):
        raise ValueError(f"some verdicts lie outside the bounds, {low:g} to {high:g}")
