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
    Ten labels, on all of which the judge agrees: published form, and small-sample form.

    >>> labels, others = [1, 1, 0, 1, 0, 0, 1, 1, 0, 1], [1, 0] * 200
    >>> prediction_powered_mean(labels, labels, others, weight=1).reason
    'the labels differ from the weighted judge by a constant: the variance of (2) cannot be told from so few'
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
    chosen = _best_weight(human, machine, rest, np.ones(n), n) if weight is None else float(weight)
    value = chosen * float(rest.mean()) + float((human - chosen * machine).mean())
    if bounds is not None:
        _check_bounds(bounds, human, machine, rest)
        value = min(max(value, bounds[0]), bounds[1])
    if n < 2:
        return AnchoredMean(value, None, None, chosen, n, n_others, None, "uncertainty needs at least two labels")
    variance = _variance(human, machine, rest, np.ones(n), chosen)
    spread = float(np.ptp(human - chosen * machine)) > 1e-12
    worth = float(human.var()) / variance if variance > 0 and spread else None
    if bounds is None and not spread:
        reason = (
            "the labels differ from the weighted judge by a constant: the variance of (2) cannot be told from so few"
        )
        return AnchoredMean(value, None, None, chosen, n, n_others, None, reason)
    quantile, stderr = float(ndtri((1 + level) / 2)), variance**0.5
    if bounds is None:
        low, high, method = value - quantile * stderr, value + quantile * stderr, "prediction-powered"
    else:
        low, high = _small_sample_bounds(human, machine, rest, bounds, weight, quantile)
        method = "prediction-powered, four corners"
    missing = None if spread else "the labels differ from the weighted judge by a constant"
    return AnchoredMean(value, stderr, Interval(low, high, level, method), chosen, n, n_others, worth, missing)


def _small_sample_bounds(
    human: FloatArray,
    machine: FloatArray,
    rest: FloatArray,
    bounds: tuple[float, float],
    weight: float | None,
    quantile: float,
) -> tuple[float, float]:
    """The interval with quantile^2 labels added at the corners."""
    low, high = bounds
    corners = np.array([low, low, high, high]), np.array([low, high, low, high])
    human, machine = np.concatenate([human, corners[0]]), np.concatenate([machine, corners[1]])
    n = len(human) - 4
    counts = np.concatenate([np.ones(n), np.full(4, quantile**2 / 4)])
    chosen = _best_weight(human, machine, rest, counts, n) if weight is None else weight
    centre = chosen * float(rest.mean()) + float(counts @ (human - chosen * machine) / counts.sum())
    half = quantile * _variance(human, machine, rest, counts, chosen) ** 0.5
    return max(float(centre - half), low), min(float(centre + half), high)


def _best_weight(human: FloatArray, machine: FloatArray, rest: FloatArray, counts: FloatArray, n: int) -> float:
    """Equation (3); 0 if the judge gives one score to all.

    ``counts`` says how many labels each label stands for. After the first ``n`` come the corners: they are no
    judgements, and shrink the covariance alone.
    """
    total = counts.sum()
    covariance = float(counts @ ((human - counts @ human / total) * (machine - counts @ machine / total)) / total)
    pooled = float(np.concatenate([machine[:n], rest]).var(ddof=1))
    if pooled == 0:
        return 0.0
    return min(max(covariance / ((1 + n / len(rest)) * pooled), 0.0), 1.0)


def _variance(human: FloatArray, machine: FloatArray, rest: FloatArray, counts: FloatArray, weight: float) -> float:
    """Equation (2)."""
    total = counts.sum()
    residual = human - weight * machine
    residual = residual - counts @ residual / total
    judged = weight * (rest - rest.mean()) / len(rest)
    return float(counts @ np.square(residual) / total**2 + np.square(judged).sum())


def _check_bounds(bounds: tuple[float, float], *columns: FloatArray) -> None:
    low, high = bounds
    if not low < high:
        raise ValueError(f"bounds are the least and the greatest possible score; got {low} and {high}")
    if any(column.min() < low or column.max() > high for column in columns):
        raise ValueError(f"some scores lie outside the bounds {low} to {high}")
