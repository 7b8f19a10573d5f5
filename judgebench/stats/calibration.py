"""Calibration of a judge's probabilities against human preferences: expected error, Brier score and AUC.

A judge's probability p that the second answer is better is calibrated if, of the items with p = 0.8, humans prefer the
second in 80 %. ``calibration`` measures it against outcomes of 0 and 1.

References
----------
Guo, Pleiss, Sun, Weinberger: On calibration of modern neural networks. ICML 2017 (expected error).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from judgebench.stats.arrays import FloatArray, columns

_BINS = 10
_LEAST_PROBABILITY = 1e-15


@dataclass(frozen=True)
class Calibration:
    """How probabilities fit outcomes."""

    brier: float | None
    """Mean squared error; 0.25 for p = 0.5 throughout."""
    log_loss: float | None
    """In nats; probabilities are kept 1e-15 away from 0 and 1."""
    expected_error: float | None
    """ECE: mean distance of mean p and outcomes, over ten equal bins of p weighed by items."""
    confidence_error: float | None
    """The same of the confidence max(p, 1 - p) and whether the likelier answer was right."""
    auc: float | None
    """Probability that an item with outcome 1 has the larger p, ties half; ``None`` if outcomes are all equal."""
    n: int
    reason: str | None
    """Why a number is missing."""


def calibration(probabilities: ArrayLike, outcomes: ArrayLike) -> Calibration:
    """Measure probabilities, shape (n,), against outcomes 0 or 1, shape (n,).

    A p of exactly 1 is in the last bin; p = 0.5 counts as an answer for 1.

    >>> found = calibration([0.9, 0.9, 0.2, 0.4], [1, 0, 0, 1])
    >>> round(found.brier, 3), round(found.expected_error, 3), found.auc
    (0.305, 0.4, 0.625)
    """
    p, y = columns(probabilities, outcomes)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("probabilities lie between 0 and 1")
    if not np.isin(y, (0, 1)).all():
        raise ValueError("outcomes are 0 or 1: leave out ties")
    n = len(p)
    if not n:
        return Calibration(None, None, None, None, None, 0, "there are no items")
    clipped = np.clip(p, _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY)
    loss = -np.where(y == 1, np.log(clipped), np.log1p(-clipped))
    correct = ((p >= 0.5) == (y == 1)).astype(float)
    area = _auc(p, y)
    return Calibration(
        float(np.square(p - y).mean()),
        float(loss.mean()),
        _expected_error(p, y),
        _expected_error(np.maximum(p, 1 - p), correct),
        area,
        n,
        None if area is not None else "all outcomes are equal: there is no pair to order",
    )


def _expected_error(p: FloatArray, y: FloatArray) -> float:
    place = np.minimum((p * _BINS).astype(np.int64), _BINS - 1)
    gaps = np.bincount(place, weights=y - p, minlength=_BINS)
    return float(np.abs(gaps).sum() / len(p))


def _auc(p: FloatArray, y: FloatArray) -> float | None:
    ones = int(y.sum())
    zeros = len(y) - ones
    if not ones or not zeros:
        return None
    from scipy.stats import mannwhitneyu

    return float(mannwhitneyu(p[y == 1], p[y == 0], method="asymptotic").statistic / (ones * zeros))
