"""Agreement of votes as AlpacaEval measures its evaluators: the centre of some votes against the centre of others.

A vote is 1 (the first output), 2 (the second), 1.5 (a tie) or any share between; NaN is none. Votes have shape
(items, votes). Every choice of so many votes of one side is compared with every choice of the other's, and the mean is
taken, so that it is the expected agreement of so many voters with so many others.

References
----------
Dubois, Li, Taori, et al.: AlpacaFarm. arXiv:2305.14387, 2023.
tatsu-lab/alpaca_eval@cd543a149df89434d8a54582c0151c0b945c3d20: analyze.py, metrics/helpers.py.
"""

from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from judgebench.stats.arrays import FloatArray
from judgebench.stats.clustered import bounded_estimate, cluster_totals
from judgebench.stats.intervals import Interval

Rule = Literal["absolute", "zero_one", "squared"]

_MOST_VOTES = 12
_DRAW_SEED = 123
"""Upstream's, which draws one of several modes."""


@dataclass(frozen=True)
class CrossAgreement:
    """Agreement of the centres of votes."""

    score: float | None
    """1 less the mean loss: 1 is perfect."""
    interval: Interval | None
    n: int
    """Items of the last comparison."""
    comparisons: int
    """Choices of votes that were compared."""
    reason: str | None
    """Why a number is missing."""

    @property
    def error(self) -> float | None:
        """The mean loss."""
        return None if self.score is None else 1 - self.score


def cross_agreement(
    votes: ArrayLike,
    others: ArrayLike | None = None,
    *,
    take: int | None = 1,
    against: int | None = None,
    rule: Rule = "absolute",
    clusters: ArrayLike | None = None,
) -> CrossAgreement:
    """Compare ``take`` of ``votes`` with ``against`` of ``others``, each over all choices; ``None`` takes all.

    Without ``others`` the votes are compared with each other, no vote with itself; ``against`` is then all that are
    left by default. The centre of votes is their mode if they are all 1, 2 or ties, else their median; with
    ``"squared"`` their mean. Of several modes, one is drawn as upstream does, always the same. Items without a vote on
    either side are left out. The interval is over clusters, by default items.

    The expected agreement of one person with the mode of three others, who say 1, 1, 2 and 2:

    >>> cross_agreement([[1, 1, 1, 1], [1, 1, 2, 2]]).score
    0.5
    """
    mine, same = _votes(votes), others is None
    theirs = mine if others is None else _votes(others)
    if len(mine) != len(theirs):
        raise ValueError(f"both sides vote on the same items; got {len(mine)} and {len(theirs)}")
    first = mine.shape[1] if take is None else take
    second = against if against is not None else theirs.shape[1] - first if same else theirs.shape[1]
    if not (1 <= first <= mine.shape[1] and 1 <= second <= theirs.shape[1]):
        return CrossAgreement(
            None, None, 0, 0, f"{first} and {second} votes are to be compared, and items have {mine.shape[1]}"
        )
    centres = [
        {chosen: _centres(side[:, chosen], rule) for chosen in combinations(range(side.shape[1]), number)}
        for side, number in ((mine, first), (theirs, second))
    ]
    pairs = [(a, b) for a in centres[0] for b in centres[1] if not (same and set(a) & set(b))]
    names = np.arange(len(mine)) if clusters is None else np.asarray(clusters)
    rows: list[FloatArray] = []
    codes: list[NDArray[np.int64]] = []
    places: list[NDArray[Any]] = []
    n = 0
    for a, b in pairs:
        values = _scores(centres[0][a], centres[1][b], rule)
        known = np.flatnonzero(~np.isnan(values))
        if not len(known):
            continue
        codes.append(np.full(len(known), len(rows)))
        rows.append(values[known])
        places.append(names[known])
        n = len(known)
    if not rows:
        return CrossAgreement(None, None, 0, 0, "no item has a vote of either side")
    totals = cluster_totals(np.concatenate(rows), clusters=np.concatenate(places), terms=np.concatenate(codes))
    found = bounded_estimate(totals)
    return CrossAgreement(found.value, found.interval, n, len(rows), found.reason)


def centre(votes: ArrayLike, rule: Rule = "absolute") -> FloatArray:
    """The centre of the votes on each item, shape (items,): mode, median or mean; NaN where there is none.

    >>> centre([[1, 2, 2], [1, 1.5, 1.9]]).tolist()
    [2.0, 1.5]
    """
    return _centres(_votes(votes), rule)


def _scores(one: FloatArray, other: FloatArray, rule: Rule) -> FloatArray:
    gap = np.abs(one - other)
    if rule == "absolute":
        return 1 - gap
    return 1 - np.square(gap) if rule == "squared" else np.where(np.isnan(gap), np.nan, (gap == 0).astype(float))


def _centres(votes: FloatArray, rule: Rule) -> FloatArray:
    given = ~np.isnan(votes)
    number = given.sum(axis=1)
    filled = np.where(given, votes, 0)
    found = np.full(len(votes), np.nan)
    some = number > 0
    if rule == "squared":
        found[some] = filled[some].sum(axis=1) / number[some]
        return found
    if rule == "zero_one":
        votes = np.where(votes == 1.5, 1.5, np.rint(votes))
    plain = some & (~given | np.isin(votes, (1, 1.5, 2))).all(axis=1)
    found[plain] = _modes(votes[plain], ties_first=rule == "zero_one")
    for row in np.flatnonzero(some & ~plain):
        found[row] = float(np.median(votes[row][given[row]]))
    return found


def _modes(votes: FloatArray, *, ties_first: bool) -> FloatArray:
    """The mode of votes that are 1, 1.5 or 2; upstream's zero-one rule writes a tie as 0, which sorts first."""
    values = np.array([1.5, 1, 2] if ties_first else [1, 1.5, 2])
    counts = (votes[:, :, None] == values).sum(axis=1)
    modes = counts == counts.max(axis=1, keepdims=True)
    wanted = np.array([0, *(_drawn(number) for number in (1, 2, 3))])[modes.sum(axis=1)]
    place = np.argmax(np.cumsum(modes, axis=1) == wanted[:, None] + 1, axis=1)
    return np.asarray(values[place])


@cache
def _drawn(number: int) -> int:
    """Which of so many modes, in ascending order, upstream's seeded draw gives."""
    return int(np.random.RandomState(_DRAW_SEED).choice(number, size=1, replace=False)[0])


def _votes(votes: ArrayLike) -> FloatArray:
    table = np.asarray(votes, dtype=float)
    if table.ndim != 2 or table.shape[1] > _MOST_VOTES:
        raise ValueError(f"votes have shape (items, votes), with at most {_MOST_VOTES} votes; got shape {table.shape}")
    if not (np.isnan(table) | ((table >= 1) & (table <= 2))).all():
        raise ValueError("a vote lies between 1 (the first output) and 2 (the second); NaN is none")
    return table
