"""Newton's method for many small convex problems at once, and the logistic losses that most of them are.

Ratings, style control and length control share this solver. It knows nothing of what it fits: row r of every array
belongs to problem r, and R problems with p parameters each have points of shape (R, p).

References
----------
Sun, Tran-Dinh: Generalized self-concordant functions. Mathematical Programming 178, 2019 (step lengths).
"""

from collections.abc import Callable
from itertools import product

import numpy as np
from numpy.typing import NDArray

from judgebench.stats.arrays import FloatArray

MOST_STEPS = 500
# A step that changes no logit by more than this leaves an error of about its square.
_LAST_STEP = 1e-6


class CommonRows:
    """Rows that many problems have in common, each with the same weight in all of them."""

    def __init__(self, features: FloatArray, target: FloatArray, weight: float) -> None:
        """``features`` (p, M), ``target`` (M,)."""
        self.features, self.weight = features, weight
        self.observed = weight * target
        self.products = (features[:, None] * features).reshape(-1, features.shape[1])

    def derivatives(self, coefficients: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Their part of the gradients (R, p) and Hessians (R, p * p) at coefficients (R, p)."""
        probability = sigmoid(coefficients @ self.features)
        expected = self.weight * probability
        return (expected - self.observed) @ self.features.T, (expected * (1 - probability)) @ self.products.T


class LogLoss:
    """The weighted logistic losses of R problems, with a ridge penalty of ``ridge / 2`` times squared coefficients."""

    def __init__(
        self,
        features: FloatArray,
        target: FloatArray,
        weight: FloatArray,
        ridge: FloatArray | float = 0.0,
        common: CommonRows | None = None,
    ) -> None:
        """``features`` (R, p, N), or (1, p, N) if all problems have the same; ``target`` (N,), ``weight`` (R, N).

        ``common``: rows of every problem besides these.
        """
        self.features, self.weight, self.ridge, self.common = features, weight, ridge, common
        self.observed = weight * target
        self.products = (features[:, :, None] * features[:, None]).reshape(len(features), -1, features.shape[2])

    def derivatives(self, coefficients: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Gradients (R, p) and Hessians (R, p, p)."""
        probability = sigmoid(self._logit(coefficients))
        expected = self.weight * probability
        gradient = _times(self.features, expected - self.observed) + self.ridge * coefficients
        curvature = _times(self.products, expected * (1 - probability))
        if self.common is not None:
            of_common = self.common.derivatives(coefficients)
            gradient, curvature = gradient + of_common[0], curvature + of_common[1]
        hessian = curvature.reshape(*coefficients.shape, -1)
        return gradient, hessian + self.ridge * np.eye(coefficients.shape[1])

    def largest_change(self, step: FloatArray) -> FloatArray:
        """The most that steps (R, p) change the logit of any row, (R,)."""
        logits = [self._logit(step)] if self.common is None else [self._logit(step), step @ self.common.features]
        return np.asarray(np.max([np.abs(logit).max(axis=1) for logit in logits], axis=0))

    def _logit(self, coefficients: FloatArray) -> FloatArray:
        logit: FloatArray = np.matmul(coefficients[:, None], self.features)[:, 0]
        return logit


def newton(
    derivatives: Callable[[FloatArray], tuple[FloatArray, FloatArray]],
    change_of: Callable[[FloatArray], FloatArray],
    start: FloatArray,
    *,
    l1: float = 0.0,
    lost_at: Callable[[FloatArray], NDArray[np.bool_]] | None = None,
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Minimise R losses, plus ``l1`` times the sum of absolute parameters, from ``start``, shape (R, p).

    ``derivatives`` gives gradients (R, p) and Hessians (R, p, p) at points, ``change_of`` the largest change of a logit
    that steps (R, p) make, ``lost_at`` the problems whose parameters are on their way to infinity: these stop.

    Each step is solved exactly together with the penalty. It lowers the objective for certain if it changes no logit by
    more than 1.5, or if the objective, being convex, still falls at its end. Any other step is cut to the share
    log(1 + change) / change, which lowers it too. So the objective itself is never evaluated.

    Returns the minima, and which of them were found.
    """
    point, lost = start, np.zeros(len(start), dtype=bool)
    if not start.size:
        return point, ~lost
    gradient, hessian = derivatives(point)
    for _ in range(MOST_STEPS):
        step = _minimum(point, gradient, hessian, l1) - point if l1 else -_solved(hessian, gradient)
        step[lost] = 0
        change = change_of(step)
        ahead = point + step
        if change.max() <= _LAST_STEP:
            return ahead, ~lost
        gradient, hessian = derivatives(ahead)
        slope = gradient * step + l1 * np.where(ahead == 0, -np.abs(step), np.sign(ahead) * step)
        overshot = (change > 1.5) & (slope.sum(axis=1) > 0)
        if overshot.any():
            ahead = point + step * np.where(overshot, np.log1p(change) / np.maximum(change, 1), 1.0)[:, None]
            gradient, hessian = derivatives(ahead)
        point = ahead
        if lost_at is not None:
            lost |= lost_at(point)
    return point, (change <= _LAST_STEP) & ~lost


def sigmoid(logit: FloatArray) -> FloatArray:
    """1 / (1 + exp(-logit)) without overflow."""
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * logit))


def _minimum(point: FloatArray, gradient: FloatArray, hessian: FloatArray, l1: float) -> FloatArray:
    """Minima (R, p) of the penalised quadratic expansions of R losses about ``point``."""
    linear = gradient - _times(hessian, point)
    minimum, violation = _stationary(linear, hessian, l1, np.sign(point))
    unsettled = violation > 1e-9 * (1 + l1)
    if unsettled.any():
        # Signs change: of all 9 or 27 sign patterns, take the one whose stationary point is the minimum.
        signs = np.array(list(product((0.0, 1.0, -1.0), repeat=point.shape[1])))
        candidates, violations = _stationary(linear[unsettled, None], hessian[unsettled, None], l1, signs)
        minimum[unsettled] = candidates[np.arange(len(candidates)), violations.argmin(axis=1)]
    return minimum


def _stationary(linear: FloatArray, hessian: FloatArray, l1: float, signs: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Stationary points (..., p) of z'Hz/2 + linear'z + l1 * signs'z, with z = 0 where the sign is 0.

    Also returns how far each is from satisfying the optimality conditions with |z| in place of signs'z.
    """
    free = signs != 0
    # In C order, so that the reshape below is a view of it.
    system = np.multiply(hessian, free[..., None] & free[..., None, :], order="C")
    # A feature that is 0 throughout, or equals another, leaves a direction without curvature. A trace of it, 1e-13 of
    # the whole, keeps the system solvable; a point that it sends far away violates the conditions and is not chosen.
    ridge = 1e-13 * np.trace(hessian, axis1=-2, axis2=-1)[..., None]
    system.reshape(*system.shape[:-2], -1)[..., :: signs.shape[-1] + 1] += np.where(free, ridge, 1.0)
    point = _solved(system, np.where(free, -linear - l1 * signs, 0.0))
    slope = _times(hessian, point) + linear
    violation = np.where(point == 0, np.abs(slope) - l1, np.abs(slope + l1 * np.sign(point)))
    return point, violation.max(axis=-1)


def _solved(matrices: FloatArray, vectors: FloatArray) -> FloatArray:
    """Solution x (..., p) of matrix x = vector, for matrices (..., p, p)."""
    return np.asarray(np.linalg.solve(matrices, vectors[..., None])[..., 0], dtype=np.float64)


def _times(matrices: FloatArray, vectors: FloatArray) -> FloatArray:
    """Product of each matrix (..., p, q) with its vector (..., q)."""
    products: FloatArray = np.matmul(matrices, vectors[..., None])[..., 0]
    return products
