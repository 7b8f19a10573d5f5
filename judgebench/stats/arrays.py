"""Names for the types of numpy arrays, and the check that several columns belong to the same items."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


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
