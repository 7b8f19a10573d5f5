"""Does one metric follow human ratings better than another? Two correlations that share the ratings and the models.

With n models, metrics 1 and 2 and the human ratings h, the correlations r_1h and r_2h are estimated from the same
models, so they err together: the closer the metrics follow each other (r_12), the more. Whether the intervals of r_1h
and r_2h overlap says nothing about their difference. ``compare_correlations`` gives

    Williams' t     (r_1h - r_2h) sqrt((n - 1)(1 + r_12) / (2 |R| (n - 1)/(n - 3) + m^2 (1 - r_12)^3)),           (1)
                    m = (r_1h + r_2h) / 2, |R| the determinant of the three correlations; n - 3 degrees of freedom
    Steiger's z     (atanh r_1h - atanh r_2h) sqrt((n - 3) / (2 - 2 s)),                                          (2)
                    s = (r_12 (1 - 2 m^2) - m^2 (1 - 2 m^2 - r_12^2) / 2) / (1 - m^2)^2
    Zou's interval  the intervals of r_1h and r_2h, put together with their correlation                            (3)

(1) is the test to quote, (3) the interval: over 6 to 100 models of normal scores the test keeps its level, and the
interval covers 94 to 96 %. So does (2). All take the ratings and the metrics as normal; with ranks (Spearman) they are
approximations of the same kind as the interval of Spearman's coefficient. ``bootstrap_comparison`` resamples the models
instead; its intervals are a little short (``benchmarks/README.md``).

References
----------
Williams: The comparison of regression variables. JRSS B 21, 1959.
Steiger: Tests for comparing elements of a correlation matrix. Psychological Bulletin 87, 1980, equations 7 and 14.
Zou: Toward using confidence intervals to compare correlations. Psychological Methods 12, 2007.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from math import atanh, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from judgebench.stats.arrays import FloatArray
from judgebench.stats.correlation import Correlation, Kind, coefficients, correlation, permutation_p
from judgebench.stats.intervals import Interval, batches, percentile_interval
from judgebench.stats.multiplicity import adjusted_p_values


@dataclass(frozen=True)
class CorrelationComparison:
    """How much better one metric correlates with the reference than another, on the same models."""

    first: Correlation
    second: Correlation
    between: float | None
    """Correlation of the two metrics."""
    difference: float | None
    """r_1h - r_2h."""
    interval: Interval | None
    """Of the difference."""
    p: float | None
    """Two-sided, of no difference: Williams' t. ``None`` from :func:`bootstrap_comparison`."""
    p_steiger: float | None
    n: int
    """Models."""
    reason: str | None
    """Why a number is missing."""


@dataclass(frozen=True)
class MetricRow:
    """A metric's correlation with the reference."""

    metric: str
    correlation: Correlation
    p: float | None
    """Two-sided, of no association, by permutation."""


@dataclass(frozen=True)
class MetricComparison:
    """Two metrics of a table against each other."""

    first: str
    second: str
    comparison: CorrelationComparison
    p_adjusted: float | None
    """Holm's, over the comparisons of the table that have a p-value."""


@dataclass(frozen=True)
class CorrelationTable:
    """All metrics against one reference, and against each other."""

    rows: tuple[MetricRow, ...]
    """By falling correlation; those without one last."""
    comparisons: tuple[MetricComparison, ...]
    """Every pair of metrics, in the order of the rows, on the models that both and the reference have."""


def compare_correlations(
    first: ArrayLike, second: ArrayLike, reference: ArrayLike, kind: Kind = "pearson", *, level: float = 0.95
) -> CorrelationComparison:
    """Compare the correlations of two metrics with a reference, shapes (n,), by (1) to (3); Pearson's or Spearman's.

    Examples
    --------
    Over six models, correlations of 0.98 and 0.89 do not differ significantly:

    >>> ratings, one = [1251, 1213, 1232, 1187, 1158, 1144], [34.6, 21, 20.1, 7.2, -10.5, -14.6]
    >>> result = compare_correlations(one, [55.0, 34.4, 40.5, 34.9, 32.7, 22.9], ratings)
    >>> round(result.first.value, 2), round(result.second.value, 2), round(result.p, 2)
    (0.98, 0.89, 0.15)
    >>> round(result.interval.low, 2), round(result.interval.high, 2)
    (-0.03, 0.69)
    """
    if kind == "kendall":
        raise ValueError("there is no test like Williams' for Kendall's tau: use bootstrap_comparison")
    one, two = correlation(first, reference, kind, level=level), correlation(second, reference, kind, level=level)
    between, n = correlation(first, second, kind, level=level).value, one.n
    if one.value is None or two.value is None or between is None:
        return CorrelationComparison(one, two, between, None, None, None, None, n, one.reason or two.reason)
    difference = one.value - two.value
    if n < 4:
        reason = "a comparison needs at least 4 models"
        return CorrelationComparison(one, two, between, difference, None, None, None, n, reason)
    if abs(between) > 1 - 1e-12:
        reason = "the two metrics are the same but for scale: their correlations differ by no chance at all"
        return CorrelationComparison(one, two, between, difference, None, None, None, n, reason)
    p = williams_p(one.value, two.value, between, n)
    if one.interval is None or two.interval is None:
        return CorrelationComparison(one, two, between, difference, None, p, None, n, one.reason or two.reason)
    interval = _zou(one.value, two.value, between, one.interval, two.interval, level)
    p_steiger = _steiger_p(one.value, two.value, between, n)
    return CorrelationComparison(one, two, between, difference, interval, p, p_steiger, n, None)


def bootstrap_comparison(
    first: ArrayLike,
    second: ArrayLike,
    reference: ArrayLike,
    kind: Kind = "pearson",
    *,
    rng: np.random.Generator,
    rounds: int = 2000,
    level: float = 0.95,
) -> CorrelationComparison:
    """Compare the correlations of two metrics with a reference by resampling the models, for all three kinds.

    All have shape (n,), one number per model. Over 14 to 100 models it covers 91 to 94 %.

    >>> rng = np.random.default_rng(0)
    >>> human = rng.normal(size=40)
    >>> one, other = human + rng.normal(size=(2, 40)) * [[0.3], [1.0]]
    >>> result = bootstrap_comparison(one, other, human, "kendall", rng=rng, rounds=500)
    >>> round(result.difference, 2), result.interval.low > 0
    (0.25, True)
    """
    one, two = correlation(first, reference, kind, level=level), correlation(second, reference, kind, level=level)
    between, n = correlation(first, second, kind).value, one.n
    if one.value is None or two.value is None:
        return CorrelationComparison(one, two, between, None, None, None, None, n, one.reason or two.reason)
    differences, constant = [], 0
    for size in batches(rounds, n**2):
        models = rng.integers(n, size=(size, n))
        *sides, drawn = (np.asarray(column, dtype=float)[models] for column in (first, second, reference))
        vary = np.all([np.ptp(column, axis=1) > 0 for column in (*sides, drawn)], axis=0)
        constant += int((~vary).sum())
        values = [coefficients(side[vary], drawn[vary], kind) for side in sides]
        differences.append(values[0] - values[1])
    difference = one.value - two.value
    if constant > (1 - level) / 2 * rounds:
        reason = f"{constant} of {rounds} resamples were constant"
        return CorrelationComparison(one, two, between, difference, None, None, None, n, reason)
    interval = percentile_interval(np.concatenate(differences), level)
    return CorrelationComparison(one, two, between, difference, interval, None, None, n, None)


def correlation_table(
    metrics: Mapping[str, Mapping[str, float | None]],
    reference: Mapping[str, float | None],
    kind: Kind = "pearson",
    *,
    rng: np.random.Generator,
    level: float = 0.95,
) -> CorrelationTable:
    """Correlate metrics (name to model to score) with a reference (model to rating), and compare them two by two.

    Models are matched by name; a ``None`` is a missing number. Every correlation is over the models that both of its
    sides have, so rows may rest on different models (``n`` counts them); a comparison is over the models of all three.
    With Kendall's tau comparisons are by bootstrap.

    >>> metrics = {"judge": {"a": 1.0, "b": 2.0, "c": 3.0, "d": 5.0, "e": 4.0}, "length": {"a": 9, "b": 2, "c": 6}}
    >>> elo = {"a": 1000, "b": 1100, "c": 1200, "d": 1250, "e": 1300}
    >>> table = correlation_table(metrics, elo, rng=np.random.default_rng(0))
    >>> [(row.metric, round(row.correlation.value, 2), row.correlation.n) for row in table.rows]
    [('judge', 0.92, 5), ('length', -0.43, 3)]
    >>> table.comparisons[0].comparison.reason
    'a comparison needs at least 4 models'
    """
    rows = []
    for name, scores in metrics.items():
        x, y = _aligned(scores, reference)
        found = correlation(x, y, kind, level=level)
        rows.append(MetricRow(name, found, permutation_p(x, y, kind, rng=rng)))
    # Sorting is stable: metrics without a value, and equal ones, stay in the order given.
    rows.sort(key=lambda row: -2.0 if row.correlation.value is None else row.correlation.value, reverse=True)
    comparisons = []
    for one, two in combinations([row.metric for row in rows], 2):
        first, second, shared = _aligned(metrics[one], metrics[two], reference)
        if kind == "kendall":
            comparison = bootstrap_comparison(first, second, shared, kind, rng=rng, level=level)
        else:
            comparison = compare_correlations(first, second, shared, kind, level=level)
        comparisons.append((one, two, comparison))
    p_values = [comparison.p for *_, comparison in comparisons]
    adjusted = iter(adjusted_p_values([p for p in p_values if p is not None]).tolist())
    compared = [
        MetricComparison(*comparison, None if p is None else next(adjusted))
        for comparison, p in zip(comparisons, p_values, strict=True)
    ]
    return CorrelationTable(tuple(rows), tuple(compared))


def williams_p(first: float, second: float, between: float, n: int) -> float:
    """Two-sided p-value of (1), from the three coefficients and the number of models alone, as papers print them.

    >>> round(williams_p(0.396, 0.179, 0.088, 66), 3)
    0.172
    """
    from scipy.special import stdtr

    if n < 4:
        raise ValueError(f"Williams' t has n - 3 degrees of freedom; got n = {n}")
    determinant = 1 - first**2 - second**2 - between**2 + 2 * first * second * between
    if determinant < -1e-9 or not -1 <= between < 1:
        raise ValueError(f"{first}, {second} and {between} are not the correlations of any three columns")
    mean = (first + second) / 2
    below = 2 * max(determinant, 0.0) * (n - 1) / (n - 3) + mean**2 * (1 - between) ** 3
    if first == second:
        return 1.0
    if below == 0:
        return 0.0
    t = (first - second) * sqrt((n - 1) * (1 + between) / below)
    return float(2 * stdtr(n - 3, -abs(t)))


def _steiger_p(first: float, second: float, between: float, n: int) -> float:
    """Two-sided p-value of (2)."""
    mean = (first + second) / 2
    covariance = between * (1 - 2 * mean**2) - mean**2 * (1 - 2 * mean**2 - between**2) / 2
    shared = covariance / (1 - mean**2) ** 2
    if shared >= 1:
        return 1.0 if first == second else 0.0
    z = (atanh(first) - atanh(second)) * sqrt((n - 3) / (2 - 2 * shared))
    return 2 * NormalDist().cdf(-abs(z))


def _zou(first: float, second: float, between: float, one: Interval, two: Interval, level: float) -> Interval:
    """Equation (3): equations 12 to 15 of Zou."""
    shared = (between - first * second / 2) * (1 - first**2 - second**2 - between**2) + between**3
    shared /= (1 - first**2) * (1 - second**2)
    shared = min(max(shared, -1.0), 1.0)

    def reach(gap_one: float, gap_two: float) -> float:
        return sqrt(max(gap_one**2 + gap_two**2 - 2 * shared * gap_one * gap_two, 0.0))

    difference = first - second
    low = difference - reach(first - one.low, two.high - second)
    high = difference + reach(one.high - first, second - two.low)
    return Interval(low, high, level, "Zou")


def _aligned(*tables: Mapping[str, float | None]) -> list[FloatArray]:
    """The numbers of the models that all tables have, in the last one's order: one column per table."""
    models = [model for model in tables[-1] if all(table.get(model) is not None for table in tables)]
    return [np.array([table[model] for model in models], dtype=float) for table in tables]
