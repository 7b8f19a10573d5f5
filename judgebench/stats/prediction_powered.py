"""Means anchored in human labels: prediction-powered inference with a few labelled items and many judged ones.

A judge scores all items cheaply, with errors of its own; humans label a few of them. With Y the human labels of the n
labelled items, F the judge's scores of the same items and F' its scores of the N others,

    theta = w mean(F') + mean(Y - w F)                                                                         (1)
    variance = w^2 var(F') / N + var(Y - w F) / n                                                              (2)

has the human mean as its expectation, however wrong the judge is, for any weight w fixed beforehand: the second term
takes back what the judge errs by. With w = 1 this is prediction-powered inference, with w = 0 the mean of the labels
alone. The weight with the smallest variance (PPI++) is

    w = cov(Y, F) / ((1 + n / N) var(F and F')), clipped to [0, 1]                                             (3)

The labelled items must be a random sample of all, drawn before any verdict is seen. Labels of other models' answers are
of no use here: see :mod:`judgebench.stats.rogan_gladen`.

Small samples
-------------
(2) with a normal quantile needs a few hundred labels. With a handful, or where humans and judge agree on all of them,
the second term of (2) is 0 and the interval that of the judge alone: certain, and wrong. Scores with bounds, such as
shares of the win, allow better: z^2 = 3.84 made-up labels, for 95 %, are spread over the four corners (Y, F) of the
square of the bounds before (1) to (3). With w = 0 that is the interval of Agresti and Coull; where all agree, its
width still says that a disagreement could have been missed. ``benchmarks/README.md`` has the coverage of both.

References
----------
Angelopoulos, Bates, Fannjiang, Jordan, Zrnic: Prediction-powered inference. Science 382, 2023, arXiv:2301.09633.
Angelopoulos, Duchi, Zrnic: PPI++. arXiv:2311.01453. aangelopoulos/ppi_py@bd90cad (ddof of variances).
Agresti, Coull: Approximate is better than "exact" for interval estimation of binomial proportions. The American
Statistician 52(2), 1998.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from judgebench.stats.arrays import FloatArray, columns
from judgebench.stats.intervals import Interval, check_level


@dataclass(frozen=True)
class AnchoredMean:
    """A mean of human labels, made surer by a judge."""

    value: float | None
    """Equation (1); ``None`` without labels or without judged items."""
    stderr: float | None
    """Root of (2); ``None`` with fewer than two labels."""
    interval: Interval | None
    weight: float | None
    """w: how much the judge counts for."""
    n_labelled: int
    n_judged: int
    effective_labels: float | None
    """How many labels without a judge would have the same variance: var(Y) / (2)."""
    reason: str | None
    """Why a number is missing."""


def prediction_powered_mean(
    labels: ArrayLike,
    judged: ArrayLike,
    others: ArrayLike,
    *,
    weight: float | None = None,
    bounds: tuple[float, float] | None = None,
    level: float = 0.95,
) -> AnchoredMean:
    """The human mean, from ``labels`` (n,), the judge's scores of these items (n,), and of ``others`` (N,).

    Parameters
    ----------
    labels, judged, others
        In the same unit: share of the win, grade, or paired difference of two models. Finite.
    weight
        w of (1). By default that of (3), estimated.
    bounds
        The least and greatest possible score, for the small-sample form of the module's text. By default the
        published form, (2) with a normal quantile: use it where scores have no bounds, and with hundreds of labels.
    level
        Nominal coverage.

    Notes
    -----
    Variances have ddof 0 and the variance in (3) ddof 1, as in ppi_py. Items must be independent of each other.

    Examples
    --------
    The judge agrees with all of ten labels. In the published form, and in the small-sample form:

    >>> labels, others = [1, 1, 0, 1, 0, 0, 1, 1, 0, 1], [1, 0] * 200
    >>> prediction_powered_mean(labels, labels, others, weight=1).reason
    'the labels differ from the weighted judge by a constant: they are too few to estimate the variance of (2)'
    >>> result = prediction_powered_mean(labels, labels, others, weight=1, bounds=(0, 1))
    >>> round(result.interval.low, 2), round(result.interval.high, 2)
    (0.3, 0.7)
    """
    from scipy.special import ndtri

    human, machine = columns(labels, judged)
    (rest,) = columns(others)
    check_level(level)
    n, n_others = len(human), len(rest)
    if not n or not n_others:
        return AnchoredMean(None, None, None, None, n, n_others, None, "there are no labels" if not n else "no others")
    value, variance, chosen = _estimate(human, machine, rest, np.ones(n), n, weight)
    if bounds is not None:
        _check_bounds(bounds, human, machine, rest)
        value = min(max(value, bounds[0]), bounds[1])
    if n < 2:
        return AnchoredMean(value, None, None, chosen, n, n_others, None, "uncertainty needs at least two labels")
    spread = float(np.ptp(human - chosen * machine)) > 1e-12
    worth = float(human.var()) / variance if variance > 0 and spread else None
    reason = None if spread else "the labels differ from the weighted judge by a constant"
    quantile = float(ndtri((1 + level) / 2))
    if bounds is not None:
        interval = _four_corners(human, machine, rest, bounds, weight, quantile, level)
        return AnchoredMean(value, variance**0.5, interval, chosen, n, n_others, worth, reason)
    if reason is not None:
        reason += ": they are too few to estimate the variance of (2)"
        return AnchoredMean(value, None, None, chosen, n, n_others, None, reason)
    interval = Interval.around(value, quantile * variance**0.5, level, "prediction-powered")
    return AnchoredMean(value, variance**0.5, interval, chosen, n, n_others, worth, None)


def _four_corners(
    human: FloatArray,
    machine: FloatArray,
    rest: FloatArray,
    bounds: tuple[float, float],
    weight: float | None,
    quantile: float,
    level: float,
) -> Interval:
    """The interval with quantile^2 labels added at the corners."""
    low, high = bounds
    human, machine = np.concatenate([human, [low, low, high, high]]), np.concatenate([machine, [low, high, low, high]])
    counts = np.concatenate([np.ones(len(human) - 4), np.full(4, quantile**2 / 4)])
    centre, variance, _ = _estimate(human, machine, rest, counts, len(human) - 4, weight)
    half = quantile * variance**0.5
    return Interval(max(centre - half, low), min(centre + half, high), level, "prediction-powered, four corners")


def _estimate(
    human: FloatArray, machine: FloatArray, rest: FloatArray, counts: FloatArray, n: int, weight: float | None
) -> tuple[float, float, float]:
    """Equations (1) to (3): the mean, its variance and the weight.

    ``counts`` says how many labels each label stands for; after the first ``n`` come the corners.
    """
    total = counts.sum()
    chosen = _best_weight(human, machine, rest, counts, n) if weight is None else float(weight)
    residual = human - chosen * machine
    mean = counts @ residual / total
    judged = chosen * (rest - rest.mean()) / len(rest)
    variance = counts @ np.square(residual - mean) / total**2 + np.square(judged).sum()
    return chosen * float(rest.mean()) + float(mean), float(variance), chosen


def _best_weight(human: FloatArray, machine: FloatArray, rest: FloatArray, counts: FloatArray, n: int) -> float:
    """Equation (3); 0 if the judge gives one score to all.

    After the first ``n`` labels come the corners: they are no judgements, and shrink the covariance alone.
    """
    total = counts.sum()
    covariance = float(counts @ ((human - counts @ human / total) * (machine - counts @ machine / total)) / total)
    pooled = float(np.concatenate([machine[:n], rest]).var(ddof=1))
    if pooled == 0:
        return 0.0
    return min(max(covariance / ((1 + n / len(rest)) * pooled), 0.0), 1.0)


def _check_bounds(bounds: tuple[float, float], *columns: FloatArray) -> None:
    low, high = bounds
    if not low < high:
        raise ValueError(f"bounds are the least and the greatest possible score; got {low} and {high}")
    if any(column.min() < low or column.max() > high for column in columns):
        raise ValueError(f"some scores lie outside the bounds {low} to {high}")
