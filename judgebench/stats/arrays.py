"""Names of array types, and checks that columns and cluster labels have one entry for each item."""

from collections.abc import Iterable
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

T = TypeVar("T")


def columns(*given: ArrayLike) -> tuple[FloatArray, ...]:
    """The columns as arrays; ``ValueError`` unless each holds one finite number per item.

    >>> columns([1, 2], [3])
    Traceback (most recent call last):
    ValueError: every column holds one number per item; got shapes (2,), (1,)
    """
    arrays = tuple(np.asarray(column, dtype=float) for column in given)
    if any(column.ndim != 1 or column.shape != arrays[0].shape for column in arrays):
        raise ValueError(
            f"every column holds one number per item; got shapes {', '.join(str(a.shape) for a in arrays)}"
        )
    if not all(np.isfinite(column).all() for column in arrays):
        raise ValueError("numbers must be finite: leave out items that lack one")
    return arrays


def cluster_places(clusters: ArrayLike | None, rows: int) -> tuple[int, IntArray]:
    """How many clusters there are, and the number of each row's, by ascending name; by default each row is its own.

    >>> cluster_places(["b", "a", "b"], 3)
    (2, array([1, 0, 1]))
    """
    names, place = np.unique(np.arange(rows) if clusters is None else np.asarray(clusters), return_inverse=True)
    if place.shape != (rows,):
        raise ValueError(f"clusters need one entry for each of {rows} rows, got shape {place.shape}")
    return len(names), place.astype(np.int64)


def at_places(values: Iterable[T], places: NDArray[np.integer], n: int) -> tuple[T | None, ...]:
    """``n`` entries: each value at its place, and ``None`` at all other places.

    >>> at_places([0.5, 0.7], np.array([3, 0]), 4)
    (0.7, None, None, 0.5)
    """
    found: list[T | None] = [None] * n
    for place, value in zip(places.tolist(), values, strict=True):
        found[place] = value
    return tuple(found)
