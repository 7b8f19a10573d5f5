"""Pearson, Spearman and Kendall correlations, each with an interval and the number of items it rests on.

Benchmarks are praised for correlations with human ratings over a handful of models. Over 6 models a correlation of 0.98
has a 95 % interval from about 0.8 to 1: the interval is part of the result here, and ``Correlation.sentence`` says it.

Intervals are normal ones of the transformed coefficient, z = atanh(r), transformed back:

    Pearson    standard error of z: 1 / sqrt(n - 3)                         Fisher 1921
    Spearman   sqrt((1 + r^2 / 2) / (n - 3))                                Bonett and Wright 2000
    Kendall    sqrt(0.437 / (n - 4))                                        Fieller, Hartley and Pearson 1957

References
----------
Fisher: On the "probable error" of a coefficient of correlation deduced from a small sample. Metron 1, 1921.
Fieller, Hartley, Pearson: Tests for rank correlation coefficients. Biometrika 44, 1957.
Bonett, Wright: Sample size requirements for estimating Pearson, Kendall and Spearman correlations. Psychometrika 65,
2000.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import permutations
from math import atanh, sqrt, tanh
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from judgebench.stats.arrays import FloatArray, IntArray, columns
from judgebench.stats.intervals import Interval, batches, check_level

Kind = Literal["pearson", "spearman", "kendall"]

# Items up to which the sentence warns: below some 25, the normal approximation of atanh(r) is itself rough.
_FEW = 25
# Items up to which all orders are gone through: 5,040.
_ALL_ORDERS = 7


@dataclass(frozen=True)
class Correlation:
    """A correlation coefficient with what it rests on."""

    kind: Kind
    value: float | None
    """-1 to 1; Kendall's is tau-b. ``None`` with fewer than two items, or if one side is constant."""
    interval: Interval | None
    """``None`` with too few items for one, or if the coefficient is exactly 1 or -1."""
    n: int
    """Items."""
    reason: str | None
    """Why value or interval is missing."""

    def sentence(self) -> str:
        """The coefficient as it should be quoted: with its interval, n, and a word of warning if n is small.

        >>> correlation([1, 2, 3, 4, 5, 6], [1, 3, 2, 4, 6, 5], "spearman").sentence()
        'Spearman 0.886, 95 % interval 0.066 to 0.992, n = 6 (few: the interval itself is rough)'
        """
        name = self.kind.capitalize()
        if self.value is None:
            return f"{name}: none ({self.reason}), n = {self.n}"
        if self.interval is None:
            return f"{name} {self.value:.3f}, no interval ({self.reason}), n = {self.n}"
        low, high, level = self.interval.low, self.interval.high, 100 * self.interval.level
        few = " (few: the interval itself is rough)" if self.n < _FEW else ""
        return f"{name} {self.value:.3f}, {level:g} % interval {low:.3f} to {high:.3f}, n = {self.n}{few}"


def correlation(x: ArrayLike, y: ArrayLike, kind: Kind = "pearson", *, level: float = 0.95) -> Correlation:
    """Correlation of x and y, shape (n,), with the interval of its kind.

    ``"pearson"`` is of the values, ``"spearman"`` of their ranks (equal values share the mean rank), ``"kendall"`` is
    tau-b.

    >>> result = correlation([1, 2, 3, 4, 5], [1, 2, 3, 5, 4])
    >>> round(result.value, 3), round(result.interval.low, 3), round(result.interval.high, 3)
    (0.9, 0.086, 0.993)
    """
    one, other = columns(x, y)
    _check(kind, level)
    n = len(one)
    value = _value(one, other, kind)
    if value is None:
        return Correlation(kind, None, None, n, "fewer than two items" if n < 2 else "all values of one side are equal")
    # A coefficient that is 1 but for rounding.
    if abs(value) > 1 - 1e-12:
        return Correlation(kind, value, None, n, "the coefficient is at its limit, where no interval is known")
    if n < (5 if kind == "kendall" else 4):
        return Correlation(kind, value, None, n, f"an interval needs {5 if kind == 'kendall' else 4} items")
    return Correlation(kind, value, correlation_interval(value, n, kind, level=level), n, None)


def correlation_interval(value: float, n: int, kind: Kind = "pearson", *, level: float = 0.95) -> Interval:
    """The interval of a coefficient when only its value and the number of items are known, as in papers.

    WildBench's "0.98" is over six models:

    >>> interval = correlation_interval(0.98, 6)
    >>> round(interval.low, 2), round(interval.high, 3)
    (0.82, 0.998)
    """
    spare = n - (4 if kind == "kendall" else 3)
    if not -1 < value < 1 or spare < 1:
        raise ValueError(
            f"an interval needs a coefficient between -1 and 1 and at least {n - spare + 1} items; got {value} over {n}"
        )
    _check(kind, level)
    variance = {"pearson": 1.0, "spearman": 1 + value**2 / 2, "kendall": 0.437}[kind] / spare
    method = {"pearson": "Fisher z", "spearman": "Bonett-Wright z", "kendall": "Fieller z"}[kind]
    half = NormalDist().inv_cdf((1 + level) / 2) * sqrt(variance)
    return Interval(tanh(atanh(value) - half), tanh(atanh(value) + half), level, method)


def permutation_p(
    x: ArrayLike, y: ArrayLike, kind: Kind = "pearson", *, rng: np.random.Generator, rounds: int = 10_000
) -> float | None:
    """Two-sided p-value of "no association": how often shuffled values, shape (n,), correlate as strongly.

    Up to 7 items all orders are gone through and the p-value is exact; beyond, ``rounds`` random ones and the one seen
    are. ``None`` where there is no coefficient. Below 10 items this is the p-value to use.

    >>> permutation_p([1, 2, 3, 4, 5], [1, 2, 3, 5, 4], "kendall", rng=np.random.default_rng(0))  # 2 * 5 of 120 orders
    0.08333333333333333
    """
    one, other = columns(x, y)
    _check(kind, 0.95)
    value, n = _value(one, other, kind), len(one)
    if value is None:
        return None
    exact = n <= _ALL_ORDERS
    drawings: Iterable[IntArray] = (
        [np.array(list(permutations(range(n))))]
        if exact
        else (rng.permuted(np.tile(np.arange(n), (size, 1)), axis=1) for size in batches(rounds, n**2))
    )
    as_strong = total = 0
    for orders in drawings:
        shuffled = coefficients(np.broadcast_to(one, orders.shape), other[orders], kind)
        # Orders that give the same coefficient may differ by rounding.
        as_strong += int((np.abs(shuffled) >= abs(value) - 1e-9).sum())
        total += len(orders)
    return as_strong / total if exact else (as_strong + 1) / (total + 1)


def _value(one: FloatArray, other: FloatArray, kind: Kind) -> float | None:
    if len(one) < 2:
        return None
    values = coefficients(one[None], other[None], kind)
    return float(values[0]) if len(values) else None


def coefficients(one: FloatArray, other: FloatArray, kind: Kind) -> FloatArray:
    """Coefficients of the rows of two tables, shapes (rounds, n); rows in which one side is constant are left out."""
    vary = (np.ptp(one, axis=1) > 0) & (np.ptp(other, axis=1) > 0)
    one, other = one[vary], other[vary]
    if not len(one):
        return np.zeros(0)
    if kind == "kendall":
        # tau-b is the correlation of the signs of differences.
        signs = [np.sign(side[:, :, None] - side[:, None, :]).reshape(len(side), -1) for side in (one, other)]
        return _cosines(signs[0], signs[1])
    if kind == "spearman":
        from scipy.stats import rankdata

        one, other = (rankdata(side, axis=1) for side in (one, other))
    # Scaled first, so that squares neither overflow nor vanish.
    one, other = (side / np.abs(side).max(axis=1, keepdims=True) for side in (one, other))
    return _cosines(one - one.mean(axis=1, keepdims=True), other - other.mean(axis=1, keepdims=True))


def _cosines(one: FloatArray, other: FloatArray) -> FloatArray:
    lengths = np.sqrt(np.square(one).sum(axis=1)) * np.sqrt(np.square(other).sum(axis=1))
    cosines: FloatArray = np.clip((one * other).sum(axis=1) / lengths, -1, 1)
    return cosines


def _check(kind: str, level: float) -> None:
    if kind not in ("pearson", "spearman", "kendall"):
        raise ValueError(f"kinds of correlation are pearson, spearman and kendall; got {kind}")
    check_level(level)
