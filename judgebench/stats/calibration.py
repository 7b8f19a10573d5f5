"""Whether a judge's probabilities mean what they say, and how to make them.

A judge's probability p that the second answer is better is calibrated if, of the items with p = 0.8, humans prefer the
second in 80 %. ``calibration`` measures it against outcomes of 0 and 1, ``recalibrated`` learns a curve from labelled
items, and ``selective_accuracy`` says what is gained by leaving the doubtful items to somebody else.

A curve is never applied to the items it was learnt from: in sample every curve looks calibrated.

References
----------
Platt: Probabilistic outputs for support vector machines. Advances in Large Margin Classifiers, 1999.
Zadrozny, Elkan: Transforming classifier scores into accurate multiclass probability estimates. KDD 2002 (isotonic).
Guo, Pleiss, Sun, Weinberger: On calibration of modern neural networks. ICML 2017 (temperature, expected error).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from judgebench.stats.arrays import FloatArray

Curve = Literal["temperature", "platt", "isotonic"]

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


@dataclass(frozen=True)
class LogisticCurve:
    """p = sigmoid(slope * score + intercept)."""

    slope: float
    intercept: float


def calibration(probabilities: ArrayLike, outcomes: ArrayLike) -> Calibration:
    """Measure probabilities, shape (n,), against outcomes 0 or 1, shape (n,).

    A p of exactly 1 is in the last bin; p = 0.5 counts as an answer for 1.

    >>> found = calibration([0.9, 0.9, 0.2, 0.4], [1, 0, 0, 1])
    >>> round(found.brier, 3), round(found.expected_error, 3), found.auc
    (0.305, 0.4, 0.625)
    """
    p, y = _checked(probabilities, outcomes)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("probabilities lie between 0 and 1")
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


def logistic_curve(scores: ArrayLike, outcomes: ArrayLike, *, intercept: bool = True) -> LogisticCurve | None:
    """The logistic curve of largest likelihood (Platt's, without penalty); without intercept: temperature 1 / slope.

    ``None`` if scores separate the outcomes, or all outcomes or scores are equal: the curve would have no finite slope,
    or none at all.

    >>> curve = logistic_curve([-2, -1, 0, 1, 2, 3], [0, 1, 0, 0, 1, 1])
    >>> round(curve.slope, 3), round(curve.intercept, 3)
    (0.674, -0.337)
    >>> logistic_curve([-1, 1], [0, 1]) is None
    True
    """
    x, y = _checked(scores, outcomes)
    if not _has_finite_fit(x, y, intercept):
        return None
    scale = float(np.abs(x).max())
    design = np.stack([x / scale, np.ones(len(x))], axis=1) if intercept else (x / scale)[:, None]
    beta = np.zeros(design.shape[1])
    for _ in range(200):
        p = _sigmoid(design @ beta)
        gradient = design.T @ (y - p)
        step = np.linalg.solve((design * (p * (1 - p))[:, None]).T @ design, gradient)
        # Far from the optimum a whole step may lower the likelihood: it is concave, so that shorter ones do not.
        decrement = float(gradient @ step)
        before = _log_likelihood(design @ beta, y)
        while _log_likelihood(design @ (beta + step), y) < before and decrement > 1e-12:
            step = step / 2
        beta = beta + step
        if decrement < 1e-20:
            break
    return LogisticCurve(float(beta[0]) / scale, float(beta[1]) if intercept else 0.0)


def isotonic_curve(scores: ArrayLike, outcomes: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """The non-decreasing curve with the least squared error: the scores where it was fitted, and its values there.

    Equal scores get one value. Between scores interpolate linearly, beyond them take the ends: ``numpy.interp``.

    >>> points, values = isotonic_curve([1, 2, 3, 4], [0, 1, 0, 1])
    >>> values.tolist()
    [0.0, 0.5, 0.5, 1.0]
    """
    x, y = _checked(scores, outcomes)
    if not len(x):
        raise ValueError("a curve needs at least one item")
    points, code, counts = np.unique(x, return_inverse=True, return_counts=True)
    means = np.bincount(code, weights=y) / counts
    # Pool adjacent violators: a stack of blocks (mean, weight, scores).
    blocks: list[tuple[float, int, int]] = []
    for mean, weight in zip(means.tolist(), counts.tolist(), strict=True):
        block = (mean, weight, 1)
        while blocks and blocks[-1][0] >= block[0]:
            other = blocks.pop()
            total = other[1] + block[1]
            block = ((other[0] * other[1] + block[0] * block[1]) / total, total, other[2] + block[2])
        blocks.append(block)
    return points, np.repeat([block[0] for block in blocks], [block[2] for block in blocks])


def recalibrated(
    scores: ArrayLike, outcomes: ArrayLike, curve: Curve, *, rng: np.random.Generator, folds: int = 5
) -> FloatArray | None:
    """Probabilities of labelled items, each from a curve learnt on the other folds; shape (n,).

    ``scores`` are log odds or any score that rises with the probability. ``None`` if some fold's curve does not exist.

    >>> rng = np.random.default_rng(0)
    >>> scores = rng.normal(size=400)
    >>> outcomes = rng.random(400) < 1 / (1 + np.exp(-scores))
    >>> raw = calibration(1 / (1 + np.exp(-4 * scores)), outcomes).expected_error  # too sure by a factor of 4
    >>> learnt = calibration(recalibrated(4 * scores, outcomes, "platt", rng=rng), outcomes).expected_error
    >>> round(raw, 2), round(learnt, 2)
    (0.22, 0.04)
    """
    x, y = _checked(scores, outcomes)
    if not 2 <= folds <= len(x):
        raise ValueError(f"items are split into at least 2 folds, and at most one per item; got {folds} of {len(x)}")
    fold = rng.permutation(np.arange(len(x)) % folds)
    learnt = np.zeros(len(x))
    for number in range(folds):
        held = fold == number
        if curve == "isotonic":
            points, values = isotonic_curve(x[~held], y[~held])
            learnt[held] = np.interp(x[held], points, values)
            continue
        fitted = logistic_curve(x[~held], y[~held], intercept=curve == "platt")
        if fitted is None:
            return None
        learnt[held] = _sigmoid(fitted.slope * x[held] + fitted.intercept)
    return learnt


def selective_accuracy(
    confidence: ArrayLike, correct: ArrayLike, coverages: Sequence[float] = (1.0, 0.75, 0.5, 0.25)
) -> tuple[float | None, ...]:
    """Accuracy over the most confident share of items, one per coverage; ``None`` where that is no item.

    ``confidence`` and ``correct`` (0 or 1) have shape (n,). Among items of equal confidence the earlier come first.

    >>> selective_accuracy([0.9, 0.6, 0.8, 0.7], [1, 0, 1, 0], [1.0, 0.5])
    (0.5, 1.0)
    """
    sure, right = _checked(confidence, correct)
    order = np.argsort(-sure, kind="stable")
    sizes = [round(len(sure) * coverage) for coverage in coverages]
    return tuple(float(right[order[:size]].mean()) if size else None for size in sizes)


def _expected_error(p: FloatArray, y: FloatArray) -> float:
    place = np.minimum((p * _BINS).astype(np.int64), _BINS - 1)
    gaps = np.bincount(place, weights=y - p, minlength=_BINS)
    return float(np.abs(gaps).sum() / len(p))


def _auc(p: FloatArray, y: FloatArray) -> float | None:
    ones = int(y.sum())
    zeros = len(y) - ones
    if not ones or not zeros:
        return None
    _, code, counts = np.unique(p, return_inverse=True, return_counts=True)
    # Mean rank of equal values.
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[code]
    return float((ranks[y == 1].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def _has_finite_fit(x: FloatArray, y: FloatArray, intercept: bool) -> bool:
    if not len(x) or not np.abs(x).max() > 0:
        return False
    if not intercept:
        signed = np.where(y == 1, x, -x)
        return bool(signed.min() < 0 < signed.max())
    ones, zeros = x[y == 1], x[y == 0]
    if not len(ones) or not len(zeros):
        return False
    return bool(ones.min() < zeros.max() and zeros.min() < ones.max())


def _log_likelihood(logits: FloatArray, y: FloatArray) -> float:
    return float((y * logits - np.logaddexp(0, logits)).sum())


def _sigmoid(logits: FloatArray) -> FloatArray:
    return np.asarray(np.exp(-np.logaddexp(0, -logits)))


def _checked(values: ArrayLike, outcomes: ArrayLike) -> tuple[FloatArray, FloatArray]:
    x, y = np.asarray(values, dtype=float), np.asarray(outcomes, dtype=float)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"there is one outcome per item; got shapes {x.shape} and {y.shape}")
    if not np.isfinite(x).all() or not np.isin(y, (0, 1)).all():
        raise ValueError("scores must be finite and outcomes 0 or 1: leave out ties and missing items")
    return x, y
