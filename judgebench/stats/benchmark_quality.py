"""Separability: the share of pairs of models that a benchmark tells apart.

Inputs are one interval, or bootstrap draws, per item. Shares are shares of the pairs of items, 0 to 1, and ``None`` if
there is no pair.

References
----------
Li, Chiang, Frick, Dunlap, Wu, Zhu, Gonzalez, Stoica: From crowdsourced data to high-quality benchmarks: Arena-Hard and
BenchBuilder pipeline. arXiv:2406.11939, 2024, section 3.
lmarena/arena-hard-auto, parent of a06dde2: notebook/benchmark_statistics.ipynb.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from judgebench.stats.arrays import columns
from judgebench.stats.intervals import check_level


@dataclass(frozen=True)
class Separability:
    """How many pairs of items a benchmark tells apart."""

    share: float | None
    """Pairs whose intervals do not overlap, of all."""
    overlapping: int
    pairs: int


def separability(low: ArrayLike, high: ArrayLike) -> Separability:
    """Share of pairs whose intervals do not overlap ("separability with confidence"). Arrays have shape (n,).

    With pairs ordered by lower bound, they overlap if the later one's lower bound is below the earlier one's upper
    bound: intervals that touch do not overlap. Upstream counts items with the same interval once; here all count.

    >>> separability([0, 2, 3, 6], [2, 4, 5, 7])  # only the second and third overlap
    Separability(share=0.8333333333333334, overlapping=1, pairs=6)
    """
    lows, highs = columns(low, high)
    if (lows > highs).any():
        raise ValueError("the lower bound of an interval is not above its upper bound")
    order = np.argsort(lows, kind="stable")
    lows, highs, n = lows[order], highs[order], len(lows)
    below = np.searchsorted(lows, highs, side="left")
    overlapping = int(np.maximum(below - np.arange(1, n + 1), 0).sum())
    pairs = n * (n - 1) // 2
    return Separability(1 - overlapping / pairs if pairs else None, overlapping, pairs)


def paired_separability(draws: ArrayLike, level: float = 0.95) -> Separability:
    """Share of pairs whose *difference* keeps its sign in the central ``level`` of bootstrap draws, shape (rounds, n).

    Draws of one row must be of the same resampled examples for all items: then the difficulty of the examples cancels,
    and even pairs whose intervals overlap can be told apart. ``overlapping`` counts the pairs that are not.

    >>> rng = np.random.default_rng(0)
    >>> examples = rng.normal(size=(500, 1))
    >>> draws = np.array([0.0, 0.3]) + examples + 0.1 * rng.normal(size=(500, 2))
    >>> paired_separability(draws).share
    1.0
    >>> low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    >>> separability(low, high).share
    0.0
    """
    table = np.asarray(draws, dtype=float)
    if table.ndim != 2 or not np.isfinite(table).all():
        raise ValueError(f"draws are finite numbers of shape (rounds, items); got shape {table.shape}")
    check_level(level)
    n = table.shape[1]
    pairs, apart = n * (n - 1) // 2, 0
    if not len(table) or not pairs:
        return Separability(None, 0, pairs)
    for item in range(n - 1):
        gaps = table[:, item + 1 :] - table[:, item, None]
        low, high = np.quantile(gaps, [(1 - level) / 2, (1 + level) / 2], axis=0)
        apart += int(((low > 0) | (high < 0)).sum())
    return Separability(apart / pairs, pairs - apart, pairs)
