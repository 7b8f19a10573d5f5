"""How two models' values differ where both answers are equally long.

Of each item the change y_i from one model's value to the other's and the logarithm x_i of the ratio of their answers'
lengths are known. A straight line through the items whose lengths differ less than twofold,

    y_i = a + b x_i,

has the difference at equal lengths as its intercept a. Items farther away are left out: what happens at twenty times
the length says little about equal ones, and a line through all of them is bent by them. The sandwich standard error of
a allows for spreads that differ with x.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from judgebench.stats.arrays import FloatArray
from judgebench.stats.clustered import Estimate, t_quantile
from judgebench.stats.intervals import Interval, check_level

WIDEST = 2.0
"""Answers whose lengths differ more, by this factor, are left out."""
FEWEST = 30
FEWEST_A_SIDE = 10
"""So many items must lie on either side of equal lengths, for a line must not be prolonged to there."""


def within_twofold(first: ArrayLike, second: ArrayLike) -> int:
    """How many items have two answers whose lengths differ less than :data:`WIDEST`.

    >>> within_twofold([100, 100, 10], [150, 201, 1500])
    1
    """
    lengths = [np.maximum(1.0, np.asarray(own, float)) for own in (first, second)]
    return int((np.abs(np.log(lengths[1] / lengths[0])) < math.log(WIDEST)).sum())


def change_at_equal_lengths(
    changes: ArrayLike, first: ArrayLike, second: ArrayLike, *, level: float = 0.95
) -> Estimate:
    """The mean of ``changes`` at equal lengths, from the lengths of both answers to each item, with its interval.

    Examples
    --------
    >>> first, second = [100.0] * 40, [60.0 + 2 * step for step in range(40)]
    >>> changes = [3.0 + 5 * np.log(b / a) + (-1) ** step for step, (a, b) in enumerate(zip(first, second))]
    >>> estimate = change_at_equal_lengths(changes, first, second)
    >>> round(estimate.value, 1), round(estimate.interval.low, 1), estimate.n
    (3.0, 2.7, 40)
    >>> change_at_equal_lengths(changes, first, [1000.0] * 40).reason
    'only 0 samples have two answers whose lengths differ less than twofold'
    """
    check_level(level)
    y, lengths = np.asarray(changes, float), [np.maximum(1.0, np.asarray(own, float)) for own in (first, second)]
    x = np.log(lengths[1] / lengths[0])
    near = np.abs(x) < math.log(WIDEST)
    x, y = x[near], y[near]
    n = len(x)
    if n < FEWEST:
        return _missing(n, f"only {n} samples have two answers whose lengths differ less than twofold")
    if min((x >= 0).sum(), (x <= 0).sum()) < FEWEST_A_SIDE or np.ptp(x) == 0:
        return _missing(n, "one of the two nearly always wrote more, so that length and all else cannot be told apart")
    value, stderr = _intercept(x, y)
    half = t_quantile(n - 2, level) * stderr
    found = Interval.around(value, half, level, "sandwich t") if half > 0 else None
    return Estimate(value, stderr, found, n, n, None if found else "all changes lie on one line")


def _intercept(x: FloatArray, y: FloatArray) -> tuple[float, float]:
    """The intercept of a line, and its sandwich standard error with n / (n - 2)."""
    n, centre = len(x), x.mean()
    weights = 1 / n - centre * (x - centre) / np.square(x - centre).sum()
    slope = float((x - centre) @ y / np.square(x - centre).sum())
    value = float(weights @ y)
    residuals = y - value - slope * x
    return value, float(np.sqrt(n / (n - 2) * np.square(weights * residuals).sum()))


def _missing(n: int, reason: str) -> Estimate:
    return Estimate(None, None, None, n, n, reason)
