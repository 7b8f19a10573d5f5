"""The ``Interval`` type, bootstrap resamples and percentile intervals.
Intervals of means are in ``clustered``, those of shares in ``proportions``.

Resamples are passed around as counts, an array of shape (rounds, n) that says how often each of the n examples was
drawn, so that several metrics can be evaluated on the very same resamples and a mean is one matrix product.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Interval:
    """A confidence interval and how it was made."""

    low: float
    high: float
    level: float
    """Nominal coverage, e.g. 0.95."""
    method: str

    @classmethod
    def around(cls, value: float, half_width: float, level: float, method: str) -> "Interval":
        """The interval from ``value - half_width`` to ``value + half_width``."""
        return cls(value - half_width, value + half_width, level, method)


def check_level(level: float) -> None:
    """Raise ``ValueError`` unless ``level`` is a nominal coverage.

    >>> check_level(95)
    Traceback (most recent call last):
    ValueError: level is a share between 0 and 1, such as 0.95; got 95
    """
    if not 0 < level < 1:
        raise ValueError(f"level is a share between 0 and 1, such as 0.95; got {level}")


def batches(rounds: int, numbers: int, at_most: int = 2_000_000) -> list[int]:
    """Sizes of the parts that ``rounds`` resamples are drawn in, so that none holds many more than ``at_most`` numbers.

    ``numbers`` is how many one resample is worked into.

    >>> batches(7, 1_000_000)
    [2, 2, 2, 1]
    """
    if rounds < 1:
        raise ValueError(f"resampling needs at least one round, got {rounds}")
    together = max(1, at_most // max(numbers, 1))
    return [min(together, rounds - begin) for begin in range(0, rounds, together)]


def interval_fields(interval: Interval | None) -> dict[str, Any]:
    """Bounds and level by name, each ``None`` without an interval: what a record takes over.

    >>> interval_fields(Interval(0.1, 0.4, 0.95, "wilson"))
    {'low': 0.1, 'high': 0.4, 'level': 0.95}
    """
    if interval is None:
        return {"low": None, "high": None, "level": None}
    return {"low": interval.low, "high": interval.high, "level": interval.level}


def resample_counts(n: int, rounds: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw ``rounds`` bootstrap resamples of ``n`` examples and count how often each example is in them.

    Each row of the result, shape (rounds, n), is a multinomial draw: it sums to n. Rows are drawn one after another
    from ``rng``, so drawing 1,000 at once equals drawing 2 x 500 (which bounds memory at 16 bytes x rounds x n).

    >>> resample_counts(4, 3, np.random.default_rng(0)).sum(axis=1)
    array([4, 4, 4])
    """
    if n < 1 or rounds < 1:
        raise ValueError(f"a bootstrap needs at least one example and one round, got n={n} and rounds={rounds}")
    drawn = rng.integers(n, size=(rounds, n))
    drawn += n * np.arange(rounds)[:, None]
    return np.bincount(drawn.ravel(), minlength=rounds * n).reshape(rounds, n)


def percentile_interval(
    replicates: ArrayLike, level: float = 0.95, method: str = "bootstrap percentile"
) -> Interval | None:
    """The central ``level`` share of bootstrap replicates, shape (rounds,); ``None`` with fewer than two of them.

    Quantiles interpolate linearly between order statistics (numpy's default, type 7 of Hyndman and Fan 1996).

    >>> percentile_interval(range(101), level=0.5)
    Interval(low=25.0, high=75.0, level=0.5, method='bootstrap percentile')
    """
    check_level(level)
    replicates = np.asarray(replicates, dtype=float)
    if not np.isfinite(replicates).all():
        raise ValueError("bootstrap replicates must be finite: leave out the resamples that gave no number")
    if replicates.size < 2:
        return None
    low, high = np.quantile(replicates, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level, method)
