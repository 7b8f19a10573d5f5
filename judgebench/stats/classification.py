"""Labels that a classifier gives, against gold labels: accuracy and the macro means of precision, recall and F1.

A macro mean weighs every class alike, however rare it is: a judge that never says "tie" has an F1 of 0 on ties.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judgebench.stats.arrays import FloatArray, cluster_places, columns
from judgebench.stats.intervals import Interval, percentile_interval, resample_counts

_ROUNDS = 1000


@dataclass(frozen=True)
class ClassScores:
    """A classifier's scores over a list of classes."""

    accuracy: float | None
    precision: float | None
    """Macro mean; 0 for a class that was never said."""
    recall: float | None
    """Macro mean; 0 for a class that never occurs."""
    f1: float | None
    intervals: tuple[Interval | None, Interval | None, Interval | None, Interval | None]
    """Of the four, in this order, by resampling clusters."""
    n: int
    reason: str | None
    """Why numbers are missing."""


def class_scores(
    gold: ArrayLike,
    said: ArrayLike,
    classes: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    rng: np.random.Generator | None = None,
) -> ClassScores:
    """Score labels, shape (n,), against gold labels, shape (n,), over the classes given.

    A label that is none of the classes is wrong and belongs to no class's precision. With ``rng``, percentile intervals
    over 1,000 resamples of clusters.

    >>> found = class_scores([0, 1, 1, 2], [0, 1, 2, 1], [0, 1, 2])
    >>> found.accuracy, found.precision, found.recall, found.f1
    (0.5, 0.5, 0.5, 0.5)
    """
    truth, labels = columns(gold, said)
    kinds = np.unique(np.asarray(classes, dtype=float))
    if not len(kinds) or not np.isfinite(kinds).all():
        raise ValueError("the classes are finite numbers, one or more")
    number, place = cluster_places(clusters, len(truth))
    if not len(truth):
        return ClassScores(None, None, None, None, (None,) * 4, 0, "there are no items")
    sums = np.zeros((number, 3 * len(kinds) + 2))
    columns_of = np.concatenate(
        [
            (truth[:, None] == kinds) & (labels[:, None] == kinds),
            labels[:, None] == kinds,
            truth[:, None] == kinds,
            (truth == labels)[:, None],
            np.ones((len(truth), 1), dtype=bool),
        ],
        axis=1,
    )
    np.add.at(sums, place, columns_of)
    found = _scores(sums.sum(axis=0)[None], len(kinds))[0]
    intervals: list[Interval | None] = [None] * 4
    if rng is not None and number > 1:
        draws = _scores(resample_counts(number, _ROUNDS, rng).astype(float) @ sums, len(kinds))
        intervals = [percentile_interval(draws[:, column]) for column in range(4)]
    one = "there is only one cluster" if rng is not None and number < 2 else None
    values = [float(value) for value in found]
    return ClassScores(values[0], values[1], values[2], values[3], _four(intervals), len(truth), one)


def _four(found: list[Interval | None]) -> tuple[Interval | None, Interval | None, Interval | None, Interval | None]:
    return found[0], found[1], found[2], found[3]


def _scores(sums: FloatArray, k: int) -> NDArray[np.float64]:
    """Accuracy, precision, recall and F1 of totals, shape (rounds, 3 k + 2): right, said, true by class; right; all."""
    right, said, true = sums[:, :k], sums[:, k : 2 * k], sums[:, 2 * k : 3 * k]
    parts = [_ratio(right, said), _ratio(right, true), _ratio(2 * right, said + true)]
    return np.stack([sums[:, -2] / sums[:, -1], *(part.mean(axis=1) for part in parts)], axis=1)


def _ratio(top: FloatArray, bottom: FloatArray) -> FloatArray:
    return np.asarray(np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1), 0))
