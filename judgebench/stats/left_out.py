"""Length-controlled fits without each of many clusters of rows, all from sums over the rows of one fit.

Fitting each anew takes rows times clusters. But a cluster among thousands hardly moves a fit, so the gradient of all
rows is expanded about the fit to them: in the coefficients as a cubic, and by interpolation in the standard deviation
of the lengths, which also changes with each cluster. The rows of the cluster itself are subtracted exactly. Refits
that end too far from the fit to all rows are left to be made anew.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from judgebench.stats.arrays import FloatArray
from judgebench.stats.newton import newton, sigmoid

_NODES = 6
# If no logit changes by more, the cubic is off by less than 1e-8; interpolation over such a range is off by far less.
_FARTHEST = 0.02


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of one model, and those that are the same for every model."""

    length_difference: FloatArray
    """Shape (n,)."""
    others: FloatArray
    """The other features, shape (p - 1, n)."""
    target: FloatArray
    """Shares of the win, NaN where there is no verdict, shape (n,)."""
    place: NDArray[np.int64]
    """The number of each row's cluster, shape (n,)."""
    clusters: int
    anchors: tuple[FloatArray, FloatArray, float] | None
    """Features (p, m), targets (m,) and the weight of each."""

    def sums(self, values: FloatArray) -> FloatArray:
        """Sums over the rows of each cluster of values (..., n), shape (..., clusters)."""
        flat = values.reshape(-1, len(self.place))
        summed = [np.bincount(self.place, one, minlength=self.clusters) for one in flat]
        return np.stack(summed).astype(float).reshape(*values.shape[:-1], self.clusters)

    def spreads(self) -> FloatArray:
        """The standard deviation of lengths without each cluster, shape (clusters,)."""
        centred = self.length_difference - self.length_difference.mean()
        left = len(centred) - self.sums(np.ones_like(centred))
        first, second = (one.sum() - self.sums(one) for one in (centred, centred**2))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.sqrt((second - first**2 / left) / (left - 1)))

    def features(self, spread: FloatArray | float) -> FloatArray:
        """Shape (p, n)."""
        return np.concatenate([np.tanh(self.length_difference / spread)[None], self.others])


def rates_without_each(rows: Rows, point: FloatArray, spread: float, l1: float) -> FloatArray:
    """The mean prediction at equal lengths of the fit without each cluster, shape (clusters,).

    ``point``, shape (p,), minimises the loss of all rows, with lengths in units of ``spread``, plus ``l1`` times the
    sum of absolute coefficients. NaN where the fit without a cluster is too far from there to be expanded about it.
    """
    spreads = rows.spreads()
    judged = ~np.isnan(rows.target)
    near = (np.abs(spreads / spread - 1) < _FARTHEST) & (judged.sum() - rows.sums(judged.astype(float)) > 0)
    if not near.any():
        return np.full(rows.clusters, np.nan)
    sums = _Sums.of(rows, point, np.where(near, spreads, spread))
    coefficients, found = newton(
        sums.derivatives,
        sums.largest_change,
        np.repeat(point[None], rows.clusters, axis=0),
        l1=l1,
        lost_at=lambda points: sums.largest_change(points - point) > _FARTHEST,
    )
    rates = _rates(rows, point, coefficients)
    return np.where(near & found & (sums.largest_change(coefficients - point) <= _FARTHEST), rates, np.nan)


@dataclass(frozen=True, eq=False)
class _Sums:
    """The loss of all rows but those of each cluster, about a point."""

    rows: Rows
    point: FloatArray
    series: tuple[FloatArray, ...]
    """Of the gradient of all rows: its derivatives, in order, each with a first axis of clusters."""
    own: FloatArray
    """Features of the rows, each with the standard deviation that is without its cluster, shape (p, n)."""
    target: FloatArray
    judged: FloatArray
    most: FloatArray
    """The largest value of each feature, shape (p,)."""

    @classmethod
    def of(cls, rows: Rows, point: FloatArray, spreads: FloatArray) -> "_Sums":
        judged = ~np.isnan(rows.target)
        target, weight = np.where(judged, rows.target, 0.0), judged.astype(float)
        nodes, shares = _interpolation(spreads)
        at_nodes = [_series(rows.features(node), point, target, weight) for node in nodes]
        series = [np.tensordot(shares, np.stack(order), 1) for order in zip(*at_nodes, strict=True)]
        own = rows.features(spreads[rows.place])
        most = np.maximum(np.abs(own).max(axis=1), 1.0)
        if rows.anchors is not None:
            features, shown, of_each = rows.anchors
            fixed = _series(features, point, shown, np.full(len(shown), of_each))
            series = [one + other for one, other in zip(series, fixed, strict=True)]
            most = np.maximum(most, np.abs(features).max(axis=1))
        return cls(rows, point, tuple(series), own, target, weight, most)

    def derivatives(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Gradients (clusters, p) and Hessians (clusters, p, p)."""
        first, second, third, fourth = self.series
        step = points - self.point
        third_along = np.einsum("rabc,rc->rab", third, step)
        fourth_along = np.einsum("rabcd,rc,rd->rab", fourth, step, step)
        gradient = first + np.einsum("rab,rb->ra", second + third_along / 2 + fourth_along / 6, step)
        probability = sigmoid((points[self.rows.place].T * self.own).sum(axis=0))
        gradient -= self.rows.sums(self.own * (self.judged * (probability - self.target))).T
        products = self.own[:, None] * self.own * (self.judged * probability * (1 - probability))
        hessian = second + third_along + fourth_along / 2 - np.moveaxis(self.rows.sums(products), -1, 0)
        return gradient, hessian

    def largest_change(self, step: FloatArray) -> FloatArray:
        """At least the most that steps (clusters, p) change the logit of any row."""
        return np.asarray(np.abs(step) @ self.most)


def _series(features: FloatArray, point: FloatArray, target: FloatArray, weight: FloatArray) -> list[FloatArray]:
    """The gradient of the loss of rows at a point, and its first three derivatives."""
    probability = sigmoid(point @ features)
    slope = weight * probability * (1 - probability)
    pairs = (features[:, None] * features).reshape(-1, features.shape[1])
    size = len(features)
    return [
        features @ (weight * (probability - target)),
        (pairs @ slope).reshape(size, size),
        ((pairs * (slope * (1 - 2 * probability))) @ features.T).reshape(size, size, size),
        ((pairs * (slope * (1 - 6 * probability * (1 - probability)))) @ pairs.T).reshape(size, size, size, size),
    ]


def _interpolation(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Places (nodes,) over the range of values, and what each place counts at each value, (values, nodes)."""
    low, high = values.min(), values.max()
    if low == high:
        return values[:1], np.ones((len(values), 1))
    nodes = np.cos((2 * np.arange(_NODES) + 1) * np.pi / (2 * _NODES))
    at = (2 * values - low - high) / (high - low)
    shares = [
        np.prod(
            [(at - nodes[other]) / (nodes[node] - nodes[other]) for other in range(_NODES) if other != node], axis=0
        )
        for node in range(_NODES)
    ]
    return (low + high) / 2 + (high - low) / 2 * nodes, np.stack(shares, axis=1)


def _rates(rows: Rows, point: FloatArray, coefficients: FloatArray) -> FloatArray:
    """Mean predictions without the length term over the rows that are left, shape (clusters,)."""
    others, step = rows.others, (coefficients - point)[:, 1:]
    probability = sigmoid(point[1:] @ others)
    slope = probability * (1 - probability)
    pairs = (others[:, None] * others).reshape(-1, others.shape[1])
    along = np.einsum("ra,rb->rab", step, step).reshape(len(step), -1)
    bend = slope * (1 - 2 * probability)
    twist = slope * (1 - 6 * slope)
    total = probability.sum() + step @ (others @ slope) + along @ (pairs @ bend) / 2
    total += np.einsum("ra,rb,ab->r", along, step, (pairs * twist) @ others.T) / 6
    own = sigmoid((coefficients[rows.place, 1:].T * others).sum(axis=0))
    return np.asarray((total - rows.sums(own)) / (len(rows.place) - rows.sums(np.ones(len(rows.place)))))
